"""What every tokenizer of a model folder can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from fastseq.text.encoding import Encoding, Pieces, Template, clean_up, frame, shorten, windows
from fastseq.text.settings import Settings

__all__ = ["Tokenizer"]

_TRUNCATIONS = ("longest_first", "only_first", "only_second")


class Tokenizer(ABC):
    """Text to ids and back, as the model's folder says.

    `load_tokenizer` makes one. It keeps no state: one tokenizer serves any number of threads.

    Attributes
    ----------
    languages : list of str
        Language codes the tokenizer knows, if its model is multilingual.
    max_length : int or None
        The longest input the folder allows, special tokens included.
    truncation_side : {"right", "left"}
        Where a text that is too long is cut off, as the folder says.
    """

    #: Whether a source language is part of every input.
    needs_source_language: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.languages: list[str] = []
        self.max_length = settings.max_length
        self.truncation_side = "left" if settings.text("truncation_side") == "left" else "right"

    # What a kind of tokenizer defines.

    @abstractmethod
    def pieces(self, text: str, details: bool = False) -> Pieces:
        """Return a text without special tokens around it; `details` asks for offsets and words."""

    @abstractmethod
    def template(self, pair: bool, src_lang: str | None = None) -> Template:
        """Return where special tokens stand around a text or a pair."""

    @abstractmethod
    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the token of each id."""

    @abstractmethod
    def token_id(self, token: str) -> int | None:
        """Return the id of a token, or None if there is none."""

    @abstractmethod
    def join(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        """Return the text of ids, as the tokenizer's decoder writes it."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of tokens, added ones included."""

    @abstractmethod
    def join_tokens(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens, as the tokenizer's decoder writes it."""

    @property
    def cuts_words(self) -> bool:
        """Whether a token that continues a word is marked as such, with "##"."""
        return False

    @property
    def cleans_up(self) -> bool:
        """Whether decoding takes spaces before punctuation out unless it is told otherwise."""
        return self.settings.clean_up

    # What follows from it.

    @property
    def unk_id(self) -> int | None:
        """The id of what the vocabulary lacks, or None."""
        named = self.settings.named_token("unk_token")
        return self.token_id("<unk>" if named is None else named.content)

    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        add_special_tokens: bool = True,
        max_length: int | None = None,
        truncation: str = "longest_first",
        src_lang: str | None = None,
        details: bool = False,
    ) -> Encoding:
        """Return the ids of a text or of a pair of texts.

        Parameters
        ----------
        text : str
        pair : str, optional
            The second text.
        add_special_tokens : bool, default True
        max_length : int, optional
            Longest result; what is more is cut off, and `Encoding.truncated` says so.
        truncation : {"longest_first", "only_first", "only_second"}
            Which text of a pair is cut.
        src_lang : str, optional
            The language of the text, for tokenizers that mark it.
        details : bool, default False
            Whether offsets and word numbers are wanted.

        Returns
        -------
        Encoding

        Raises
        ------
        TypeError
            If a text is no str.
        ValueError
            If `max_length` leaves no room, or an option is wrong.
        """
        if truncation not in _TRUNCATIONS:
            raise ValueError(f"truncation is {truncation!r}; expected one of {', '.join(_TRUNCATIONS)}")
        template = self._template(pair is not None, add_special_tokens, src_lang)
        texts = {"A": self.pieces(_text("text", text), details)}
        if pair is not None:
            texts["B"] = self.pieces(_text("pair", pair), details)
        length = sum(map(len, texts.values()))
        if max_length is None or length + template.added <= max_length:
            return frame(template, texts)
        room = _room(max_length, template)
        first, second = len(texts["A"]), len(texts.get("B", ()))
        if truncation == "longest_first":
            first, second = shorten(first, second, room)
        elif truncation == "only_first":
            first = room - second
        else:
            second = room - first
        if first < 0 or second < 0:
            whole, size = ("pair", second) if first < 0 else ("text", first)
            raise ValueError(f"max_length is {max_length}; the {whole} alone has {size} tokens and is not cut")
        kept = dict(zip("AB", (first, second), strict=True))
        texts = {name: pieces.keep(kept[name], self.truncation_side) for name, pieces in texts.items()}
        return frame(template, texts, truncated=True)

    def encode_windows(
        self,
        text: str,
        pair: str | None = None,
        *,
        max_length: int,
        stride: int,
        src_lang: str | None = None,
    ) -> list[Encoding]:
        """Return a long text in overlapping windows, or a text with windows of its pair; with offsets.

        Parameters
        ----------
        text : str
            Cut into windows if there is no `pair`, else whole in every window.
        pair : str, optional
            Cut into windows.
        max_length : int
            Longest window, special tokens and `text` included.
        stride : int
            Tokens that two neighbours have in common.
        src_lang : str, optional
            As in `encode`.

        Returns
        -------
        list of Encoding
            At least one.

        Raises
        ------
        ValueError
            If `max_length` leaves no more room than `stride`.
        """
        template = self._template(pair is not None, True, src_lang)
        first = self.pieces(_text("text", text), True)
        cut, whole = (first, {}) if pair is None else (self.pieces(_text("pair", pair), True), {"A": first})
        room = _room(max_length, template) - sum(map(len, whole.values()))
        if room <= stride or stride < 0:
            raise ValueError(
                f"max_length is {max_length} and stride {stride}; with {template.added} special tokens"
                f"{f' and {len(first)} of the first text' if whole else ''} {max(room, 0)} remain for a window, which"
                " must be more than the stride"
            )
        spans = list(windows(len(cut), room, stride))
        if self.truncation_side == "left":  # then the last window is whole and the first one short
            spans = [(len(cut) - end, len(cut) - begin) for begin, end in reversed(spans)]
        name = "A" if pair is None else "B"
        return [frame(template, whole | {name: cut.cut(b, e)}, truncated=len(spans) > 1) for b, e in spans]

    def decode(
        self,
        ids: Iterable[int],
        skip_special_tokens: bool = True,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> str:
        """Return the text of ids.

        Parameters
        ----------
        ids : iterable of int
        skip_special_tokens : bool, default True
        clean_up_tokenization_spaces : bool, optional
            Whether spaces before punctuation and English contractions are taken out. By default as the folder's
            `tokenizer_config.json` says, else not.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If an id is out of range.
        """
        given = [int(i) for i in ids]
        for i in given:
            if not 0 <= i < 2**31:
                raise ValueError(f"id {i} is no token; expected 0 to {self.vocab_size - 1}")
        text = self.join(given, skip_special_tokens)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.cleans_up
        return clean_up(text) if clean_up_tokenization_spaces else text

    def target_text(self, text: str, tgt_lang: str | None) -> str:
        """Return the source text with the target language marked in it, for models that read it there."""
        if tgt_lang is not None:
            self.language_id(tgt_lang)
        return text

    def language_id(self, language: str) -> int:
        """Return the id of a language code: what `forced_bos_token_id` is for a target language.

        Parameters
        ----------
        language : str

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If the tokenizer has no such language; the message lists those it has.
        """
        token = self.language_token(language)
        found = self.token_id(token) if language in self.languages else None
        if found is None:
            known = ", ".join(self.languages) if self.languages else "none: its model is for one pair of languages"
            raise ValueError(f"language {language!r} is unknown to this tokenizer; it has {known}")
        return found

    def language_token(self, language: str) -> str:
        """Return the token of a language code."""
        return language

    @property
    def forces_target_language(self) -> bool:
        """Whether the target language is the first token that the decoder writes."""
        return self.needs_source_language

    def _template(self, pair: bool, add_special_tokens: bool, src_lang: str | None) -> Template:
        if add_special_tokens:
            return self.template(pair, src_lang)
        return Template([("A", 0), ("B", 1)] if pair else [("A", 0)])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.settings.folder)!r}, vocab_size={self.vocab_size})"


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {type(value).__name__}; expected a str")
    # A lone surrogate is no character and no encoder takes it: it is what U+FFFD is for.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _has_surrogates(value) else value


def _has_surrogates(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _room(max_length: int, template: Template) -> int:
    if max_length <= template.added:
        raise ValueError(f"max_length is {max_length}; expected more than the {template.added} special tokens")
    return max_length - template.added
