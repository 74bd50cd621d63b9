"""Weights and activations in fewer bits: int8 with a scale for each row, and bfloat16."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq._layout import is_narrow

Array: TypeAlias = NDArray[Any]

__all__ = ["QuantizedWeight", "narrow", "narrow_tensors", "quantize_rows", "round_to_bfloat16", "widen"]

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


class QuantizedWeight:
    """A weight (O, I) as int8 with a scale for each row; `linear` multiplies with it.

    Parameters
    ----------
    values : (O, I) int8 array
        From -127 to 127.
    scales : (O,) float32 array
    """

    def __init__(self, values: NDArray[np.int8], scales: Array) -> None:
        self.values = values
        self.scales = scales
        self.shape = values.shape
        # Sums of products of whole numbers are exact, in float32 too as long as they stay below 2^24.
        self._exact = values.astype(np.float32 if values.shape[1] * 127 * 127 < 2**24 else np.float64)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> QuantizedWeight:
        """Return some of the rows."""
        return QuantizedWeight(self.values[rows], self.scales[rows])

    def multiply(self, input: Array, bias: Array | None) -> Array:
        """Return sum * (input scale * weight scale) + bias, for each row of input (N, I) quantised: (N, O)."""
        values, input_scales = quantize_rows(input)
        sums = (values.astype(self._exact.dtype) @ self._exact.T).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            # One fma in float32: the product is exact in float64.
            output = sums.astype(np.float64) * (input_scales[:, None] * self.scales)
            if bias is not None:
                output += bias
            result: Array = output.astype(np.float32)
        return result


def widen(weight: Any) -> Any:
    """Return the numbers that a weight stands for, as floats."""
    return weight.values * weight.scales[:, None] if isinstance(weight, QuantizedWeight) else weight


def narrow(weight: Any, compute_type: str) -> Any:
    """Return a weight as it is computed with: itself, rounded to bfloat16, or a `QuantizedWeight`.

    A pair (int8 values, scales) is a weight that was stored so.
    """
    if isinstance(weight, tuple):
        weight = QuantizedWeight(*weight)
    if compute_type == "int8":
        return weight if isinstance(weight, QuantizedWeight) else QuantizedWeight(*quantize_rows(weight))
    return round_to_bfloat16(widen(weight)) if compute_type == "bfloat16" else widen(weight)


def narrow_tensors(tensors: dict[str, Any], compute_type: str) -> dict[str, Any]:
    """Return the tensors of a model with the weights of dense and recurrent layers narrowed.

    Pairs (int8 values, scales) are weights that were stored so.
    """
    pairs = {name: QuantizedWeight(*tensor) for name, tensor in tensors.items() if isinstance(tensor, tuple)}
    return {
        name: narrow(tensor, compute_type) if is_narrow(name, tensor.shape) else tensor
        for name, tensor in (tensors | pairs).items()
    }


def round_to_bfloat16(weight: Array) -> Array:
    """Return the nearest bfloat16 numbers (ties to even) as float32."""
    bits = np.ascontiguousarray(weight, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(weight), weight, rounded.view(np.float32))
