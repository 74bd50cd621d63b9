"""The vocabulary of a model folder: what each source and target id means."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["UnknownTokenError", "Vocabulary"]

_UNITS = ("character", "token")


class UnknownTokenError(ValueError):
    """A text has something that the vocabulary lacks."""


class Vocabulary:
    """Source and target tokens; ids are positions in the lists.

    Parameters
    ----------
    source, target : iterable of str
        Without repetitions.
    unit : {"character", "token"}
        What one source token is: a character of the text, or a piece of it between white space.
    separator : str, default " "
        What stands between target tokens in text.

    Raises
    ------
    TypeError, ValueError
        If something is no text, or a token is repeated.

    Examples
    --------
    >>> vocabulary = Vocabulary(["<pad>", "a", "b"], ["<pad>", "<bos>", "<eos>", "AE1", "B"])
    >>> vocabulary.encode("ab")
    [1, 2]
    >>> vocabulary.decode([3, 4])
    ['AE1', 'B']
    """

    def __init__(
        self, source: Iterable[str], target: Iterable[str], unit: str = "character", separator: str = " "
    ) -> None:
        self.source = _tokens("source", source)
        self.target = _tokens("target", target)
        if unit not in _UNITS:
            raise ValueError(f"unit is {unit!r}; expected one of {', '.join(_UNITS)}")
        if not isinstance(separator, str):
            raise TypeError(f"separator is {separator!r}; expected text")
        self.unit = unit
        self.separator = separator
        self._source_id = {token: i for i, token in enumerate(self.source)}

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read a `vocab.json`.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        Vocabulary

        Raises
        ------
        ValueError
            If the file is no such thing; the message names it.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            source, target = _side(content, "source"), _side(content, "target")
            return cls(
                source["tokens"],
                target["tokens"],
                unit=source.get("unit", "character"),
                separator=target.get("separator", " "),
            )
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `vocab.json`.

        Parameters
        ----------
        path : str or path
        """
        content = {
            "source": {"tokens": self.source, "unit": self.unit},
            "target": {"tokens": self.target, "separator": self.separator},
        }
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text.

        Parameters
        ----------
        text : str

        Returns
        -------
        list of int

        Raises
        ------
        UnknownTokenError
            If a character or token is not in the vocabulary; the message names the text and all of them.
        """
        pieces = list(text) if self.unit == "character" else text.split()
        unknown = [piece for piece in dict.fromkeys(pieces) if piece not in self._source_id]
        if unknown:
            named = ", ".join(repr(piece) for piece in unknown)
            plural = "s" if len(unknown) > 1 else ""
            raise UnknownTokenError(f"{text!r} has {self.unit}{plural} {named}, which the model does not know")
        return [self._source_id[piece] for piece in pieces]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Return the target tokens of ids.

        Parameters
        ----------
        ids : iterable of int

        Returns
        -------
        list of str

        Raises
        ------
        ValueError
            If an id is out of range.
        """
        tokens = []
        for i in ids:
            if not 0 <= i < len(self.target):
                raise ValueError(f"target id {i}; expected 0 to {len(self.target) - 1}")
            tokens.append(self.target[i])
        return tokens


def _side(content: Any, side: str) -> dict[str, Any]:
    value = content.get(side) if isinstance(content, dict) else None
    if not isinstance(value, dict) or not isinstance(value.get("tokens"), list):
        raise ValueError(f'expected {{"{side}": {{"tokens": [...]}}}}')
    return value


def _tokens(side: str, tokens: Iterable[str]) -> list[str]:
    result = list(tokens)
    for i, token in enumerate(result):
        if not isinstance(token, str):
            raise TypeError(f"{side} token {i} is {token!r}; expected text")
    if len(set(result)) < len(result):
        repeated = next(token for token in result if result.count(token) > 1)
        raise ValueError(f"{side} token {repeated!r} is there {result.count(repeated)} times; expected once")
    return result
