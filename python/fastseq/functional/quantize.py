"""Numbers in eight bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq._checks import Floats, floats

__all__ = ["quantize_rows"]


def quantize_rows(input: Any) -> tuple[NDArray[np.int8], Floats]:
    """Quantise to int8, symmetrically, with a scale for each row: input ~ scale * q.

    Parameters
    ----------
    input : (*, I) array_like

    Returns
    -------
    q : (*, I) int8 array
        x * (127 / max|x|) of each row, to the nearest, ties to even; from -127 to 127.
    scales : (*) float32 array
        max|x| / 127.

    Raises
    ------
    TypeError, ValueError
        If `input` has the wrong type or no dimension.

    See Also
    --------
    linear : With ``compute_type="int8"`` multiplies such numbers.

    Notes
    -----
    |x - scale * q| is at most scale / 2, apart from rounding. A row of numbers below 2^-120 becomes zeros with scale 0.
    A row with NaN or an infinity becomes zeros with scale NaN, so that what is computed from it is NaN.

    Examples
    --------
    >>> q, scale = quantize_rows([1.0, -0.5, 0.126])
    >>> q
    array([127, -64,  16], dtype=int8)
    >>> float(round(scale * 127, 6))
    1.0
    """
    where = "quantize_rows"
    x = floats(where, "input", input)
    if x.ndim == 0:
        raise ValueError(f"{where}: input has shape {x.shape}; expected (*, I)")
    q, scales = _backend.active().quantize_rows(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]))
    return q.reshape(x.shape), scales.reshape(x.shape[:-1])
