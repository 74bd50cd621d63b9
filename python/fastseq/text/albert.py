"""ALBERT without a `tokenizer.json`: `spiece.model` behind lower-casing, BERT's special tokens around."""

from __future__ import annotations

from fastseq.text.extras import require
from fastseq.text.fast import FastTokenizer
from fastseq.text.piece_engine import read_pieces, special_template, unigram_engine
from fastseq.text.settings import AddedToken, Settings

__all__ = ["build"]


def build(settings: Settings) -> FastTokenizer:
    """Return the tokenizer of a folder: ids are SentencePiece's."""
    model = read_pieces(settings)
    defaults = {"cls": "[CLS]", "sep": "[SEP]", "unk": "<unk>", "pad": "<pad>"}
    names = {name: settings.token(f"{name}_token", default) for name, default in defaults.items()}
    mask = AddedToken(settings.token("mask_token", "[MASK]"), lstrip=True)
    added = [*settings.added_tokens(), *map(AddedToken, names.values()), mask]
    engine = unigram_engine(model, model.scores, model.unk_id, added, split_words=True)
    normalizers = require("tokenizers", "an ALBERT tokenizer").normalizers
    steps = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.flag("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings.flag("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    engine.normalizer = normalizers.Sequence([*steps, *([engine.normalizer] if engine.normalizer else [])])
    cls, sep = names["cls"], names["sep"]
    special_template(engine, f"{cls}:0 $A:0 {sep}:0", f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1")
    return FastTokenizer(settings, engine)
