"""T5, mT5 and FLAN-T5 without a `tokenizer.json`: `spiece.model`, and sentinels at the end of the vocabulary."""

from __future__ import annotations

from fastseq.text.fast import FastTokenizer
from fastseq.text.piece_engine import read_pieces, special_template, unigram_engine
from fastseq.text.settings import AddedToken, Settings

__all__ = ["build"]


def build(settings: Settings) -> FastTokenizer:
    """Return the tokenizer of a folder: ids are SentencePiece's, then <extra_id_99> to <extra_id_0>."""
    model = read_pieces(settings)
    extra = settings.values.get("extra_ids", 100)
    if not isinstance(extra, int) or not 0 <= extra <= 10_000:
        raise ValueError(f"{settings.folder}: extra_ids is {extra!r}; expected 0 to 10000")
    sentinels = [f"<extra_id_{i}>" for i in range(extra - 1, -1, -1)]
    eos = settings.token("eos_token", "</s>")
    names = {"eos_token": eos, "unk_token": "<unk>", "pad_token": "<pad>"}
    special = [AddedToken(settings.token(name, default)) for name, default in names.items()]
    engine = unigram_engine(
        model,
        [*model.scores, *((sentinel, 0.0) for sentinel in sentinels)],
        model.unk_id,
        [*settings.added_tokens(), *special, *(AddedToken(sentinel) for sentinel in reversed(sentinels))],
        split_words=True,
    )
    special_template(engine, f"$A {eos}", f"$A {eos} $B {eos}")
    return FastTokenizer(settings, engine)
