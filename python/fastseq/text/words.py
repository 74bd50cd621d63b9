"""Words and punctuation marks as tokens: what recurrent classifiers and language models read."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["WordTokenizer"]

# A word with its inner apostrophes, or one mark that is no white space.
_PIECE = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|\S")
_UNITS = ("word", "character")


class WordTokenizer:
    """Cuts a text into words and marks, or into characters, and numbers them.

    Parameters
    ----------
    tokens : iterable of str
        Without repetitions; ids are positions in it.
    unknown : str
        The token that stands for every one that is not in the list.
    lowercase : bool, default True
        Whether texts are put in lower case first.
    unit : {"word", "character"}, default "word"
        A word is letters and digits with apostrophes inside; every other mark is a token of its own.

    Raises
    ------
    TypeError, ValueError
        If something is no text, a token is repeated, or `unknown` is not among the tokens.

    Examples
    --------
    >>> tokenizer = WordTokenizer(["<unk>", "it", "isn't", "bad", "."], "<unk>")
    >>> tokenizer.encode("It isn't bad at all.")
    [1, 2, 3, 0, 0, 4]
    >>> tokenizer.decode([1, 2, 3])
    "it isn't bad"
    """

    def __init__(self, tokens: Iterable[str], unknown: str, lowercase: bool = True, unit: str = "word") -> None:
        self.tokens = list(tokens)
        for i, token in enumerate(self.tokens):
            if not isinstance(token, str):
                raise TypeError(f"token {i} is {token!r}; expected text")
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self._ids) < len(self.tokens):
            token, count = Counter(self.tokens).most_common(1)[0]
            raise ValueError(f"token {token!r} is there {count} times; expected once")
        if not isinstance(unknown, str) or unknown not in self._ids:
            raise ValueError(f"unknown is {unknown!r}; expected one of the tokens")
        if not isinstance(lowercase, bool):
            raise TypeError(f"lowercase is {lowercase!r}; expected true or false")
        if unit not in _UNITS:
            raise ValueError(f"unit is {unit!r}; expected one of {', '.join(_UNITS)}")
        self.unknown = unknown
        self.lowercase = lowercase
        self.unit = unit

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        special: Iterable[str] = ("<unk>",),
        min_count: int = 1,
        lowercase: bool = True,
        unit: str = "word",
    ) -> WordTokenizer:
        """Take the vocabulary from texts.

        Parameters
        ----------
        texts : iterable of str
        special : iterable of str
            Tokens before all others; the first stands for unknown ones.
        min_count : int, default 1
            How often a token must occur to get an id of its own.
        lowercase, unit
            See the class.

        Returns
        -------
        WordTokenizer
            The special tokens, then the most frequent first, equally frequent ones in order of their characters.

        Examples
        --------
        >>> WordTokenizer.from_texts(["A rose is a rose."]).tokens
        ['<unk>', 'a', 'rose', '.', 'is']
        """
        first = list(special)
        empty = cls(first, first[0], lowercase, unit)
        counts = Counter(piece for text in texts for piece in empty.split(text))
        kept = [piece for piece, count in counts.items() if count >= min_count and piece not in first]
        return cls([*first, *sorted(kept, key=lambda piece: (-counts[piece], piece))], first[0], lowercase, unit)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> WordTokenizer:
        """Read the `vocab.json` of a folder.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        WordTokenizer

        Raises
        ------
        ValueError
            If the file is no such thing; the message names it.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(content, dict) or not isinstance(content.get("tokens"), list):
                raise ValueError('expected {"tokens": [...], "unknown": ..., "lowercase": ..., "unit": ...}')
            known = {"tokens", "unknown", "lowercase", "unit"}
            if content.keys() != known:
                raise ValueError(f"its fields are {', '.join(map(str, content))[:100]}; expected {', '.join(known)}")
            return cls(content["tokens"], content["unknown"], content["lowercase"], content["unit"])
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `vocab.json`.

        Parameters
        ----------
        path : str or path
        """
        content: dict[str, Any] = {
            "tokens": self.tokens,
            "unknown": self.unknown,
            "lowercase": self.lowercase,
            "unit": self.unit,
        }
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def split(self, text: str) -> list[str]:
        """Return the pieces of a text.

        Parameters
        ----------
        text : str

        Returns
        -------
        list of str

        Examples
        --------
        >>> WordTokenizer(["<unk>"], "<unk>").split("Well-made, I'd say!")
        ['well', '-', 'made', ',', "i'd", 'say', '!']
        """
        if not isinstance(text, str):
            raise TypeError(f"text is {text!r}; expected text")
        text = text.lower() if self.lowercase else text
        return list(text) if self.unit == "character" else _PIECE.findall(text)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; what is not known is `unknown`.

        Parameters
        ----------
        text : str

        Returns
        -------
        list of int
        """
        unknown = self._ids[self.unknown]
        return [self._ids.get(piece, unknown) for piece in self.split(text)]

    def token_id(self, token: str) -> int:
        """Return the id of a token.

        Parameters
        ----------
        token : str

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If it is not in the vocabulary.
        """
        if token not in self._ids:
            raise ValueError(f"the vocabulary has no token {token!r}")
        return self._ids[token]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the tokens of ids as text: words with spaces between them, characters without.

        Parameters
        ----------
        ids : iterable of int

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If an id is out of range.
        """
        pieces = []
        for i in ids:
            if not 0 <= i < len(self.tokens):
                raise ValueError(f"id {i}; expected 0 to {len(self.tokens) - 1}")
            pieces.append(self.tokens[i])
        return ("" if self.unit == "character" else " ").join(pieces)

    def __len__(self) -> int:
        return len(self.tokens)
