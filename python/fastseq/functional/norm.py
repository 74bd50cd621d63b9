"""Layer norm and RMS norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastseq import _backend
from fastseq._checks import Floats, floats, integer, number, optional_floats

__all__ = ["layer_norm", "rms_norm"]


def _rows(where: str, input: Any, normalized_shape: int | Sequence[int]) -> tuple[Floats, tuple[int, ...]]:
    """Checked input and the shape of one row."""
    x = floats(where, "input", input)
    sizes = normalized_shape if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    shape = tuple(integer(where, "normalized_shape", size, 0) for size in sizes)
    if not shape:
        raise ValueError(f"{where}: normalized_shape is (); expected at least one size")
    if x.shape[max(0, x.ndim - len(shape)) :] != shape:
        wanted = ", ".join(["*", *map(str, shape)])
        raise ValueError(f"{where}: input has shape {x.shape}; expected ({wanted}) as normalized_shape says")
    return x, shape


def _affine(where: str, name: str, value: Any, shape: tuple[int, ...]) -> Floats | None:
    parameter = optional_floats(where, name, value, shape, "normalized_shape")
    return None if parameter is None else parameter.reshape(-1)


def layer_norm(
    input: Any, normalized_shape: int | Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Floats:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last dimensions.

    Parameters
    ----------
    input : (*, *normalized_shape) array_like
    normalized_shape : int or sequence of int
        The dimensions that are normalised together.
    weight, bias : normalized_shape array_like, optional
    eps : float, default 1e-5

    Returns
    -------
    (*, *normalized_shape) float32 array

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or value.

    References
    ----------
    Ba, Kiros and Hinton (2016), "Layer normalization".

    Examples
    --------
    >>> layer_norm([1.0, 3.0], 2, eps=0.0)
    array([-1.,  1.], dtype=float32)
    """
    where = "layer_norm"
    x, shape = _rows(where, input, normalized_shape)
    w, b = _affine(where, "weight", weight, shape), _affine(where, "bias", bias, shape)
    rows = x.reshape(math.prod(x.shape[: x.ndim - len(shape)]), math.prod(shape))
    result: Floats = _backend.active().layer_norm(rows, w, b, number(where, "eps", eps, 0.0))
    return result.reshape(x.shape)


def rms_norm(input: Any, normalized_shape: int | Sequence[int], weight: Any = None, eps: float | None = None) -> Floats:
    """Return x / sqrt(mean(x^2) + eps) * weight over the last dimensions.

    Parameters
    ----------
    input : (*, *normalized_shape) array_like
    normalized_shape : int or sequence of int
        The dimensions that are normalised together.
    weight : normalized_shape array_like, optional
    eps : float, optional
        Default: the distance from 1 to the next float32, 1.1920929e-07.

    Returns
    -------
    (*, *normalized_shape) float32 array

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or value.

    References
    ----------
    Zhang and Sennrich (2019), "Root mean square layer normalization".

    Examples
    --------
    >>> rms_norm([3.0, 3.0], 2, eps=0.0)
    array([1., 1.], dtype=float32)
    """
    where = "rms_norm"
    x, shape = _rows(where, input, normalized_shape)
    w = _affine(where, "weight", weight, shape)
    epsilon = float(np.finfo(np.float32).eps) if eps is None else number(where, "eps", eps, 0.0)
    rows = x.reshape(math.prod(x.shape[: x.ndim - len(shape)]), math.prod(shape))
    result: Floats = _backend.active().rms_norm(rows, w, epsilon)
    return result.reshape(x.shape)
