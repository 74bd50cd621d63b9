"""Tables of positions and of relative positions, as the families define them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["deberta_rows", "marian_sinusoids", "relative_biases", "tensor2tensor_sinusoids"]

Array = NDArray[Any]


def marian_sinusoids(count: int, size: int) -> Array:
    """Sines, then cosines, of position / 10000^(2i / size): (count, size)."""
    exponents = 2 * (np.arange(size) // 2) / size
    angles = np.arange(count)[:, None] / np.power(10000, exponents)
    return np.concatenate((np.sin(angles[:, 0::2]), np.cos(angles[:, 1::2])), axis=1).astype(np.float32)


def tensor2tensor_sinusoids(first: int, count: int, size: int) -> Array:
    """Sines, then cosines, of position * 10000^(-i / (size / 2 - 1)), from position `first` on: (count, size).

    In float32 throughout, as in ``M2M100SinusoidalPositionalEmbedding``: the angles' roundings matter at far positions.
    """
    half = size // 2
    step = np.float32(math.log(10000) / (half - 1))
    frequencies = np.exp(np.arange(half, dtype=np.float32) * -step)
    angles = np.arange(first, first + count).astype(np.float32)[:, None] * frequencies
    table = np.zeros((count, size), np.float32)
    table[:, :half], table[:, half : 2 * half] = np.sin(angles), np.cos(angles)
    return table


def relative_biases(weight: Array, *, bidirectional: bool, max_distance: int) -> Array:
    """T5's biases of buckets (buckets, heads) as biases of distances key - query: (heads, 2 * max_distance + 1).

    Half of the buckets are for keys that follow, if there are any; in each half the first half is for one distance
    each, the others grow with the logarithm of the distance, up to `max_distance`.
    """
    buckets = len(weight) // 2 if bidirectional else len(weight)
    distance = np.arange(-max_distance, max_distance + 1)
    size = np.abs(distance) if bidirectional else np.maximum(-distance, 0)
    exact = buckets // 2
    ratio = np.log(np.maximum(size, 1).astype(np.float32) / np.float32(exact)) / np.float32(
        math.log(max_distance / exact)
    )
    large = np.minimum(exact + (ratio * np.float32(buckets - exact)).astype(np.int64), buckets - 1)
    bucket = np.where(size < exact, size, large)
    if bidirectional:
        bucket = bucket + np.where(distance > 0, buckets, 0)
    biases: Array = weight[bucket].T
    return biases


def deberta_rows(span: int, buckets: int, farthest: int) -> tuple[int, ...]:
    """Which of DeBERTa's 2 * span vectors the distances key - query from -M to M have; M is where they end.

    Of `buckets` (0: one for each distance), an even number, half are for a distance each, on both sides together; the
    others grow with the logarithm of the distance up to `farthest`. The vectors are in the order of key - query, which
    is the opposite of that in which they are stored. In float32, as in ``make_log_bucket_position``.
    """
    distance = np.arange(-2 * farthest, 2 * farthest + 1) if buckets else np.arange(-span, span + 1)
    bucket = distance
    if buckets:
        exact = buckets // 2
        size = np.maximum(np.abs(distance), exact).astype(np.float32) / np.float32(exact)
        ratio = np.log(size) / np.log(np.float32((farthest - 1) / exact))
        large = np.ceil(ratio * np.float32(exact - 1)).astype(np.int64) + exact
        bucket = np.where(np.abs(distance) <= exact, distance, np.sign(distance) * large)
    rows = np.clip(bucket + span - 1, 0, 2 * span - 1)
    middle = len(rows) // 2
    different = np.flatnonzero((rows != rows[0]) & (rows != rows[-1]))
    most = 1 + int(np.abs(different - middle).max(initial=0))
    return tuple(rows[middle - most : middle + most + 1].tolist())
