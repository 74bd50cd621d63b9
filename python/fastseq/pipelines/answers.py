"""Start and end probabilities to the spans of an answer."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.text import Encoding

__all__ = ["Answer", "best_spans", "place_of"]

Answer: TypeAlias = dict[str, Any]


def best_spans(
    start: NDArray[np.float32], end: NDArray[np.float32], allowed: NDArray[np.bool_], count: int, longest: int
) -> list[tuple[int, int, float]]:
    """Return the most probable spans.

    Parameters
    ----------
    start, end : (T,) float32 array
        Probabilities of the tokens.
    allowed : (T,) bool array
        Where a span may begin and end.
    count : int
        How many spans are looked at; those that are not allowed are left out of them.
    longest : int
        Most tokens of a span.

    Returns
    -------
    list of (int, int, float)
        First and last token and the product of their probabilities, best first.

    Examples
    --------
    >>> start, end = np.array([0.1, 0.7, 0.2], np.float32), np.array([0.5, 0.1, 0.4], np.float32)
    >>> [(a, b, round(p, 2)) for a, b, p in best_spans(start, end, np.ones(3, bool), 2, 2)]
    [(1, 2, 0.28), (2, 2, 0.08)]
    """
    # Row i holds the spans that begin at token i: columns are their lengths.
    width = min(longest, len(start))
    padded = np.concatenate([end, np.zeros(width - 1, np.float32)])
    scores = start[:, None] * np.lib.stride_tricks.sliding_window_view(padded, width)
    flat = scores.ravel()
    best = np.argsort(-flat, kind="stable")[:count]
    found = []
    for place in best.tolist():
        first, length = divmod(place, width)
        last = first + length
        if last < len(start) and allowed[first] and allowed[last]:
            found.append((first, last, float(flat[place])))
    return found


def place_of(unit: Encoding, first: int, last: int, whole_words: bool) -> tuple[int, int]:
    """Return where a span of tokens stands in its text, in characters.

    Parameters
    ----------
    unit : Encoding
        With offsets and words.
    first, last : int
        Tokens.
    whole_words : bool
        Whether the words are meant that they belong to.

    Returns
    -------
    (int, int)
        Begin and end.
    """
    offsets, words = unit.offsets or [], unit.words or []
    begin, end = offsets[first][0], offsets[last][1]
    if whole_words and words[first] is not None and words[last] is not None:
        sequence = unit.sequences[first]
        begin = min(offsets[i][0] for i, word in enumerate(words) if _is(unit, i, sequence, words[first], word))
        end = max(offsets[i][1] for i, word in enumerate(words) if _is(unit, i, sequence, words[last], word))
    return begin, end


def _is(unit: Encoding, i: int, sequence: int | None, wanted: int | None, word: int | None) -> bool:
    return word == wanted and unit.sequences[i] == sequence
