"""Dense layer and embedding."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.quantize import multiply_int8, quantize_rows, round_to_bfloat16

Array: TypeAlias = NDArray[Any]

__all__ = ["Linear", "embedding", "linear"]


def linear(input: Array, weight: Array, bias: Array | None, compute_type: str = "float32") -> Array:
    """Return x W^T + b: input (N, I), weight (O, I), bias (O,) to (N, O)."""
    if compute_type != "float32":
        return Linear(weight, bias, compute_type).forward(input)
    output: Array = input @ weight.T
    if bias is not None:
        output += bias
    return output


class Linear:
    """`linear` with its weight: as it is, rounded to bfloat16, or in int8 with a scale for each output."""

    def __init__(self, weight: Array, bias: Array | None, compute_type: str = "float32") -> None:
        self.bias = bias
        self.scales: Array | None = None
        if compute_type == "int8":
            self.weight, self.scales = quantize_rows(weight)
        else:
            self.weight = round_to_bfloat16(weight) if compute_type == "bfloat16" else weight

    def forward(self, input: Array) -> Array:
        """Return `linear` of input (N, I)."""
        if self.scales is not None:
            return multiply_int8(input, self.weight, self.scales, self.bias)
        return linear(input, self.weight, self.bias)


def embedding(ids: NDArray[np.int64], weight: Array) -> Array:
    """Rows of weight (V, E) for ids (N,)."""
    return weight[ids]
