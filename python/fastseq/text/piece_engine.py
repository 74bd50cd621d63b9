"""A `tokenizers.Tokenizer` from a SentencePiece model: what T5, mBART, NLLB, XLM-RoBERTa and Pegasus have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastseq.text.extras import require
from fastseq.text.fast import add_tokens
from fastseq.text.sentencepiece_file import BPE, PieceModel, read_piece_model
from fastseq.text.settings import AddedToken, Settings

__all__ = ["FAIRSEQ_START", "bpe_engine", "read_pieces", "special_template", "unigram_engine"]

# Fairseq puts its own four tokens first, in place of SentencePiece's <unk>, <s>, </s>: ids move up by one.
FAIRSEQ_START = ("<s>", "<pad>", "</s>", "<unk>")

_PIECE_FILES = ("spiece.model", "spm.model", "sentencepiece.bpe.model", "sentencepiece.model", "tokenizer.model")


def read_pieces(settings: Settings) -> PieceModel:
    """Return the SentencePiece model of a folder.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    path = settings.file(*_PIECE_FILES)
    if path is None:
        raise FileNotFoundError(f"model folder {str(settings.folder)!r} has none of {', '.join(_PIECE_FILES)}")
    return read_piece_model(path)


def unigram_engine(
    model: PieceModel,
    vocabulary: Sequence[tuple[str, float]],
    unk_id: int,
    added: Sequence[AddedToken],
    split_words: bool,
) -> Any:
    """Return an engine that encodes as SentencePiece does, with ids of its own.

    Parameters
    ----------
    model : PieceModel
        Its normalisation counts.
    vocabulary : sequence of (str, float)
        Pieces and scores, by id.
    unk_id : int
    added : sequence of AddedToken
    split_words : bool
        Whether all white space separates words, or only spaces, of which several are one.

    Raises
    ------
    ValueError
        If the model is not unigram.
    """
    tokenizers = require("tokenizers", "a SentencePiece tokenizer")
    if model.kind == BPE:
        raise ValueError("the SentencePiece model is BPE; expected unigram for this kind of tokenizer")
    engine = tokenizers.Tokenizer(tokenizers.models.Unigram(list(vocabulary), unk_id=unk_id, byte_fallback=False))
    return _finish(tokenizers, engine, model, added, split_words)


def bpe_engine(model: PieceModel, vocabulary: Sequence[str], unk_token: str, added: Sequence[AddedToken]) -> Any:
    """Return the same for a BPE model; the vocabulary are pieces by id."""
    tokenizers = require("tokenizers", "a SentencePiece tokenizer")
    if model.kind != BPE:
        raise ValueError("the SentencePiece model is unigram; expected BPE for this kind of tokenizer")
    ids = {piece: i for i, piece in enumerate(vocabulary)}
    merges = [pair for pair in model.merges() if pair[0] in ids and pair[1] in ids]
    bpe = tokenizers.models.BPE(vocab=ids, merges=merges, unk_token=unk_token, fuse_unk=True)
    return _finish(tokenizers, tokenizers.Tokenizer(bpe), model, added, split_words=False)


def _finish(tokenizers: Any, engine: Any, model: PieceModel, added: Sequence[AddedToken], split_words: bool) -> Any:
    normalizers, pre = tokenizers.normalizers, tokenizers.pre_tokenizers
    steps = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
    metaspace = pre.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
    if split_words:
        engine.pre_tokenizer = pre.Sequence([pre.WhitespaceSplit(), metaspace])
    else:
        steps.append(normalizers.Replace(tokenizers.Regex(" {2,}"), " "))
        engine.pre_tokenizer = metaspace
    if steps:
        engine.normalizer = normalizers.Sequence(steps)
    engine.decoder = tokenizers.decoders.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
    add_tokens(engine, added)
    return engine


def special_template(engine: Any, single: str, pair: str) -> None:
    """Give an engine the post-processor that lays special tokens as `single` and `pair` say."""
    tokenizers = require("tokenizers", "a SentencePiece tokenizer")
    named = sorted({word.partition(":")[0] for word in pair.split() if not word.startswith("$")})
    special = [(token, engine.token_to_id(token)) for token in named]
    engine.post_processor = tokenizers.processors.TemplateProcessing(single=single, pair=pair, special_tokens=special)
