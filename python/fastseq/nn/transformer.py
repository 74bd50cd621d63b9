"""Layers of the Transformer's encoder and decoder."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from fastseq import _checks, functional
from fastseq._checks import Floats, choice, floats, integer, number
from fastseq.nn.attention import MultiheadAttention
from fastseq.nn.dense import Linear
from fastseq.nn.module import Module, Seed, compute_type_argument, expect_torch
from fastseq.nn.norm import LayerNorm

__all__ = ["TransformerDecoderLayer", "TransformerEncoderLayer"]

_Layer = TypeVar("_Layer", bound="_TransformerLayer")


class _TransformerLayer(Module):
    """What both layers have: self-attention, the feed-forward part, and norms before or after each part."""

    _num_norms: int

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        compute_type: str = "float32",
        seed: Seed = None,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        size = integer(where, "d_model", d_model, 1)
        heads = integer(where, "nhead", nhead, 1)
        inner = integer(where, "dim_feedforward", dim_feedforward, 1)
        self.dropout = number(where, "dropout", dropout, 0.0, 1.0)
        self.activation = choice(where, "activation", activation, ("relu", "gelu"))
        self.norm_first = bool(norm_first)
        self.compute_type = _checks.compute_type(where, compute_type)
        generator = np.random.default_rng(seed)
        self._add_attention("self_attn", size, heads, bias, batch_first, generator)
        if self._num_norms == 3:
            self._add_attention("multihead_attn", size, heads, bias, batch_first, generator)
        self._add("linear1", Linear(size, inner, bias=bias, compute_type=compute_type, seed=generator))
        self._add("linear2", Linear(inner, size, bias=bias, compute_type=compute_type, seed=generator))
        for i in range(1, self._num_norms + 1):
            self._add(f"norm{i}", LayerNorm(size, eps=layer_norm_eps, bias=bias))

    def _add_attention(
        self, name: str, size: int, heads: int, bias: bool, batch_first: bool, generator: np.random.Generator
    ) -> None:
        attention = MultiheadAttention(
            size, heads, bias=bias, batch_first=batch_first, compute_type=self.compute_type, seed=generator
        )
        self._add(name, attention)

    def _feed_forward(self, x: Floats) -> Floats:
        activation = functional.relu if self.activation == "relu" else functional.gelu
        result: Floats = self.linear2(activation(self.linear1(x)))
        return result

    @classmethod
    def from_torch(cls: type[_Layer], module: Any, *, compute_type: str = "float32") -> _Layer:
        """Take over the weights of torch.nn's layer of the same name.

        Raises
        ------
        TypeError
            If it is another kind of module.
        ValueError
            If its activation is neither relu nor the exact gelu.
        """
        expect_torch(cls, module)
        activation = module.activation
        name = getattr(activation, "__name__", type(activation).__name__).lower()
        if getattr(activation, "approximate", "none") != "none":
            name = "gelu by tanh"
        attention = module.self_attn
        layer = cls(
            attention.embed_dim,
            attention.num_heads,
            module.linear1.out_features,
            activation=name,
            layer_norm_eps=module.norm1.eps,
            batch_first=attention.batch_first,
            norm_first=module.norm_first,
            bias=module.linear1.bias is not None,
            compute_type=compute_type,
        )
        layer.load_state_dict(module.state_dict())
        return layer

    def _arguments(self) -> str:
        attention = self.self_attn
        sizes = f"{attention.embed_dim}, {attention.num_heads}, {self.linear1.out_features}"
        return f"{sizes}, activation={self.activation!r}, norm_first={self.norm_first}{compute_type_argument(self)}"


class TransformerEncoderLayer(_TransformerLayer):
    """x + self-attention, x + feed-forward, as torch.nn.TransformerEncoderLayer.

    Parameters
    ----------
    d_model, nhead : int
        E and the number of heads.
    dim_feedforward : int, default 2048
    dropout : float, default 0.1
        Accepted so that arguments can be taken over; nothing is dropped, as in torch after ``eval()``.
    activation : {"relu", "gelu"}, default "relu"
    layer_norm_eps : float, default 1e-5
    batch_first : bool, default False
        Whether arrays are (B, T, E) instead of (T, B, E).
    norm_first : bool, default False
        Whether each part reads normalised input (pre-norm), instead of its sum being normalised (post-norm).
    bias : bool, default True
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        What the weights of the dense layers are packed as; see `functional.linear`.
    seed : int or numpy.random.Generator, optional
        For the initial weights, which are distributed as in torch.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need"; Xiong et al. (2020), "On layer normalization in the Transformer
    architecture".

    Examples
    --------
    >>> import numpy as np
    >>> layer = TransformerEncoderLayer(8, 2, 16, batch_first=True)
    >>> layer(np.ones((2, 3, 8)), src_key_padding_mask=[[False, False, True], [False, False, False]]).shape
    (2, 3, 8)
    """

    _num_norms = 2

    def __call__(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Floats:
        """Apply the layer.

        Parameters
        ----------
        src : (T, B, E), with `batch_first` (B, T, E), or for one sequence (T, E) array_like
        src_mask, src_key_padding_mask, is_causal
            `attn_mask`, `key_padding_mask` and `is_causal` of `MultiheadAttention`.

        Returns
        -------
        float32 array, shape of `src`
            What padded positions hold means nothing.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        x = floats("TransformerEncoderLayer", "src", src)

        def attend(y: Floats) -> Floats:
            output: Floats = self.self_attn(y, y, y, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]
            return output

        if self.norm_first:
            x = x + attend(self.norm1(x))
            return x + self._feed_forward(self.norm2(x))
        x = self.norm1(x + attend(x))
        result: Floats = self.norm2(x + self._feed_forward(x))
        return result


class TransformerDecoderLayer(_TransformerLayer):
    """x + self-attention, x + attention to the encoder's output, x + feed-forward, as torch.nn.TransformerDecoderLayer.

    Parameters
    ----------
    d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias
        As in `TransformerEncoderLayer`.
    compute_type, seed
        As in `TransformerEncoderLayer`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np
    >>> layer = TransformerDecoderLayer(8, 2, 16, batch_first=True)
    >>> layer(np.ones((2, 3, 8)), np.ones((2, 5, 8)), tgt_is_causal=True).shape
    (2, 3, 8)
    """

    _num_norms = 3

    def __call__(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Floats:
        """Apply the layer.

        Parameters
        ----------
        tgt : (T, B, E), with `batch_first` (B, T, E), or for one sequence (T, E) array_like
        memory : (S, B, E), with `batch_first` (B, S, E), or for one sequence (S, E) array_like
            The encoder's output.
        tgt_mask, tgt_key_padding_mask, tgt_is_causal
            `attn_mask`, `key_padding_mask` and `is_causal` of `MultiheadAttention`, for the attention to `tgt`.
        memory_mask, memory_key_padding_mask, memory_is_causal
            The same for the attention to `memory`.

        Returns
        -------
        float32 array, shape of `tgt`
            What padded positions hold means nothing.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        x = floats("TransformerDecoderLayer", "tgt", tgt)
        encoded = floats("TransformerDecoderLayer", "memory", memory)

        def attend(y: Floats) -> Floats:
            output: Floats = self.self_attn(y, y, y, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]
            return output

        def look(y: Floats) -> Floats:
            output: Floats = self.multihead_attn(
                y, encoded, encoded, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal
            )[0]
            return output

        if self.norm_first:
            x = x + attend(self.norm1(x))
            x = x + look(self.norm2(x))
            return x + self._feed_forward(self.norm3(x))
        x = self.norm1(x + attend(x))
        x = self.norm2(x + look(x))
        result: Floats = self.norm3(x + self._feed_forward(x))
        return result
