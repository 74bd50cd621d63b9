"""What the JSON files of a folder say about its tokenizer."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["AddedToken", "Settings", "read_json"]

# Folders write "no limit" as a very large number.
_NO_LIMIT = 10**9


@dataclass(frozen=True)
class AddedToken:
    """A token that is found in text as it stands, before anything else is.

    Attributes
    ----------
    content : str
    id : int or None
        None if the vocabulary has it or the next id is meant.
    special : bool
        Whether decoding may leave it out.
    lstrip, rstrip : bool
        Whether it swallows white space on its left or right.
    normalized, single_word : bool
        Whether it is looked for in normalised text, and only as a whole word.
    """

    content: str
    id: int | None = None
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    single_word: bool = False

    def flags(self) -> dict[str, bool]:
        """Return everything but content and id."""
        return {name: getattr(self, name) for name in ("special", "lstrip", "rstrip", "normalized", "single_word")}


def read_json(path: Path, kind: type = dict) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    ValueError
        If it is no JSON or not of the kind; the message names the file.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, kind):
        raise ValueError(f"{path} holds a {type(value).__name__}; expected a {kind.__name__}")
    return value


class Settings:
    """`tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` and the model's type.

    Parameters
    ----------
    folder : path

    Raises
    ------
    ValueError
        If a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.values: dict[str, Any] = self._optional("tokenizer_config.json")
        # These two are older than `added_tokens_decoder`; where they are heard, they are heard first.
        older = {name: self._optional(name) for name in ("special_tokens_map.json", "added_tokens.json")}
        self._map, self._added = ({}, {}) if "added_tokens_decoder" in self.values else tuple(older.values())
        self.model_config = self._optional("config.json")
        self.model_type = str(self.model_config.get("model_type", ""))
        self.tokenizer_class = str(self.values.get("tokenizer_class") or "").removesuffix("Fast")

    @property
    def max_length(self) -> int | None:
        """The longest input, or None for no limit."""
        value = self.values.get("model_max_length")
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return int(value) if value is not None and number and 0 < value < _NO_LIMIT else None

    @property
    def clean_up(self) -> bool:
        """Whether decoding takes spaces before punctuation out."""
        return self.values.get("clean_up_tokenization_spaces") is True

    def flag(self, name: str, default: bool) -> bool:
        """Return a setting that is true or false."""
        value = self.values.get(name)
        return value if isinstance(value, bool) else default

    def text(self, name: str) -> str | None:
        """Return a setting that is text, or None."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def token(self, name: str, default: str) -> str:
        """Return the content of a special token such as `eos_token`."""
        value = self.named_token(name)
        return default if value is None else value.content

    def named_token(self, name: str) -> AddedToken | None:
        """Return a special token by its name, or None if no file names it."""
        return _token(self._map.get(name)) or _token(self.values.get(name))

    def named_tokens(self) -> list[AddedToken]:
        """Return the special tokens that have a name."""
        names = [name for name in self.values | self._map if name.endswith("_token")]
        return [token for name in names if (token := self.named_token(name)) is not None]

    def additional_tokens(self) -> list[AddedToken]:
        """Return the further special tokens, in their order."""
        for source in (self.values, self._map):
            for name in ("extra_special_tokens", "additional_special_tokens"):
                values = source.get(name)
                values = list(values.values()) if isinstance(values, dict) else values
                if isinstance(values, list) and values:
                    return [token for value in values if (token := _token(value)) is not None]
        return []

    def added_tokens(self) -> list[AddedToken]:
        """Return the tokens with ids beside the vocabulary, in the order of their ids."""
        found = []
        special = self.special_contents()
        decoder = self.values.get("added_tokens_decoder")
        for key, value in (decoder if isinstance(decoder, dict) else {}).items():
            token = _token(value, int(key)) if str(key).isdigit() else None
            if token is not None:
                found.append(dataclasses.replace(token, special=token.special or token.content in special))
        for content, index in self._added.items():
            if isinstance(index, int):
                found.append(AddedToken(content, index, content in special, normalized=content not in special))
        return sorted(found, key=lambda token: token.id or 0)

    def special_contents(self) -> set[str]:
        """Return the contents of all special tokens that the files name."""
        return {token.content for token in self.named_tokens() + self.additional_tokens()}

    def file(self, *names: str) -> Path | None:
        """Return the first of these files that is there."""
        return next((self.folder / name for name in names if (self.folder / name).is_file()), None)

    def _optional(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return dict(read_json(path)) if path.is_file() else {}


def _token(value: Any, index: int | None = None) -> AddedToken | None:
    content = value.get("content") if isinstance(value, dict) else value
    if not isinstance(content, str) or not content:
        return None
    if any("\ud800" <= character <= "\udfff" for character in content):
        raise ValueError(f"the added token {content[:60]!r} has half a character: a lone surrogate")
    if isinstance(value, str):
        return AddedToken(content, index)
    special = value.get("special", index is None) is True
    flags = {name: value.get(name) is True for name in ("lstrip", "rstrip", "single_word")}
    normalized = value.get("normalized", not special) is True
    return AddedToken(content, index, special, normalized=normalized, **flags)
