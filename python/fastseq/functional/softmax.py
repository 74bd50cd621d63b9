"""Softmax, and the best log-probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastseq import _backend
from fastseq._checks import Floats, Ints, expect_rank, floats, integer, optional_floats

__all__ = ["log_softmax", "log_softmax_topk", "softmax"]


def _along(name: str, input: Any, dim: int) -> Floats:
    x = floats(name, "input", input)
    if x.ndim == 0:
        raise ValueError(f"{name}: input has shape (); expected at least one dimension")
    axis = integer(name, "dim", dim, -x.ndim, x.ndim - 1)
    moved = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    rows = moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])
    result: Floats = getattr(_backend.active(), name)(rows).reshape(moved.shape)
    return np.moveaxis(result, -1, axis)


def softmax(input: Any, dim: int = -1) -> Floats:
    """e^x / sum e^x along a dimension.

    Parameters
    ----------
    input : (*) array_like
    dim : int, default -1

    Returns
    -------
    (*) float32 array
        NaN where there is NaN, inf or nothing finite along `dim`.

    Raises
    ------
    TypeError, ValueError
        If `input` holds no real numbers or has no dimension `dim`.

    Examples
    --------
    >>> softmax([0.0, 0.0])
    array([0.5, 0.5], dtype=float32)
    """
    return _along("softmax", input, dim)


def log_softmax(input: Any, dim: int = -1) -> Floats:
    """Return x - log sum e^x along a dimension.

    Parameters
    ----------
    input : (*) array_like
    dim : int, default -1

    Returns
    -------
    (*) float32 array
        NaN where there is NaN, inf or nothing finite along `dim`.

    Raises
    ------
    TypeError, ValueError
        If `input` holds no real numbers or has no dimension `dim`.

    Examples
    --------
    >>> log_softmax([[0.0, 0.0], [5.0, -float("inf")]]).round(4)
    array([[-0.6931, -0.6931],
           [ 0.    ,    -inf]], dtype=float32)
    """
    return _along("log_softmax", input, dim)


def log_softmax_topk(logits: Any, k: int, add: Any = None) -> tuple[Floats, Ints]:
    """Return the k best of log_softmax(logits) + add in each row, without computing the others.

    Parameters
    ----------
    logits : (*, V) array_like
    k : int
        From 0 to V.
    add : (*) array_like, optional
        What a row's values are raised by: in beam search the score so far.

    Returns
    -------
    values : (*, k) float32 array
        Best first. NaN in all places of a row whose logits hold NaN, inf or nothing finite.
    indices : (*, k) int64 array
        Of equal logits the one with the lower index comes first.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or value.

    Examples
    --------
    >>> values, indices = log_softmax_topk([[0.0, 1.0, 0.0]], 2)
    >>> indices
    array([[1, 0]])
    """
    where = "log_softmax_topk"
    x = floats(where, "logits", logits)
    expect_rank(where, "logits", x, range(1, 65), "(*, V)")
    best = integer(where, "k", k, 0, x.shape[-1])
    lead = x.shape[:-1]
    offset = optional_floats(where, "add", add, lead, "logits.shape[:-1]")
    rows = x.reshape(math.prod(lead), x.shape[-1])
    values, indices = _backend.active().log_softmax_topk(rows, best, None if offset is None else offset.reshape(-1))
    return values.reshape(*lead, best), indices.reshape(*lead, best)
