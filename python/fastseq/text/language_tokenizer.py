"""Tokenizers that mark the language of the source, and whose decoder begins with the language of the target."""

from __future__ import annotations

from typing import Any, ClassVar

from fastseq.text.encoding import Template
from fastseq.text.fast import FastTokenizer
from fastseq.text.settings import Settings

__all__ = ["LanguageTokenizer"]


class LanguageTokenizer(FastTokenizer):
    """A tokenizer of mBART, mBART-50 or NLLB.

    Parameters
    ----------
    settings : Settings
        `src_lang` there is the default language.
    engine : tokenizers.Tokenizer
    languages : list of str
        Those of the family; what the vocabulary lacks is left out.
    language_first : bool
        Whether the source is ``language text </s>``, or ``text </s> language``.
    default : str
        The source language where neither the folder nor the caller names one.
    """

    needs_source_language: ClassVar[bool] = True

    def __init__(
        self, settings: Settings, engine: Any, languages: list[str], language_first: bool, default: str
    ) -> None:
        super().__init__(settings, engine)
        self.languages = [code for code in languages if engine.token_to_id(code) is not None]
        self._language_first = language_first
        self._default = settings.text("src_lang") or default
        eos = settings.token("eos_token", "</s>")
        self._eos = engine.token_to_id(eos)
        if self._eos is None:
            raise ValueError(f"the vocabulary of {str(settings.folder)!r} lacks the eos_token {eos[:60]!r}")

    def template(self, pair: bool, src_lang: str | None = None) -> Template:
        """Return where the language and the end of the source stand."""
        language = self.language_id(self._default if src_lang is None else src_lang)
        texts: list[tuple[str | int, int]] = [("A", 0), ("B", 0)] if pair else [("A", 0)]
        if self._language_first:
            return Template([(language, 0), *texts, (self._eos, 0)])
        return Template([*texts, (self._eos, 0), (language, 0)])
