"""XLM-RoBERTa without a `tokenizer.json`: `sentencepiece.bpe.model` (unigram, its name notwithstanding)."""

from __future__ import annotations

from fastseq.text.fast import FastTokenizer
from fastseq.text.piece_engine import FAIRSEQ_START, read_pieces, special_template, unigram_engine
from fastseq.text.settings import AddedToken, Settings

__all__ = ["build"]


def build(settings: Settings) -> FastTokenizer:
    """Return the tokenizer of a folder: fairseq's four tokens, SentencePiece's from id 3 on, <mask>."""
    model = read_pieces(settings)
    vocabulary = [(token, 0.0) for token in FAIRSEQ_START]
    added = [*settings.added_tokens(), *map(AddedToken, FAIRSEQ_START), AddedToken("<mask>", lstrip=True)]
    engine = unigram_engine(model, [*vocabulary, *model.scores[3:], ("<mask>", 0.0)], 3, added, split_words=True)
    special_template(engine, "<s> $A </s>", "<s> $A </s> </s> $B </s>")
    return FastTokenizer(settings, engine)
