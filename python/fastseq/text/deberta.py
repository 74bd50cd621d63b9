"""DeBERTa v2 and v3 without a `tokenizer.json`: `spm.model`, with BERT's special tokens among its pieces or behind."""

from __future__ import annotations

from typing import Any

from fastseq.text.extras import require
from fastseq.text.fast import FastTokenizer
from fastseq.text.piece_engine import read_pieces, special_template, unigram_engine
from fastseq.text.sentencepiece_file import CONTROL, USER_DEFINED, PieceModel
from fastseq.text.settings import AddedToken, Settings

__all__ = ["build"]


def build(settings: Settings) -> FastTokenizer:
    """Return the tokenizer of a folder: ids are SentencePiece's, then those of special tokens that it lacks."""
    model = read_pieces(settings)
    names = {
        name: settings.token(f"{name}_token", f"[{name.upper()}]") for name in ("pad", "cls", "sep", "unk", "mask")
    }
    added = [
        AddedToken(piece, special=kind == CONTROL) for piece, _, kind in model.pieces if kind in (CONTROL, USER_DEFINED)
    ]
    added = [*settings.added_tokens(), *added, *map(AddedToken, names.values())]
    engine = unigram_engine(model, model.scores, model.unk_id, added, split_words=False)
    tokenizers = require("tokenizers", "a DeBERTa tokenizer")
    engine.normalizer = _normalizer(tokenizers.normalizers, tokenizers.Regex, model, settings)
    scheme = "always" if settings.flag("add_prefix_space", True) else "first"
    metaspace = {"replacement": "\u2581", "prepend_scheme": scheme, "split": True}
    punctuation = settings.flag("split_by_punct", False)
    steps = [tokenizers.pre_tokenizers.Punctuation("isolated")] if punctuation else []
    engine.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [*steps, tokenizers.pre_tokenizers.Metaspace(**metaspace)]
    )
    engine.decoder = tokenizers.decoders.Metaspace(**metaspace)
    cls, sep = names["cls"], names["sep"]
    special_template(engine, f"{cls}:0 $A:0 {sep}:0", f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1")
    return FastTokenizer(settings, engine)


def _normalizer(normalizers: Any, regex: Any, model: PieceModel, settings: Settings) -> Any:
    """The model's own normalisation if it has one, else composed characters, and white space as single spaces."""
    steps = [normalizers.Lowercase()] if settings.flag("do_lower_case", False) else []
    if model.charsmap:
        steps += [normalizers.Precompiled(model.charsmap), normalizers.Replace(regex(" {2,}"), " ")]
    else:
        steps += [normalizers.Replace(regex(r"\s{2,}|[\n\r\t]"), " "), normalizers.NFC()]
    return normalizers.Sequence([*steps, normalizers.Strip(left=False, right=True)])
