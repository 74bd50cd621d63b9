"""The activations of recurrent cells: functions of an array and their two parameters, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.activations import exp, gelu, sigmoid, silu

Array: TypeAlias = NDArray[Any]

__all__ = ["activate"]

_FUNCTIONS: dict[str, Callable[[Array, Any, Any], Array]] = {
    "tanh": lambda x, alpha, beta: np.tanh(x),
    "sigmoid": lambda x, alpha, beta: sigmoid(x),
    "relu": lambda x, alpha, beta: np.minimum(np.maximum(x, 0), alpha),
    "affine": lambda x, alpha, beta: alpha * x + beta,
    "leaky_relu": lambda x, alpha, beta: np.where(x < 0, alpha * x, x),
    "thresholded_relu": lambda x, alpha, beta: np.where((x > alpha) | np.isnan(x), x, 0),
    "scaled_tanh": lambda x, alpha, beta: alpha * np.tanh(beta * x),
    "hard_sigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "elu": lambda x, alpha, beta: beta * np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x),
    "softsign": lambda x, alpha, beta: x / (1 + np.abs(x)),
    "softplus": lambda x, alpha, beta: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "silu": lambda x, alpha, beta: silu(x),
    "gelu": lambda x, alpha, beta: gelu(x),
    "exponential": lambda x, alpha, beta: exp(x),
}


def activate(activation: tuple[str, float, float], x: Array) -> Array:
    """Return f(x) of (name, alpha, beta), in the dtype of x."""
    name, alpha, beta = activation
    return _FUNCTIONS[name](x, x.dtype.type(alpha), x.dtype.type(beta)).astype(x.dtype, copy=False)
