"""`fastseq._ragged` in Python, for installations without extension modules: same names, same behaviour."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["flatten", "token_batches"]


def flatten(sequences: Sequence[Any], vocab_size: int, name: str) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Ids of all sequences end to end, and where each begins."""
    ids: list[int] = []
    offsets = [0]
    for b, row in enumerate(sequences):
        if isinstance(row, (str, bytes)) or not hasattr(row, "__len__"):
            raise TypeError(f"{name}[{b}] is {type(row).__name__}; expected a sequence of token ids")
        for i, item in enumerate(row.tolist() if hasattr(row, "tolist") else row):
            if isinstance(item, bool) or not hasattr(item, "__index__"):
                raise TypeError(f"{name}[{b}][{i}] is {item!r}; expected a token id (a whole number)")
            if not 0 <= operator.index(item) < vocab_size:
                raise ValueError(f"{name}[{b}][{i}] is {item}; expected a token id in [0, {vocab_size})")
            ids.append(operator.index(item))
        offsets.append(len(ids))
    return np.array(ids, np.int32), np.array(offsets, np.int64)


def token_batches(lengths: Sequence[int] | NDArray[Any], max_tokens: int) -> list[list[int]]:
    """Indices of sequences, longest first, in batches of at most `max_tokens`: their number times the longest."""
    size = np.asarray(lengths, np.int64)
    batches: list[list[int]] = []
    longest = 0
    for index in np.argsort(-size, kind="stable").tolist():
        if not batches or (len(batches[-1]) + 1) * max(longest, 1) > max_tokens:
            batches.append([])
            longest = int(size[index])
        batches[-1].append(index)
    return batches
