"""Marian (OPUS-MT): `source.spm`, `target.spm`, `vocab.json`; ``>>xx<<`` names the target language of some."""

from __future__ import annotations

from typing import Any

from fastseq.text.encoding import Template
from fastseq.text.piece_tokenizer import PieceTokenizer, load_processor, read_ids
from fastseq.text.settings import Settings

__all__ = ["MarianTokenizer", "build"]


class MarianTokenizer(PieceTokenizer):
    """Source pieces and the end token; a multilingual source may begin with its target's ``>>xx<<``."""

    def __init__(
        self, settings: Settings, source: Any, target: Any, ids: dict[str, int], target_ids: dict[str, int]
    ) -> None:
        pad = settings.token("pad_token", "<pad>")
        special = [settings.token("unk_token", "<unk>"), settings.token("eos_token", "</s>"), pad]
        super().__init__(settings, source, ids, target_ids, list(dict.fromkeys(special)))
        self._target = target
        self.languages = [token[2:-2] for token in ids if token.startswith(">>") and token.endswith("<<")]

    def cut(self, text: str) -> list[str]:
        """Return the pieces of a text; a language code at its beginning is one."""
        end = text.find("<<")
        if text.startswith(">>") and end != -1:
            return [text[: end + 2], *super().cut(text[end + 2 :])]
        return super().cut(text)

    def template(self, pair: bool, src_lang: str | None = None) -> Template:
        """Return where the end token stands. The source language is the model's: `src_lang` says nothing new."""
        texts: list[tuple[str | int, int]] = [("A", 0), ("B", 0)] if pair else [("A", 0)]
        return Template([*texts, (self._ids[self.eos_token], 0)])

    def unite(self, tokens: list[str]) -> str:
        """Return the text of target pieces."""
        return str(self._target.decode_pieces(tokens)).replace("\u2581", " ") if tokens else ""

    def written(self, special: str) -> str:
        """Return a special token with the space that sets it apart."""
        return f"{special} "

    def language_token(self, language: str) -> str:
        """Return the token of a language code."""
        return f">>{language}<<"

    def target_text(self, text: str, tgt_lang: str | None) -> str:
        """Return the text behind the token of its target language."""
        if tgt_lang is None or (not self.languages and text.startswith(">>")):
            return text
        self.language_id(tgt_lang)
        return text if text.startswith(">>") else f"{self.language_token(tgt_lang)} {text}"


def build(settings: Settings) -> MarianTokenizer:
    """Return the tokenizer of a folder."""
    wanted = ["source.spm", "target.spm", "vocab.json"]
    separate = settings.flag("separate_vocabs", False)
    wanted += ["target_vocab.json"] if separate else []
    missing = [name for name in wanted if settings.file(name) is None]
    if missing:
        raise FileNotFoundError(f"model folder {str(settings.folder)!r} has no {' and no '.join(missing)}")
    source, target = (load_processor(settings.folder / name) for name in wanted[:2])
    ids = read_ids(settings.folder / "vocab.json")
    target_ids = read_ids(settings.folder / "target_vocab.json") if separate else ids
    return MarianTokenizer(settings, source, target, ids, target_ids)
