"""Weights and activations in fewer bits: int8 with a scale for each row, and bfloat16."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

__all__ = ["quantize_rows", "round_to_bfloat16"]

_SMALLEST = np.float32(2.0**-120)  # 127 / _SMALLEST is still finite


def quantize_rows(input: Array) -> tuple[NDArray[np.int8], Array]:
    """Return q (N, I) and scales (N,) with input ~ scale * q: q = x * (127 / max|x|) to the nearest, ties to even.

    A row of numbers below 2^-120 becomes zeros and scale 0; one with NaN or an infinity becomes zeros and scale NaN.
    """
    rows = input.astype(np.float32, copy=False)
    largest = np.abs(rows).max(axis=1, initial=0.0)  # NaN where there is one
    finite = np.isfinite(largest)
    usable = finite & (largest >= _SMALLEST)
    scales = np.where(usable, largest / np.float32(127), np.where(finite, np.float32(0), np.float32(np.nan)))
    inverse = np.float32(127) / np.where(usable, largest, np.float32(1))
    scaled = np.where(usable[:, None], rows, np.float32(0)) * inverse[:, None]
    return np.rint(scaled).astype(np.int8), scales


def multiply_int8(input: Array, weight: NDArray[np.int8], scales: Array, bias: Array | None) -> Array:
    """Return sum * (input scale * weight scale) + bias: quantised input (N, I) and weight (O, I) to (N, O)."""
    values, input_scales = quantize_rows(input)
    # Sums of products of whole numbers are exact, in float32 too as long as they stay below 2^24.
    exact = np.float32 if weight.shape[1] * 127 * 127 < 2**24 else np.float64
    sums = (values.astype(exact) @ weight.T.astype(exact)).astype(np.float32)
    # One fma in float32: the product is exact in float64.
    output = sums.astype(np.float64) * (input_scales[:, None] * scales)
    if bias is not None:
        output += bias
    result: Array = output.astype(np.float32)
    return result


def round_to_bfloat16(weight: Array) -> Array:
    """Return the nearest bfloat16 numbers (ties to even) as float32."""
    bits = np.ascontiguousarray(weight, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(weight), weight, rounded.view(np.float32))
