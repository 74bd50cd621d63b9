"""NLLB: a BPE vocabulary that fairseq's tokens move up by one, 202 language codes behind it."""

from __future__ import annotations

from typing import Any

from fastseq.text.fast import read_tokenizer_json
from fastseq.text.language_tokenizer import LanguageTokenizer
from fastseq.text.languages import NLLB
from fastseq.text.piece_engine import FAIRSEQ_START, bpe_engine, read_pieces
from fastseq.text.settings import AddedToken, Settings

__all__ = ["build"]


def build(settings: Settings) -> LanguageTokenizer:
    """Return the tokenizer of a folder: ``language text </s>``, or the other way round as its first models had it."""
    additional = [token.content for token in settings.additional_tokens()]
    languages = additional or NLLB
    first = not settings.flag("legacy_behaviour", False)
    engine = _engine(settings, languages)
    return LanguageTokenizer(settings, engine, languages, language_first=first, default="eng_Latn")


def _engine(settings: Settings, languages: list[str]) -> Any:
    if settings.file("tokenizer.json") is not None:
        return read_tokenizer_json(settings)
    model = read_pieces(settings)
    pieces = [*FAIRSEQ_START, *(piece for piece, _ in model.scores[3:])]
    special = [*map(AddedToken, FAIRSEQ_START), *map(AddedToken, languages), AddedToken("<mask>", lstrip=True)]
    return bpe_engine(model, pieces, "<unk>", [*settings.added_tokens(), *special])
