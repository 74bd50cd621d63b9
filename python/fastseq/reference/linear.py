"""Dense layer and embedding."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

__all__ = ["Linear", "embedding", "linear"]


def linear(input: Array, weight: Array, bias: Array | None) -> Array:
    """Return x W^T + b: input (N, I), weight (O, I), bias (O,) to (N, O)."""
    output: Array = input @ weight.T
    if bias is not None:
        output += bias
    return output


class Linear:
    """`linear` with its weight."""

    def __init__(self, weight: Array, bias: Array | None) -> None:
        self.weight = weight
        self.bias = bias

    def forward(self, input: Array) -> Array:
        """Return `linear` of input (N, I)."""
        return linear(input, self.weight, self.bias)


def embedding(ids: NDArray[np.int64], weight: Array) -> Array:
    """Rows of weight (V, E) for ids (N,)."""
    return weight[ids]
