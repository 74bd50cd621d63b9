"""Functions of single elements."""

from __future__ import annotations

from typing import Any

from fastseq import _backend
from fastseq._checks import Floats, choice, floats

__all__ = ["exp", "gelu", "relu", "sigmoid", "silu", "tanh"]


def _apply(name: str, input: Any, *options: str) -> Floats:
    x = floats(name, "input", input)
    result: Floats = getattr(_backend.active(), name)(x.reshape(-1), *options).reshape(x.shape)
    return result


def relu(input: Any) -> Floats:
    """max(0, x) of each element; NaN stays NaN.

    Parameters
    ----------
    input : (*) array_like

    Returns
    -------
    (*) float32 array

    Raises
    ------
    TypeError
        If `input` holds no real numbers.

    Examples
    --------
    >>> relu([-1.0, 0.0, 2.0])
    array([0., 0., 2.], dtype=float32)
    """
    return _apply("relu", input)


def tanh(input: Any) -> Floats:
    """Hyperbolic tangent of each element, within 3 ulp.

    Parameters
    ----------
    input : (*) array_like

    Returns
    -------
    (*) float32 array

    Raises
    ------
    TypeError
        If `input` holds no real numbers.

    Examples
    --------
    >>> tanh([0.0, 20.0])
    array([0., 1.], dtype=float32)
    """
    return _apply("tanh", input)


def sigmoid(input: Any) -> Floats:
    """1 / (1 + e^-x) of each element, within 3 ulp above -86.98 and 0 below.

    Parameters
    ----------
    input : (*) array_like

    Returns
    -------
    (*) float32 array

    Raises
    ------
    TypeError
        If `input` holds no real numbers.

    Examples
    --------
    >>> sigmoid([-200.0, 0.0])
    array([0. , 0.5], dtype=float32)
    """
    return _apply("sigmoid", input)


def exp(input: Any) -> Floats:
    """e^x of each element, within 2 ulp; 0 below -86.98, infinite above 88.72.

    Parameters
    ----------
    input : (*) array_like

    Returns
    -------
    (*) float32 array

    Raises
    ------
    TypeError
        If `input` holds no real numbers.

    Examples
    --------
    >>> exp([0.0, 100.0])
    array([ 1., inf], dtype=float32)
    """
    return _apply("exp", input)


def silu(input: Any) -> Floats:
    """Return x sigmoid(x) of each element, also called swish.

    Parameters
    ----------
    input : (*) array_like

    Returns
    -------
    (*) float32 array

    Raises
    ------
    TypeError
        If `input` holds no real numbers.

    References
    ----------
    Elfwing, Uchibe and Doya (2018), "Sigmoid-weighted linear units for neural network function approximation in
    reinforcement learning".

    Examples
    --------
    >>> silu([0.0, 100.0])
    array([  0., 100.], dtype=float32)
    """
    return _apply("silu", input)


def gelu(input: Any, approximate: str = "none") -> Floats:
    """Return x Phi(x) of each element, Phi the distribution function of the normal distribution.

    Parameters
    ----------
    input : (*) array_like
    approximate : {"none", "tanh"}, default "none"
        "none": Phi through the error function. "tanh": x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Returns
    -------
    (*) float32 array

    Raises
    ------
    TypeError
        If `input` holds no real numbers.
    ValueError
        If `approximate` is another word.

    References
    ----------
    Hendrycks and Gimpel (2016), "Gaussian error linear units (GELUs)".

    Examples
    --------
    >>> gelu([0.0, 10.0])
    array([ 0., 10.], dtype=float32)
    """
    return _apply("gelu", input, choice("gelu", "approximate", approximate, ("none", "tanh")))
