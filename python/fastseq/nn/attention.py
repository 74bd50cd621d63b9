"""MultiheadAttention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastseq import _backend, _checks
from fastseq._checks import Floats, Mask, expect_rank, expect_shape, floats, integer, number
from fastseq.nn.dense import Linear
from fastseq.nn.module import Module, Seed, compute_type_argument, expect_torch, refuse, uniform

__all__ = ["MultiheadAttention"]

_WHERE = "MultiheadAttention"


class MultiheadAttention(Module):
    """Attention with several heads, as torch.nn.MultiheadAttention.

    Parameters
    ----------
    embed_dim : int
        E, a multiple of `num_heads`.
    num_heads : int
    dropout : float, default 0.0
        Accepted so that arguments can be taken over; nothing is dropped, as in torch after ``eval()``.
    bias : bool, default True
    add_bias_kv, add_zero_attn : {False}
    kdim, vdim : int, optional
        Sizes of keys and values; default `embed_dim`.
    batch_first : bool, default False
        Whether arrays are (B, T, ...) instead of (T, B, ...).
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        What the weights of the projections are packed as; see `functional.linear`.
    seed : int or numpy.random.Generator, optional
        For the initial weights, which are distributed as in torch.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need".

    Examples
    --------
    >>> import numpy as np
    >>> attention = MultiheadAttention(8, 2, batch_first=True)
    >>> x = np.ones((1, 3, 8))
    >>> output, weights = attention(x, x, x)
    >>> output.shape, weights.shape
    ((1, 3, 8), (1, 3, 3))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        compute_type: str = "float32",
        seed: Seed = None,
    ) -> None:
        super().__init__()
        self.embed_dim = size = integer(_WHERE, "embed_dim", embed_dim, 1)
        self.num_heads = integer(_WHERE, "num_heads", num_heads, 1)
        if size % self.num_heads:
            raise ValueError(f"{_WHERE}: embed_dim is {size}; expected a multiple of num_heads = {num_heads}")
        self.dropout = number(_WHERE, "dropout", dropout, 0.0, 1.0)
        refuse(_WHERE, add_bias_kv=(add_bias_kv, False), add_zero_attn=(add_zero_attn, False))
        self.compute_type = _checks.compute_type(_WHERE, compute_type)
        self.kdim = size if kdim is None else integer(_WHERE, "kdim", kdim, 1)
        self.vdim = size if vdim is None else integer(_WHERE, "vdim", vdim, 1)
        self.batch_first = bool(batch_first)
        generator = np.random.default_rng(seed)
        if self.kdim == self.vdim == size:
            self._set_parameter("in_proj_weight", uniform(generator, math.sqrt(6 / (4 * size)), 3 * size, size))
        else:
            for name, width in (("q", size), ("k", self.kdim), ("v", self.vdim)):
                bound = math.sqrt(6 / (size + width))
                self._set_parameter(f"{name}_proj_weight", uniform(generator, bound, size, width))
        self._set_parameter("in_proj_bias", np.zeros(3 * size, np.float32) if bias else None)
        self._add("out_proj", Linear(size, size, bias=bias, compute_type=compute_type, seed=generator))
        if bias:
            self.out_proj._set_parameter("bias", np.zeros(size, np.float32))

    def __call__(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Floats, Floats | None]:
        """Attend.

        Parameters
        ----------
        query : (L, B, E), with `batch_first` (B, L, E), or for one sequence (L, E) array_like
        key : (S, B, kdim), (B, S, kdim) or (S, kdim) array_like
        value : (S, B, vdim), (B, S, vdim) or (S, vdim) array_like
        key_padding_mask : (B, S) or (S,) array_like, optional
            Booleans: True is *not* attended to (as in torch, and unlike `functional.scaled_dot_product_attention`).
            Numbers are added to the scores.
        need_weights : bool, default True
            Without them the call is faster.
        attn_mask : (L, S) or (B * num_heads, L, S) array_like, optional
            As `key_padding_mask`.
        average_attn_weights : bool, default True
            Whether the weights are those of the mean head.
        is_causal : bool, default False
            Without `attn_mask`: query i sees the keys 0 to i. With it the mask counts.

        Returns
        -------
        output : shape of `query`
        weights : (B, L, S), or of each head (B, num_heads, L, S); without B for one sequence
            None without `need_weights`. 0 for a query that sees no key, where torch has NaN.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        q, k, v = (floats(_WHERE, name, x) for name, x in (("query", query), ("key", key), ("value", value)))
        batched = q.ndim != 2
        lead = ("B, {}" if self.batch_first else "{}, B") if batched else "{}"
        for name, array, length, width in (
            ("query", q, "L", self.embed_dim), ("key", k, "S", self.kdim), ("value", v, "S", self.vdim)
        ):  # fmt: skip
            wanted = f"({lead.format(length)}, {width})"
            expect_rank(_WHERE, name, array, (2, 3) if name == "query" else (q.ndim,), wanted)
            if array.shape[-1] != width:
                raise ValueError(f"{_WHERE}: {name} has shape {array.shape}; expected {wanted}")
        if not batched:
            q, k, v = q[None], k[None], v[None]
        elif not self.batch_first:
            q, k, v = q.swapaxes(0, 1), k.swapaxes(0, 1), v.swapaxes(0, 1)
        batch, queries, keys = q.shape[0], q.shape[1], k.shape[1]
        if k.shape[0] != batch or v.shape[:2] != (batch, keys):
            shapes = f"query, key and value have (B, length) {q.shape[:2]}, {k.shape[:2]} and {v.shape[:2]}"
            raise ValueError(f"{_WHERE}: {shapes}; expected one B, and one S of key and value")
        mask = self._mask(key_padding_mask, attn_mask, batch, queries, keys, batched)
        causal = bool(is_causal) and attn_mask is None
        projections = self._packed(self._pack)
        q, k, v = (self._heads(layer, x) for layer, x in zip(projections, (q, k, v), strict=True))
        scale = 1 / math.sqrt(self.embed_dim // self.num_heads)
        if causal and mask is not None:
            below = np.tri(queries, keys, dtype=np.bool_)
            both = np.logical_and(mask, below) if mask.dtype == np.bool_ else np.where(below, mask, np.float32(-np.inf))
            mask, causal = np.require(both, mask.dtype, ["C"]), False
        heads = _backend.active().scaled_dot_product_attention(q, k, v, mask, causal, scale)
        output = self.out_proj(heads.swapaxes(1, 2).reshape(batch, queries, self.embed_dim))
        weights = self._weights(q, k, mask, causal, scale, average_attn_weights) if need_weights else None
        if not batched:
            return output[0], None if weights is None else weights[0]
        return output if self.batch_first else output.swapaxes(0, 1), weights

    def _pack(self, backend: Any) -> list[Any]:
        """Projections of query, key and value."""
        bias = [None] * 3 if self.in_proj_bias is None else np.split(self.in_proj_bias, 3)
        if "in_proj_weight" in self._parameters:
            weights = np.split(self.in_proj_weight, 3)
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        return [backend.Linear(w, b, self.compute_type) for w, b in zip(weights, bias, strict=True)]

    def _heads(self, projection: Any, x: Floats) -> Floats:
        """Project (B, T, width) and split it into contiguous (B, heads, T, D)."""
        batch, steps, width = x.shape
        projected = projection.forward(np.ascontiguousarray(x).reshape(batch * steps, width))
        size = self.embed_dim // self.num_heads
        return np.ascontiguousarray(projected.reshape(batch, steps, self.num_heads, size).swapaxes(1, 2))

    def _mask(
        self, key_padding_mask: Any, attn_mask: Any, batch: int, queries: int, keys: int, batched: bool
    ) -> Mask | None:
        """Both masks as one of four dimensions, True to attend."""
        masks: list[Mask] = []
        if key_padding_mask is not None:
            padding = _checks.mask(_WHERE, "key_padding_mask", key_padding_mask)
            shape, symbols = ((batch, keys), "(B, S)") if batched else ((keys,), "(S,)")
            expect_shape(_WHERE, "key_padding_mask", padding, shape, symbols, "with S from key")
            masks.append(padding.reshape(batch, 1, 1, keys))
        if attn_mask is not None:
            mask = _checks.mask(_WHERE, "attn_mask", attn_mask)
            wanted = (queries, keys), (batch * self.num_heads, queries, keys)
            if mask.shape not in wanted:
                text = f"(L, S) = {wanted[0]} or (B * num_heads, L, S) = {wanted[1]}"
                raise ValueError(f"{_WHERE}: attn_mask has shape {mask.shape}; expected {text}")
            lead = (1, 1) if mask.ndim == 2 else (batch, self.num_heads)
            masks.append(mask.reshape(*lead, queries, keys))
        if not masks:
            return None
        if all(mask.dtype == np.bool_ for mask in masks):
            hidden = masks[0] if len(masks) == 1 else np.logical_or(*masks)
            return np.require(np.logical_not(hidden), np.bool_, ["C"])
        added = [np.where(m, np.float32(-np.inf), np.float32(0)) if m.dtype == np.bool_ else m for m in masks]
        with np.errstate(over="ignore", invalid="ignore"):
            return np.require(added[0] if len(added) == 1 else added[0] + added[1], np.float32, ["C"])

    def _weights(self, q: Floats, k: Floats, mask: Mask | None, causal: bool, scale: float, average: bool) -> Floats:
        """Weights (B, heads, L, S), or their mean over the heads (B, L, S)."""
        backend = _backend.active()
        shape = (*q.shape[:3], k.shape[2])
        scores = np.empty(shape, np.float32)
        for b, h in np.ndindex(*shape[:2]):
            scores[b, h] = backend.linear(q[b, h], k[b, h], None)
        scores *= np.float32(scale)
        if mask is not None and mask.dtype == np.bool_:
            np.copyto(scores, -np.inf, where=np.logical_not(mask))
        elif mask is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                scores += mask
        if causal:
            scores[..., ~np.tri(*shape[2:], dtype=np.bool_)] = -np.inf
        weights: Floats = backend.softmax(scores.reshape(math.prod(shape[:3]), shape[3])).reshape(shape)
        weights[(scores == -np.inf).all(axis=3)] = 0
        if not average:
            return weights
        total: Floats = weights[:, 0].copy()
        for h in range(1, self.num_heads):  # one order of addition, whatever the shape
            total += weights[:, h]
        total *= np.float32(1 / self.num_heads)
        return total

    @classmethod
    def from_torch(cls, module: Any, *, compute_type: str = "float32") -> MultiheadAttention:
        """Take over the weights of a torch.nn.MultiheadAttention.

        Raises
        ------
        TypeError
            If it is another kind of module.
        ValueError
            If it has `add_bias_kv` or `add_zero_attn`.
        """
        expect_torch(MultiheadAttention, module)
        layer = cls(
            module.embed_dim,
            module.num_heads,
            bias=module.in_proj_bias is not None,
            add_bias_kv=module.bias_k is not None,
            add_zero_attn=module.add_zero_attn,
            kdim=module.kdim,
            vdim=module.vdim,
            batch_first=module.batch_first,
            compute_type=compute_type,
        )
        layer.load_state_dict(module.state_dict())
        return layer

    def _arguments(self) -> str:
        layout = ", batch_first=True" if self.batch_first else ""
        return f"{self.embed_dim}, {self.num_heads}{layout}{compute_type_argument(self)}"
