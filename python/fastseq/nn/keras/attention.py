"""Attention and AdditiveAttention of Keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseq import functional
from fastseq._checks import Floats
from fastseq.nn.keras.source import LayerSource
from fastseq.nn.keras.values import Mask, Value
from fastseq.nn.module import Module

__all__ = ["Attention"]


class Attention(Module):
    """Luong's dot product or a sum of tanh(q + k), as Keras defines the two layers.

    A key that is masked gets no weight, and a query without a key gives zeros, where Keras weights masked keys evenly.
    """

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        self.kind = source.kind
        self.name = source.name
        additive = source.kind == "AdditiveAttention"
        self.mode = "additive" if additive else source.option("score_mode", "dot", "dot", "concat")
        scaled = bool(source.option("use_scale", additive))
        shapes: list[tuple[int | None, ...]] = [(None,) if additive else ()] if scaled else []
        if self.mode == "concat":
            shapes.append(())
        arrays = list(source.arrays(*shapes))
        self._set_parameter("scale", arrays.pop(0).copy() if scaled else None)
        self._set_parameter("concat_score_weight", arrays.pop(0).copy() if arrays else None)

    def __call__(
        self,
        values: Any,
        mask: Any = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Value, ...]:
        """Context (B, Q, D) and, if asked, weights (B, Q, S), of [query, value] or [query, value, key]."""
        if not isinstance(values, (list, tuple)) or len(values) not in (2, 3):
            raise ValueError(f"layer {self.name!r} ({self.kind}) reads [query, value] or [query, value, key]")
        query, value = values[0], values[1]
        key = values[2] if len(values) == 3 else value
        masks = [v.mask for v in (query, value)] if mask is None else list(mask)[:2]
        attend = self._attend_causally if use_causal_mask else self._attend
        context, weights = attend(query.floats(), key.floats(), value.floats(), masks[1])
        if masks[0] is not None:
            context = np.where(masks[0][:, :, None], context, np.float32(0))
        result = Value(context, masks[0])
        return (result, Value(weights)) if return_attention_scores else (result,)

    def _attend_causally(self, query: Floats, key: Floats, value: Floats, mask: Mask) -> tuple[Floats, Floats]:
        """The same where query i sees the keys up to i: each query is a batch row with a mask of its own."""
        batch, queries, keys = *query.shape[:2], key.shape[1]
        seen = np.tril(np.ones((queries, keys), np.bool_))[None]
        seen = np.broadcast_to(seen if mask is None else seen & mask[:, None], (batch, queries, keys))
        key, value = (np.repeat(array, queries, axis=0) for array in (key, value))
        one = query.reshape(batch * queries, 1, query.shape[2])
        context, weights = self._attend(one, key, value, seen.reshape(batch * queries, keys))
        return context.reshape(batch, queries, -1), weights.reshape(batch, queries, keys)

    def _attend(self, query: Floats, key: Floats, value: Floats, mask: Mask) -> tuple[Floats, Floats]:
        lengths = order = None
        if mask is not None:  # the keys that count to the front
            order = np.argsort(~mask, axis=1, kind="stable")
            lengths = mask.sum(axis=1)
            key, value = (np.take_along_axis(array, order[:, :, None], axis=1) for array in (key, value))
        size = query.shape[-1]
        if self.mode == "dot":
            factor = np.float32(1) if self.scale is None else self.scale
            context, weights = functional.multiplicative_attention(query * factor, key, value, None, lengths)
        else:
            score = np.ones(size, np.float32)
            identity = np.eye(size, dtype=np.float32)
            if self.mode == "additive" and self.scale is not None:
                score = self.scale
            elif self.mode == "concat":
                score = score * self.concat_score_weight
                identity = identity * (np.float32(1) if self.scale is None else self.scale)
            context, weights = functional.additive_attention(
                query, key, value, identity, identity, score, None, lengths
            )
        if order is not None:
            spread = np.zeros_like(weights)
            np.put_along_axis(spread, np.broadcast_to(order[:, None], weights.shape), weights, axis=2)
            weights = spread
        return context, weights
