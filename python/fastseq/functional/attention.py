"""Scaled dot-product, additive and multiplicative attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastseq import _backend, _checks
from fastseq._checks import Floats, Ints, Mask, expect_rank, floats, optional_floats, shaped_floats

__all__ = ["additive_attention", "multiplicative_attention", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Floats:
    """softmax(scale Q K^T + mask) V.

    Parameters
    ----------
    query : (..., L, D) array_like
    key : (..., S, D) array_like
    value : (..., S, Dv) array_like
        Leading dimensions broadcast.
    attn_mask : array_like, optional
        Broadcasts to (..., L, S). Booleans: True attends. Numbers are added to the scores.
    is_causal : bool, default False
        Query i sees the keys 0 to i; not together with `attn_mask`.
    scale : float, optional
        Default 1 / sqrt(D).
    enable_gqa : bool, default False
        The number of heads of `query` (dimension -3) is a multiple of that of `key` and `value`, and that many
        neighbouring heads share a key head.

    Returns
    -------
    (..., L, Dv) float32 array
        0 for a query that sees no key.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or value.

    Notes
    -----
    A masked key adds exactly nothing: with it or without it the result has the same bits if it lies behind the others.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need"; computed in blocks as in Dao et al. (2022), "FlashAttention".

    Examples
    --------
    >>> scaled_dot_product_attention([[1.0]], [[0.0], [0.0]], [[2.0], [4.0]])
    array([[3.]], dtype=float32)
    """
    where = "scaled_dot_product_attention"
    q, k, v = (floats(where, name, x) for name, x in (("query", query), ("key", key), ("value", value)))
    for name, array, shape in (("query", q, "(..., L, D)"), ("key", k, "(..., S, D)"), ("value", v, "(..., S, Dv)")):
        expect_rank(where, name, array, range(3 if enable_gqa else 2, 33), shape)
    queries, size = q.shape[-2:]
    keys, value_size = v.shape[-2:]
    if k.shape[-2:] != (keys, size):
        wanted = f"(..., S, D) = (..., {keys}, {size}) with D from query, S from value"
        raise ValueError(f"{where}: key has shape {k.shape}; expected {wanted}")
    if enable_gqa:
        heads, key_heads = q.shape[-3], k.shape[-3]
        if v.shape[-3] != key_heads or (heads % key_heads if key_heads else heads):
            given = f"query, key and value have {heads}, {key_heads} and {v.shape[-3]} heads"
            raise ValueError(f"{where}: {given}; expected as many of key as of value, and a multiple of them of query")
        lead = _broadcast(where, q.shape[:-3], k.shape[:-3], v.shape[:-3])
        full_lead, key_lead = (*lead, heads), (*lead, key_heads)
    else:
        full_lead = key_lead = _broadcast(where, q.shape[:-2], k.shape[:-2], v.shape[:-2])
    mask = _mask(where, attn_mask, (*full_lead, queries, keys))
    if mask is not None and is_causal:
        raise ValueError(f"{where}: attn_mask is given and is_causal is True; expected one of them")
    factor = _checks.number(where, "scale", 1 / math.sqrt(max(1, size)) if scale is None else scale)
    result: Floats = _backend.active().scaled_dot_product_attention(
        _as_heads(q, full_lead), _as_heads(k, key_lead), _as_heads(v, key_lead), mask, bool(is_causal), factor
    )
    return result.reshape(*full_lead, queries, value_size)


def _broadcast(where: str, *leads: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*leads)
    except ValueError:
        text = ", ".join(map(str, leads))
        raise ValueError(f"{where}: leading dimensions {text} of query, key, value do not broadcast") from None


def _split(lead: tuple[int, ...]) -> tuple[int, int]:
    """Leading dimensions as (B, heads): the last are the heads."""
    return math.prod(lead[:-1]), lead[-1] if lead else 1


def _as_heads(array: Floats, lead: tuple[int, ...]) -> Floats:
    """(..., n, D) as contiguous (B, heads, n, D) with all of the leading dimensions."""
    if array.shape[:-2] != lead:
        array = np.ascontiguousarray(np.broadcast_to(array, (*lead, *array.shape[-2:])))
    return array.reshape(*_split(lead), *array.shape[-2:])


def _mask(where: str, attn_mask: Any, shape: tuple[int, ...]) -> Mask | None:
    """Return the mask with the four dimensions of (B, heads, L, S), some of them 1."""
    if attn_mask is None:
        return None
    mask = _checks.mask(where, "attn_mask", attn_mask)
    padded = (1,) * (len(shape) - mask.ndim) + mask.shape
    if len(padded) != len(shape) or any(m not in (1, n) for m, n in zip(padded, shape, strict=True)):
        raise ValueError(
            f"{where}: attn_mask has shape {mask.shape}; expected one that broadcasts to (..., L, S) = {shape}"
        )
    lead = padded[:-2]
    if any(m not in (1, n) for m, n in zip(_split(lead), _split(shape[:-2]), strict=True)):
        # Some of the dimensions that fall together are 1 and some are not.
        lead = shape[:-2]
        mask = np.require(np.broadcast_to(mask, (*lead, *padded[-2:])), mask.dtype, ["C"])
    return mask.reshape(*_split(lead), *padded[-2:])


def additive_attention(
    query: Any,
    key: Any,
    value: Any,
    weight_query: Any,
    weight_key: Any,
    weight_score: Any,
    bias: Any = None,
    lengths: Any = None,
) -> tuple[Floats, Floats]:
    """Attention of Bahdanau et al.: the score of query q and key k is w . tanh(W_q q + W_k k + b).

    Parameters
    ----------
    query : (B, Q, Dq) array_like
    key : (B, S, Dk) array_like
    value : (B, S, Dv) array_like
    weight_query : (A, Dq) array_like
    weight_key : (A, Dk) array_like
    weight_score : (A,) array_like
    bias : (A,) array_like, optional
        None is zero.
    lengths : (B,) array_like of int, optional
        Keys of each sequence; what lies behind them is not read.

    Returns
    -------
    context : (B, Q, Dv) float32 array
        Means of the values, weighted with `weights`; 0 where there is no key.
    weights : (B, Q, S) float32 array
        Softmax of the scores; 0 behind the lengths.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or value.

    See Also
    --------
    multiplicative_attention : A bilinear score.

    References
    ----------
    Bahdanau, Cho and Bengio (2015), "Neural machine translation by jointly learning to align and translate".

    Examples
    --------
    >>> context, weights = additive_attention(
    ...     [[[1.0]]], [[[2.0], [2.0]]], [[[4.0], [8.0]]], [[1.0]], [[1.0]], [1.0], lengths=[2])
    >>> context, weights
    (array([[[6.]]], dtype=float32), array([[[0.5, 0.5]]], dtype=float32))
    """
    where = "additive_attention"
    q, k, v, seen = _sequences(where, query, key, value, lengths)
    w = floats(where, "weight_score", weight_score)
    expect_rank(where, "weight_score", w, (1,), "(A,)")
    size, note = len(w), "with A from weight_score"
    w_q = shaped_floats(where, "weight_query", weight_query, (size, q.shape[2]), "(A, Dq)", f"{note}, Dq from query")
    w_k = shaped_floats(where, "weight_key", weight_key, (size, k.shape[2]), "(A, Dk)", f"{note}, Dk from key")
    b = optional_floats(where, "bias", bias, (size,), "(A,)", note)
    context, weights = _backend.active().additive_attention(q, k, v, w_q, w_k, w, b, seen)
    return context, weights


def multiplicative_attention(
    query: Any, key: Any, value: Any, weight: Any = None, lengths: Any = None
) -> tuple[Floats, Floats]:
    """Attention of Luong et al.: the score of query q and key k is q^T W k ("general") or q^T k ("dot").

    Parameters
    ----------
    query : (B, Q, Dq) array_like
    key : (B, S, Dk) array_like
    value : (B, S, Dv) array_like
    weight : (Dq, Dk) array_like, optional
        Without it Dq and Dk must be equal.
    lengths : (B,) array_like of int, optional
        Keys of each sequence; what lies behind them is not read.

    Returns
    -------
    context : (B, Q, Dv) float32 array
        Means of the values, weighted with `weights`; 0 where there is no key.
    weights : (B, Q, S) float32 array
        Softmax of the scores; 0 behind the lengths.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or value.

    See Also
    --------
    additive_attention : A score with a hidden layer.
    scaled_dot_product_attention : Scaled, with heads.

    References
    ----------
    Luong, Pham and Manning (2015), "Effective approaches to attention-based neural machine translation".

    Examples
    --------
    >>> context, weights = multiplicative_attention([[[1.0]]], [[[2.0], [2.0]]], [[[4.0], [8.0]]])
    >>> context
    array([[[6.]]], dtype=float32)
    """
    where = "multiplicative_attention"
    q, k, v, seen = _sequences(where, query, key, value, lengths)
    sizes = q.shape[2], k.shape[2]
    w = optional_floats(where, "weight", weight, sizes, "(Dq, Dk)", "with Dq from query, Dk from key")
    if w is None and sizes[0] != sizes[1]:
        wanted = f"(B, S, Dq) = (B, S, {sizes[0]}) with Dq from query, as there is no weight"
        raise ValueError(f"{where}: key has shape {k.shape}; expected {wanted}")
    context, weights = _backend.active().multiplicative_attention(q, k, v, w, seen)
    return context, weights


def _sequences(
    where: str, query: Any, key: Any, value: Any, lengths: Any
) -> tuple[Floats, Floats, Floats, Ints | None]:
    q, k, v = (floats(where, name, x) for name, x in (("query", query), ("key", key), ("value", value)))
    for name, array, shape in (("query", q, "(B, Q, Dq)"), ("key", k, "(B, S, Dk)"), ("value", v, "(B, S, Dv)")):
        expect_rank(where, name, array, (3,), shape)
    batch, keys = k.shape[:2]
    if q.shape[0] != batch:
        wanted = f"(B, Q, Dq) = ({batch}, {q.shape[1]}, {q.shape[2]}) with B from key"
        raise ValueError(f"{where}: query has shape {q.shape}; expected {wanted}")
    if v.shape[:2] != (batch, keys):
        wanted = f"(B, S, Dv) = ({batch}, {keys}, {v.shape[2]}) with B, S from key"
        raise ValueError(f"{where}: value has shape {v.shape}; expected {wanted}")
    return q, k, v, None if lengths is None else _checks.lengths(where, lengths, batch, keys)
