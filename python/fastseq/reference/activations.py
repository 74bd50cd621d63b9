"""Functions of single elements."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

__all__ = ["erf", "exp", "gelu", "relu", "sigmoid", "silu", "tanh"]


def relu(input: Array) -> Array:
    """Return max(0, x); NaN stays NaN."""
    result: Array = np.maximum(input, 0)
    return result


def tanh(input: Array) -> Array:
    """Hyperbolic tangent."""
    result: Array = np.tanh(input)
    return result


def exp(input: Array) -> Array:
    """e^x; infinite where it is too large for the dtype."""
    with np.errstate(over="ignore"):
        result: Array = np.exp(input)
    return result


def sigmoid(input: Array) -> Array:
    """1 / (1 + e^-x)."""
    with np.errstate(over="ignore"):
        result: Array = 1 / (1 + np.exp(-input))
    return result


def silu(input: Array) -> Array:
    """Return x sigmoid(x) (Elfwing et al., 2018)."""
    with np.errstate(invalid="ignore"):  # -inf * 0 is NaN, as in torch
        result: Array = input * sigmoid(input)
    return result


def gelu(input: Array, approximate: str = "none") -> Array:
    """Return x Phi(x), Phi the normal distribution function, or its approximation (Hendrycks and Gimpel, 2016)."""
    with np.errstate(invalid="ignore", over="ignore"):  # -inf * 0 is NaN, as in torch
        if approximate == "tanh":
            inner = np.sqrt(2 / np.pi).item() * (input + 0.044715 * input**3)
            half: Array = 0.5 * (1 + np.tanh(inner))
        else:
            half = 0.5 * (1 + erf(input * np.sqrt(0.5).item()))
        result: Array = input * half
    return result


# W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23 (1969).
# Highest power first. Measured against math.erf: the absolute error in float64 stays below 3e-16.
_SMALL = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_LARGE = (
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
        2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
        3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
    ),
)  # fmt: skip


def erf(input: Array) -> Array:
    """Error function: x R(x^2) up to 0.46875 and 1 - e^(-x^2) R(|x|) above, R rational (Cody, 1969)."""
    magnitude = np.minimum(np.abs(input), 6)  # erf(6) is 1 in float64
    small = input * _ratio(_SMALL, np.minimum(magnitude, 0.5) ** 2)
    large = 1 - np.exp(-magnitude * magnitude) * _ratio(_LARGE, magnitude)
    result: Array = np.where(magnitude <= 0.46875, small, np.copysign(large, input))
    return result


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    """Quotient of two polynomials by Horner's rule."""
    top, bottom = (np.full_like(x, polynomial[0]) for polynomial in coefficients)
    for value, polynomial in zip((top, bottom), coefficients, strict=True):
        for coefficient in polynomial[1:]:
            value *= x
            value += coefficient
    top /= bottom
    return top
