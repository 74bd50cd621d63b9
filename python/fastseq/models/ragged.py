"""Token ids as callers give them to flat arrays and offsets."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastseq._ragged import flatten, token_batches
else:
    try:
        from fastseq._ragged import flatten, token_batches
    except ImportError:  # without the extension modules everything still runs, in Python
        from fastseq.models._ragged_fallback import flatten, token_batches

__all__ = [
    "Floats",
    "Ids",
    "Offsets",
    "check_positions",
    "in_parts",
    "ragged",
    "ragged_targets",
    "run_in_parts",
    "token_batches",
]

Floats: TypeAlias = NDArray[np.float32]
Ids: TypeAlias = NDArray[np.int32]
Offsets: TypeAlias = NDArray[np.int64]

# Of one call of an encoder: its memory grows with them, and between calls it can be interrupted.
_PART_TOKENS = 16_384


def ragged(sequences: Any, lengths: Any, vocab_size: int, name: str) -> tuple[Ids, Offsets]:
    """Ids of all sequences end to end and where each begins.

    Parameters
    ----------
    sequences : sequence of sequences of int, or 2-D integer array
    lengths : sequence of int, optional
        Of the rows of a 2-D array: what is behind them is padding.
    vocab_size : int
        Ids are below it.
    name : str
        What errors call `sequences`.

    Returns
    -------
    ids : (N,) int32
    offsets : (B + 1,) int64
        Sequence b is ``ids[offsets[b]:offsets[b + 1]]``.

    Raises
    ------
    TypeError
        If something is no sequence of whole numbers.
    ValueError
        If an id or a length is out of range.
    """
    if isinstance(sequences, (str, bytes)) or not hasattr(sequences, "__len__"):
        raise TypeError(f"{name} is {type(sequences).__name__}; expected a list of lists of ids or a 2-D array")
    shape = getattr(sequences, "shape", None)
    if shape is not None:
        array = np.asarray(sequences)
        if array.ndim != 2:
            raise ValueError(f"{name} has shape {array.shape}; expected (sequences, tokens)")
        if array.dtype.kind not in "iu":
            raise TypeError(f"{name} has dtype {array.dtype}; expected integers")
        sequences = list(array)
    if lengths is not None:
        if shape is None:
            raise ValueError(f"lengths are given; expected them only with a 2-D array, and {name} is a list")
        sequences = [row[:n] for row, n in zip(sequences, _lengths(lengths, array.shape, name), strict=True)]
    return flatten(sequences, vocab_size, name)


def ragged_targets(target_ids: Any, vocab_size: int, num_sources: int) -> tuple[Ids, Offsets]:
    """Ids of all targets end to end and where each begins, as `ragged`; ValueError unless each source has one."""
    ids, offsets = ragged(target_ids, None, vocab_size, "target_ids")
    if len(offsets) - 1 != num_sources:
        raise ValueError(f"target_ids has {len(offsets) - 1} sequences; expected as many as input_ids, {num_sources}")
    return ids, offsets


def in_parts(offsets: Offsets) -> Iterator[tuple[slice, Offsets]]:
    """Cut a batch into parts of at most 16,384 tokens, or one longer sequence: their tokens, and offsets among them."""
    first, count = 0, len(offsets) - 1
    while first < count:
        within = int(np.searchsorted(offsets, offsets[first] + _PART_TOKENS, side="right")) - 1
        last = max(first + 1, within)
        yield slice(int(offsets[first]), int(offsets[last])), offsets[first : last + 1] - offsets[first]
        first = last


def run_in_parts(
    function: Callable[..., Floats], ids: Ids, offsets: Offsets, *others: NDArray[np.int32] | None
) -> Iterator[tuple[Floats, Offsets]]:
    """Yield what a function of the core returns for each part of a batch, and the part's offsets.

    `others` are further arguments with one number for each token, or None.
    """
    for part, bounds in in_parts(offsets):
        yield function(ids[part], bounds, *(other if other is None else other[part] for other in others)), bounds


def check_positions(offsets: Offsets, limit: int | None, name: str) -> None:
    """Raise ValueError for a sequence that is longer than the model has positions; no limit, or 0, is fine."""
    for b, length in enumerate(np.diff(offsets) if limit else ()):
        if length > limit:
            raise ValueError(f"{name}[{b}] has {length} tokens; expected at most {limit}, the model's positions")


def _lengths(lengths: Any, shape: Sequence[int], name: str) -> list[int]:
    try:
        values = [operator.index(n) for n in lengths]
    except TypeError:
        raise TypeError(f"lengths is {lengths!r}; expected a whole number for each row of {name}") from None
    if len(values) != shape[0]:
        raise ValueError(f"lengths has {len(values)} items; expected one for each of the {shape[0]} rows of {name}")
    for row, n in enumerate(values):
        if not 0 <= n <= shape[1]:
            raise ValueError(f"lengths[{row}] is {n}; expected 0 to {shape[1]}, the columns of {name}")
    return values
