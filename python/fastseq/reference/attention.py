"""Scaled dot-product, additive and multiplicative attention."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.linear import linear

Array: TypeAlias = NDArray[Any]

__all__ = ["additive_attention", "multiplicative_attention", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Array, key: Array, value: Array, attn_mask: Array | None, is_causal: bool, scale: float
) -> Array:
    """Return softmax(scale Q K^T + mask) V (Vaswani et al., 2017).

    query (B, Hq, L, D), key (B, Hk, S, D), value (B, Hk, S, Dv); query head h uses key head h // (Hq / Hk).
    attn_mask, which broadcasts to (B, Hq, L, S): True attends, a number is added. is_causal: query i sees keys up to i.
    A query that sees nothing gets 0.
    """
    batch, heads, queries, size = query.shape
    key_heads, keys, value_size = key.shape[1], key.shape[2], value.shape[3]
    group = heads // max(1, key_heads)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = query.reshape(batch, key_heads, group * queries, size) @ key.swapaxes(2, 3)
        scores = scores.reshape(batch, heads, queries, keys)
        scores *= scale
        if attn_mask is not None and attn_mask.dtype == np.bool_:
            np.copyto(scores, -np.inf, where=~attn_mask)
        elif attn_mask is not None:
            scores += attn_mask
        if is_causal:
            np.copyto(scores, -np.inf, where=np.arange(keys) > np.arange(queries)[:, None])
        weights, total = _exponentials(scores)
        output: Array = weights.reshape(batch, key_heads, group * queries, keys) @ value
        output = output.reshape(batch, heads, queries, value_size)
        output /= total
    return output


def additive_attention(
    query: Array,
    key: Array,
    value: Array,
    weight_query: Array,
    weight_key: Array,
    weight_score: Array,
    bias: Array | None,
    lengths: NDArray[np.int64] | None,
) -> tuple[Array, Array]:
    """Score v^T tanh(W_q q + W_k k + b) (Bahdanau et al., 2015).

    query (B, Q, Dq), key (B, S, Dk), value (B, S, Dv) to context (B, Q, Dv), weights (B, Q, S).
    """
    projected_query = _project(query, weight_query, None)
    projected_key = _project(key, weight_key, bias)
    scores = np.empty((*query.shape[:2], key.shape[1]), query.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(query.shape[1]):  # one query after the other: (B, S, A) at a time
            scores[:, i] = np.tanh(projected_query[:, i, None] + projected_key) @ weight_score
    return _attend(scores, value, lengths)


def multiplicative_attention(
    query: Array, key: Array, value: Array, weight: Array | None, lengths: NDArray[np.int64] | None
) -> tuple[Array, Array]:
    """Score q^T W k, or q^T k without weight (Luong et al., 2015); shapes as in `additive_attention`."""
    projected_key = key if weight is None else _project(key, weight, None)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = query @ projected_key.swapaxes(1, 2)
    return _attend(scores, value, lengths)


def _project(input: Array, weight: Array, bias: Array | None) -> Array:
    batch, length, size = input.shape
    return linear(input.reshape(batch * length, size), weight, bias).reshape(batch, length, len(weight))


def _attend(scores: Array, value: Array, lengths: NDArray[np.int64] | None) -> tuple[Array, Array]:
    """softmax(scores) V over the first lengths[b] keys; what lies behind them is not looked at, whatever it is."""
    if lengths is not None:
        seen = np.arange(value.shape[1]) < lengths[:, None]  # (B, S)
        scores = np.where(seen[:, None], scores, -np.inf).astype(scores.dtype, copy=False)
        value = np.where(seen[:, :, None], value, 0).astype(value.dtype, copy=False)
    weights, total = _exponentials(scores)
    weights /= total
    with np.errstate(over="ignore", invalid="ignore"):
        return weights @ value, weights


def _exponentials(scores: Array) -> tuple[Array, Array]:
    """Return e^(s - max), in place of the scores, and its sum over the last axis; 0 and 1 where all are -inf."""
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    largest[largest == -np.inf] = 0
    with np.errstate(invalid="ignore"):
        scores -= largest
    weights = np.exp(scores, out=scores)
    total = weights.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    return weights, total
