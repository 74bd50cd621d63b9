"""mBART and mBART-50: language codes behind SentencePiece's vocabulary, which fairseq's tokens move up by one."""

from __future__ import annotations

from typing import Any

from fastseq.text.fast import read_tokenizer_json
from fastseq.text.language_tokenizer import LanguageTokenizer
from fastseq.text.languages import MBART, MBART50
from fastseq.text.piece_engine import FAIRSEQ_START, read_pieces, unigram_engine
from fastseq.text.settings import AddedToken, Settings

__all__ = ["build", "build_50"]


def build(settings: Settings) -> LanguageTokenizer:
    """Return the tokenizer of an mBART folder: ``text </s> language``."""
    return LanguageTokenizer(settings, _engine(settings, MBART, True), MBART, language_first=False, default="en_XX")


def build_50(settings: Settings) -> LanguageTokenizer:
    """Return the tokenizer of an mBART-50 folder: ``language text </s>``."""
    return LanguageTokenizer(settings, _engine(settings, MBART50, False), MBART50, language_first=True, default="en_XX")


def _engine(settings: Settings, languages: list[str], split_words: bool) -> Any:
    if settings.file("tokenizer.json") is not None:
        return read_tokenizer_json(settings)
    model = read_pieces(settings)
    vocabulary = [(token, 0.0) for token in FAIRSEQ_START] + model.scores[3:]
    vocabulary += [(code, 0.0) for code in languages] + [("<mask>", 0.0)]
    special = [*map(AddedToken, FAIRSEQ_START), AddedToken("<mask>", lstrip=True), *map(AddedToken, languages)]
    return unigram_engine(model, vocabulary, 3, [*settings.added_tokens(), *special], split_words)
