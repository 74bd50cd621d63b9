"""M2M100: `vocab.json`, `sentencepiece.bpe.model`, and a token ``__xx__`` for each language behind the vocabulary."""

from __future__ import annotations

from typing import Any, ClassVar

from fastseq.text.encoding import Template
from fastseq.text.languages import M2M100, WMT21
from fastseq.text.piece_tokenizer import PieceTokenizer, load_processor, read_ids
from fastseq.text.settings import Settings

__all__ = ["M2M100Tokenizer", "build"]

_FAMILIES = {"m2m100": M2M100, "wmt21": WMT21}


class M2M100Tokenizer(PieceTokenizer):
    """The source is ``__language__ text </s>``."""

    needs_source_language: ClassVar[bool] = True

    def __init__(self, settings: Settings, processor: Any, ids: dict[str, int], languages: list[str]) -> None:
        codes = {self.language_token(code): len(ids) + i for i, code in enumerate(languages)}
        defaults = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>"}
        special = [settings.token(name, default) for name, default in defaults.items()]
        special += [settings.token("unk_token", "<unk>"), *codes]
        every = ids | codes
        super().__init__(settings, processor, every, every, list(dict.fromkeys(special)))
        self.languages = list(languages)
        self._default = settings.text("src_lang") or "en"

    def template(self, pair: bool, src_lang: str | None = None) -> Template:
        """Return where the language and the end of the source stand."""
        texts: list[tuple[str | int, int]] = [("A", 0), ("B", 0)] if pair else [("A", 0)]
        language = self.language_id(self._default if src_lang is None else src_lang)
        return Template([(language, 0), *texts, (self._ids[self.eos_token], 0)])

    def language_token(self, language: str) -> str:
        """Return the token of a language code."""
        return f"__{language}__"


def build(settings: Settings) -> M2M100Tokenizer:
    """Return the tokenizer of a folder."""
    wanted = ("vocab.json", "sentencepiece.bpe.model")
    missing = [name for name in wanted if settings.file(name) is None]
    if missing:
        raise FileNotFoundError(f"model folder {str(settings.folder)!r} has no {' and no '.join(missing)}")
    family = settings.text("language_codes") or "m2m100"
    if family not in _FAMILIES:
        raise ValueError(f"{settings.folder}: language_codes is {family!r}; expected {' or '.join(_FAMILIES)}")
    processor = load_processor(settings.folder / wanted[1])
    return M2M100Tokenizer(settings, processor, read_ids(settings.folder / wanted[0]), _FAMILIES[family])
