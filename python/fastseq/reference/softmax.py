"""Softmax of rows, and the best log-probabilities."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

__all__ = ["log_softmax", "log_softmax_topk", "softmax"]


def softmax(input: Array) -> Array:
    """e^(x - max) / sum e^(x - max) of each row; NaN for a row with NaN, inf or nothing finite."""
    with np.errstate(invalid="ignore"):
        output: Array = np.exp(input - _max(input))
        output /= output.sum(axis=1, keepdims=True)
    return output


def log_softmax(input: Array) -> Array:
    """Return x - log sum e^x of each row."""
    with np.errstate(invalid="ignore"):
        output: Array = input - _log_sum_exp(input)
    return output


def log_softmax_topk(logits: Array, k: int, add: Array | None) -> tuple[Array, NDArray[np.int64]]:
    """Return the k largest of each row's log_softmax + add, best first, and their indices; ties: lower index first."""
    rows, size = logits.shape
    values = np.empty((rows, k), logits.dtype)
    indices = np.empty((rows, k), np.int64)
    if k == 0:
        return values, indices
    thresholds = np.partition(logits, size - k, axis=1)[:, size - k]
    for row, (logit, threshold) in enumerate(zip(logits, thresholds, strict=True)):
        candidates = np.flatnonzero(~(logit < threshold))  # at least k; all of them if the threshold is NaN
        indices[row] = candidates[np.argsort(-logit[candidates], kind="stable")][:k]
        values[row] = logit[indices[row]]
    with np.errstate(invalid="ignore"):
        values -= _log_sum_exp(logits)
        if add is not None:
            values += add[:, None]
    return values, indices


def _max(input: Array) -> Array:
    """Largest of each row (N, D) as (N, 1); -inf of empty rows."""
    largest: Array = input.max(axis=1, keepdims=True, initial=-np.inf)
    return largest


def _log_sum_exp(input: Array) -> Array:
    largest = _max(input)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = largest + np.log(np.exp(input - largest).sum(axis=1, keepdims=True))
    return result
