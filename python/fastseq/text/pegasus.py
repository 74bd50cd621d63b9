"""Pegasus without a `tokenizer.json`: `spiece.model` behind 103 ids of its pre-training."""

from __future__ import annotations

from fastseq.text.fast import FastTokenizer
from fastseq.text.piece_engine import read_pieces, special_template, unigram_engine
from fastseq.text.settings import AddedToken, Settings

__all__ = ["build"]

_OFFSET = 103


def build(settings: Settings) -> FastTokenizer:
    """Return the tokenizer of a folder: <pad>, </s>, the two masks, <unk_2> ..., then SentencePiece's from id 2 on."""
    model = read_pieces(settings)
    offset = settings.values.get("offset", _OFFSET)
    if not isinstance(offset, int) or not 2 <= offset <= 10_000:
        raise ValueError(f"{settings.folder}: offset is {offset!r}; expected 2 to 10000")
    eos, pad = settings.token("eos_token", "</s>"), settings.token("pad_token", "<pad>")
    masks = [settings.token("mask_token_sent", "<mask_1>"), settings.token("mask_token", "<mask_2>")]
    unused = [f"<unk_{i}>" for i in range(2, offset)]
    vocabulary = [(pad, 0.0), (eos, 0.0), *((mask, 0.0) for mask in masks), *((name, -100.0) for name in unused)]
    special = [pad, eos, model.pieces[model.unk_id][0], *masks, *unused]
    engine = unigram_engine(
        model,
        vocabulary + model.scores[2:],
        model.unk_id + offset,
        [*settings.added_tokens(), *map(AddedToken, special)],
        split_words=False,
    )
    special_template(engine, f"$A {eos}", f"$A $B {eos}")
    return FastTokenizer(settings, engine)
