"""Dense layer and embedding."""

from __future__ import annotations

import math
from typing import Any

from fastseq import _backend, _checks
from fastseq._checks import Floats, expect_int8_size, expect_rank, floats, ids, optional_floats

__all__ = ["embedding", "linear"]


def linear(input: Any, weight: Any, bias: Any = None, *, compute_type: str = "float32") -> Floats:
    """Return x W^T + b.

    Parameters
    ----------
    input : (*, I) array_like
    weight : (O, I) array_like
    bias : (O,) array_like, optional
        None is zero.
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        With "bfloat16" the weight is rounded to it. With "int8" each row of the weight and each row of the input is
        quantised with its own scale, as `quantize_rows` does.

    Returns
    -------
    (*, O) float32 array

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or shape.

    See Also
    --------
    fastseq.nn.Linear : Rearranges the weight for the processor once, not in every call.

    Notes
    -----
    Each output is one chain of fused multiply-adds in the order of I that starts from its bias; of int8, the exact sum
    of products of whole numbers, scaled and added to its bias with one rounding.

    Examples
    --------
    >>> linear([1.0, 2.0], weight=[[1.0, 1.0], [0.0, 3.0]], bias=[0.5, 0.0])
    array([3.5, 6. ], dtype=float32)
    """
    where = "linear"
    x, w = floats(where, "input", input), floats(where, "weight", weight)
    expect_rank(where, "weight", w, (2,), "(O, I)")
    out_features, in_features = w.shape
    if x.ndim == 0 or x.shape[-1] != in_features:
        raise ValueError(f"{where}: input has shape {x.shape}; expected (*, I) = (*, {in_features}) with I from weight")
    b = optional_floats(where, "bias", bias, (out_features,), "(O,)", "with O from weight")
    kind = _checks.compute_type(where, compute_type)
    expect_int8_size(where, kind, in_features)
    rows = x.reshape(math.prod(x.shape[:-1]), in_features)
    result: Floats = _backend.active().linear(rows, w, b, kind)
    return result.reshape(*x.shape[:-1], out_features)


def embedding(input: Any, weight: Any) -> Floats:
    """Rows of a table.

    Parameters
    ----------
    input : (*) array_like of int
        Ids in [0, V).
    weight : (V, E) array_like

    Returns
    -------
    (*, E) float32 array

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `weight` is not two-dimensional, or an id is not one of its rows; the message names the id's place.

    See Also
    --------
    fastseq.nn.Embedding : With its table.

    Examples
    --------
    >>> embedding([2, 0], weight=[[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    array([[3., 3.],
           [1., 1.]], dtype=float32)
    """
    where = "embedding"
    table = floats(where, "weight", weight)
    expect_rank(where, "weight", table, (2,), "(V, E)")
    index = ids(where, "input", input, table.shape[0])
    result: Floats = _backend.active().embedding(index.reshape(-1), table)
    return result.reshape(*index.shape, table.shape[1])
