"""Layer norm and RMS norm of rows."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

__all__ = ["layer_norm", "rms_norm"]


def layer_norm(input: Array, weight: Array | None, bias: Array | None, eps: float) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias of each row (Ba et al., 2016)."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        output = input - _mean(input)
        output /= np.sqrt(_mean(output * output) + eps)
        if weight is not None:
            output *= weight
        if bias is not None:
            output += bias
    return output


def rms_norm(input: Array, weight: Array | None, eps: float) -> Array:
    """Return x / sqrt(mean(x^2) + eps) * weight of each row (Zhang and Sennrich, 2019)."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        output: Array = input / np.sqrt(_mean(input * input) + eps)
        if weight is not None:
            output *= weight
    return output


def _mean(input: Array) -> Array:
    """Mean of each row (N, D) as (N, 1); 0 of empty rows."""
    mean: Array = input.sum(axis=1, keepdims=True) / max(1, input.shape[1])
    return mean
