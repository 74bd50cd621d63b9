"""What a tokenizer makes of a text, and how special tokens and windows are laid around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Encoding", "Pieces", "Template", "clean_up", "frame", "shorten", "windows"]

Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Pieces:
    """A text as ids, without special tokens.

    Attributes
    ----------
    ids : list of int
    offsets : list of (int, int) or None
        Where each stands in the text, in characters; None if nobody asked, or the tokenizer cannot tell.
    words : list of (int or None) or None
        The number of the word that each belongs to; None likewise.
    """

    ids: list[int]
    offsets: list[Span] | None = None
    words: list[int | None] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def cut(self, begin: int, end: int) -> Pieces:
        """Return the pieces from `begin` to before `end`."""
        return Pieces(
            self.ids[begin:end],
            None if self.offsets is None else self.offsets[begin:end],
            None if self.words is None else self.words[begin:end],
        )

    def keep(self, count: int, cut_side: str) -> Pieces:
        """Return `count` pieces, the others cut off on the "left" or "right"."""
        return self.cut(len(self) - count, len(self)) if cut_side == "left" else self.cut(0, count)


@dataclass(frozen=True)
class Encoding:
    """Ids as a model reads them.

    Attributes
    ----------
    ids : list of int
    type_ids : list of int
        The segment of each: what BERT calls token types.
    sequences : list of (int or None)
        0 for the first text, 1 for the second, None for special tokens.
    offsets : list of (int, int) or None
        Where each stands in its text, in characters; (0, 0) for special tokens.
    words : list of (int or None) or None
        The number of the word that each belongs to in its text.
    truncated : bool
        Whether something of the text was left out.

    Examples
    --------
    >>> Encoding([101, 7592, 102], [0, 0, 0], [None, 0, None]).special
    [True, False, True]
    """

    ids: list[int]
    type_ids: list[int]
    sequences: list[int | None]
    offsets: list[Span] | None = None
    words: list[int | None] | None = None
    truncated: bool = field(default=False, compare=False)

    @property
    def special(self) -> list[bool]:
        """Whether each is a special token that stands around the texts."""
        return [sequence is None for sequence in self.sequences]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Template:
    """Where texts and special tokens stand.

    Attributes
    ----------
    parts : sequence of (str or int, int)
        "A" or "B", the first and the second text, or the id of a special token; and the type id.
    """

    parts: Sequence[tuple[str | int, int]]

    @property
    def added(self) -> int:
        """The number of special tokens."""
        return sum(isinstance(part, int) for part, _ in self.parts)


def frame(template: Template, texts: dict[str, Pieces], truncated: bool = False) -> Encoding:
    """Lay the special tokens of a template around texts.

    Parameters
    ----------
    template : Template
    texts : dict
        "A" and, for pairs, "B".
    truncated : bool

    Returns
    -------
    Encoding
    """
    ids: list[int] = []
    type_ids: list[int] = []
    sequences: list[int | None] = []
    offsets: list[Span] | None = [] if all(pieces.offsets is not None for pieces in texts.values()) else None
    words: list[int | None] | None = [] if all(pieces.words is not None for pieces in texts.values()) else None
    for part, kind in template.parts:
        pieces = Pieces([part], [(0, 0)], [None]) if isinstance(part, int) else texts[part]
        ids += pieces.ids
        type_ids += [kind] * len(pieces)
        sequences += [None if isinstance(part, int) else "AB".index(part)] * len(pieces)
        if offsets is not None and pieces.offsets is not None:
            offsets += pieces.offsets
        if words is not None and pieces.words is not None:
            words += pieces.words
    return Encoding(ids, type_ids, sequences, offsets, words, truncated)


def shorten(first: int, second: int, room: int) -> tuple[int, int]:
    """Return the lengths of two texts cut to fit together, the longer one first.

    Parameters
    ----------
    first, second : int
        Their lengths.
    room : int
        What both may have together.

    Returns
    -------
    (int, int)

    Examples
    --------
    >>> shorten(3, 20, 10), shorten(20, 20, 9), shorten(2, 2, 9)
    ((3, 7), (4, 5), (2, 2))
    """
    if first + second <= room:
        return first, second
    short, long = sorted((first, second))
    if short > room // 2:
        short, long = room // 2, room - room // 2
    else:
        long = room - short
    return (long, short) if first > second else (short, long)


def windows(length: int, size: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield overlapping windows over a text.

    Parameters
    ----------
    length : int
        Of the text, in tokens.
    size : int
        Of a window; the last one may be shorter.
    stride : int
        How many tokens two neighbours have in common, less than `size`.

    Yields
    ------
    (int, int)
        Begin and end.

    Examples
    --------
    >>> list(windows(10, 4, 1)), list(windows(0, 4, 1))
    ([(0, 4), (3, 7), (6, 10)], [(0, 0)])
    """
    begin = 0
    while begin + size < length:
        yield begin, begin + size
        begin += size - stride
    yield begin, length


_CLEAN = (" .", " ?", " !", " ,", " n't", " 'm", " 's", " 've", " 're")


def clean_up(text: str) -> str:
    """Take spaces before punctuation and English contractions out, as Hugging Face's tokenizers do.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> clean_up("It 's done , isn ' t it ?")
    "It's done, isn't it?"
    """
    for spaced in _CLEAN[:4]:
        text = text.replace(spaced, spaced[1:])
    text = text.replace(" ' ", "'")
    for spaced in _CLEAN[4:]:
        text = text.replace(spaced, spaced[1:])
    return text
