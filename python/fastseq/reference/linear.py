"""Dense layer and embedding."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.quantize import QuantizedWeight, narrow

Array: TypeAlias = NDArray[Any]

__all__ = ["Linear", "embedding", "linear"]


def linear(input: Array, weight: Any, bias: Array | None, compute_type: str = "float32") -> Array:
    """Return x W^T + b: input (N, I), weight (O, I), bias (O,) to (N, O)."""
    weight = narrow(weight, compute_type) if compute_type != "float32" else weight
    if isinstance(weight, QuantizedWeight):
        return weight.multiply(input, bias)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite and NaN as they come, as in torch
        output: Array = input @ weight.T
        if bias is not None:
            output += bias
    return output


class Linear:
    """`linear` with its weight: as it is, rounded to bfloat16, or in int8 with a scale for each output."""

    def __init__(self, weight: Array, bias: Array | None, compute_type: str = "float32") -> None:
        self.weight = narrow(weight, compute_type)
        self.bias = bias

    def forward(self, input: Array) -> Array:
        """Return `linear` of input (N, I)."""
        return linear(input, self.weight, self.bias)


def embedding(ids: NDArray[np.int64], weight: Array) -> Array:
    """Rows of weight (V, E) for ids (N,)."""
    return weight[ids]
