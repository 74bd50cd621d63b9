"""The inputs of recurrent layers: padded batches, single sequences and torch's packed ones, as tokens end to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq import _checks
from fastseq._checks import Floats, Ints, expect_rank, floats, optional_floats

__all__ = ["Batch", "read_input"]


@dataclass
class Batch:
    """Sequences end to end, and the way back to how they came."""

    tokens: Floats  # (N, I)
    offsets: Ints  # (B + 1,)
    form: str  # "one", "batch_first", "time_first" or "packed"
    steps: int  # T
    real: NDArray[np.bool_] | None = None  # (B, T): what is within the lengths, if there are any
    packed: Any = None  # torch's PackedSequence
    places: Ints | None = None  # (N,): the place of each token in it

    @property
    def size(self) -> int:
        """B."""
        return len(self.offsets) - 1

    def state(self, where: str, name: str, value: Any, count: int, size: int) -> Floats | None:
        """Return a first state (layers * directions, B, size), checked; None for None."""
        one = self.form == "one"
        symbols = "(num_layers * directions, H)" if one else "(num_layers * directions, B, H)"
        shape = (count, size) if one else (count, self.size, size)
        array = optional_floats(where, name, value, shape, symbols)
        return None if array is None else array.reshape(count, self.size, size)

    def output(self, tokens: Floats) -> Any:
        """Return outputs (N, ...) in the form of the input."""
        if self.packed is not None:
            data = np.empty_like(tokens)
            data[self.places] = tokens
            return self.packed._replace(data=self.packed.data.new_tensor(data, dtype=self.packed.data.dtype))
        if self.real is None:
            padded = tokens.reshape(self.size, self.steps, tokens.shape[1])
        else:
            padded = np.zeros((self.size, self.steps, tokens.shape[1]), np.float32)
            padded[self.real] = tokens
        return padded[0] if self.form == "one" else padded if self.form == "batch_first" else padded.swapaxes(0, 1)

    def last(self, state: Floats | None) -> Floats | None:
        """Return last states in the form of the first."""
        return state[:, 0] if state is not None and self.form == "one" else state


def read_input(where: str, input: Any, lengths: Any, input_size: int, batch_first: bool) -> Batch:
    """Check the input of a recurrent layer.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or value.
    """
    if type(input).__name__ == "PackedSequence" and hasattr(input, "batch_sizes"):
        if lengths is not None:
            raise ValueError(f"{where}: lengths is given; expected None, as a packed sequence has its own")
        return _read_packed(where, input, input_size)
    x = floats(where, "input", input)
    layout = "(B, T, I)" if batch_first else "(T, B, I)"
    expect_rank(where, "input", x, (2, 3), f"{layout}, or (T, I) for one sequence")
    if x.shape[-1] != input_size:
        raise ValueError(f"{where}: input has shape {x.shape}; expected {layout} with I = {input_size}")
    form = "one" if x.ndim == 2 else "batch_first" if batch_first else "time_first"
    if form == "one":
        x = x[None]
    elif form == "time_first":
        x = x.swapaxes(0, 1)
    batch, steps = x.shape[:2]
    if lengths is None:
        tokens = np.ascontiguousarray(x).reshape(batch * steps, input_size)
        return Batch(tokens, np.arange(batch + 1) * steps, form, steps)
    counts = _checks.lengths(where, lengths, batch, steps)
    real = np.arange(steps) < counts[:, None]
    return Batch(x[real], np.concatenate(([0], np.cumsum(counts))), form, steps, real)


def _read_packed(where: str, input: Any, input_size: int) -> Batch:
    data = floats(where, "input.data", input.data)
    if data.ndim != 2 or data.shape[1] != input_size:
        raise ValueError(f"{where}: input.data has shape {data.shape}; expected (N, I) with I = {input_size}")
    sizes = np.asarray(input.batch_sizes, np.int64)  # (T,): sequences that run at each step, the longest first
    lengths = (sizes[:, None] > np.arange(sizes[0])).sum(axis=0)
    ranks = np.arange(sizes[0]) if input.unsorted_indices is None else np.asarray(input.unsorted_indices)
    begin = np.cumsum(sizes) - sizes  # (T,): place of each step in `data`
    places = np.concatenate([begin[: lengths[rank]] + rank for rank in ranks])
    offsets = np.concatenate(([0], np.cumsum(lengths[ranks])))
    return Batch(data[places], offsets, "packed", len(sizes), packed=input, places=places)
