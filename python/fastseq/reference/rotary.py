"""Rotary positions (Su et al., 2021)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["rotary_table", "rotate_half"]

Array: TypeAlias = NDArray[Any]


def rotary_table(base: float, count: int, size: int) -> Array:
    """Cosines and sines (2, count, size / 2) of the angles t * base^(-2i / size) of positions t < count.

    Angles are rounded to float32, as published models have learned with them: at far positions that matters.
    """
    exponents = np.arange(0, size, 2).astype(np.float32) / np.float32(size)
    frequencies = np.float32(1) / np.power(np.float64(np.float32(base)), exponents.astype(np.float64)).astype(
        np.float32
    )
    angles = (np.arange(count).astype(np.float32)[:, None] * frequencies).astype(np.float64)
    return np.stack((np.cos(angles), np.sin(angles))).astype(np.float32)


def rotate_half(x: Array, table: Array) -> Array:
    """Turn the pairs (x_i, x_{i + D / 2}) of x (..., T, D) by angles whose cosines and sines are (2, T, D / 2)."""
    (first, second), (cosines, sines) = np.split(x, 2, axis=-1), table
    return np.concatenate((first * cosines - second * sines, second * cosines + first * sines), axis=-1)
