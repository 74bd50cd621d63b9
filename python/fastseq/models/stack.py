"""Transformers as data: one description of a stack of layers covers every family."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = ["Activation", "Shapes", "StackConfig"]

Activation: TypeAlias = Literal["none", "relu", "gelu", "gelu_tanh", "silu", "tanh"]
Shapes: TypeAlias = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """An encoder, a decoder, or a decoder that stands alone.

    Parameters
    ----------
    vocab_size, hidden_size : int
    embedding_size : int, default 0
        Width of the embeddings, which a dense layer projects to `hidden_size`; 0: `hidden_size`, and no projection.
    layers : tuple of int
        Which weights each layer uses: 0, 1, 2, ... unless layers share them.
    num_heads, head_size : int
        Their product is the width of queries, keys and values.
    intermediate_size : int
        Width inside the feed-forward parts.
    activation : {"none", "relu", "gelu", "gelu_tanh", "silu", "tanh"}
    gated : bool, default False
        Feed-forward parts: activation(gate(x)) * linear1(x) in place of activation(linear1(x)).
    bias : bool, default True
        Whether dense layers have one.
    attention_bias : bool, optional
        Whether those of attentions have one, where they are not like the others.
    norm : {"layer", "rms"}
    norm_eps : float
    norm_bias : bool, default True
        Whether layer norms have one.
    norm_first : bool
        x + part(norm(x)), or norm(x + part(x)).
    first_norm : bool, default True
        With `norm_first`: whether layer 0 has a norm at its self-attention.
    final_norm, embedding_norm : bool
        A norm after the last layer, and after the sum of the embeddings.
    embedding_scale : float, default 1.0
        What token embeddings are multiplied by.
    positions : {"none", "table", "sinusoidal"}
        A table of `max_positions` rows that begins with row `position_offset`, or interleaved sines and cosines.
    max_positions, position_offset : int, default 0
    token_types : int, default 0
        Number of token types.
    relative_positions : int, default 0
        M: scores get a bias for the distance key - query from -M to M; what is farther gets that of the end.
    relative_layers : bool, default False
        Whether each layer has such biases of its own.
    relative_rows : tuple of int, default ()
        Disentangled attention (He et al., 2021): which of V vectors a distance key - query from -M to M has; what is
        farther has that of the end. From 0 to V - 1, never decreasing.
    relative_keys, relative_queries : bool, default False
        Whether scores get the product of the query with such a key, and of the key with such a query.
    rotary : tuple of float, default ()
        Rotary positions (Su et al., 2021), in encoders: for each layer the base of its angles; none where it is empty.
    windows : tuple of int, default ()
        In encoders: for each layer, a token attends to those at distances below this; 0: to all, as where it is empty.
    attention_scale : float
    cross_attention : bool, default False
    convolution : int, default 0
        In encoders, K tokens, odd: the first layer's output is norm(output + activation(convolution(embeddings))).
    convolution_activation : str, default "none"
    ssru : bool, default False
        In decoders with cross-attention: SSRU cells (Kim et al., 2019) in place of self-attention.

    Examples
    --------
    >>> stack = StackConfig(vocab_size=50, hidden_size=16, layers=(0, 1), num_heads=2, head_size=8,
    ...     intermediate_size=32, activation="gelu", norm="layer", norm_eps=1e-5, norm_first=False, final_norm=False,
    ...     attention_scale=8**-0.5)
    >>> stack.tensor_shapes("encoder")["encoder.layers.1.linear1.weight"]
    (32, 16)
    """

    vocab_size: int
    hidden_size: int
    embedding_size: int = 0
    layers: tuple[int, ...]
    num_heads: int
    head_size: int
    intermediate_size: int
    activation: Activation
    gated: bool = False
    bias: bool = True
    attention_bias: bool | None = None
    norm: Literal["layer", "rms"]
    norm_eps: float
    norm_bias: bool = True
    norm_first: bool
    first_norm: bool = True
    final_norm: bool
    embedding_norm: bool = False
    embedding_scale: float = 1.0
    positions: Literal["none", "table", "sinusoidal"] = "none"
    max_positions: int = 0
    position_offset: int = 0
    token_types: int = 0
    relative_positions: int = 0
    relative_layers: bool = False
    relative_rows: tuple[int, ...] = field(default=(), repr=False)  # as many as there are distances
    relative_keys: bool = False
    relative_queries: bool = False
    rotary: tuple[float, ...] = ()
    windows: tuple[int, ...] = ()
    attention_scale: float
    cross_attention: bool = False
    convolution: int = 0
    convolution_activation: Activation = "none"
    ssru: bool = False

    def __post_init__(self) -> None:
        rows = self.relative_rows
        if (rows and (rows[0] or len(rows) % 2 == 0)) or any(a > b for a, b in itertools.pairwise(rows)):
            raise ValueError("relative_rows are not those of the distances from -M to M")
        if bool(rows) != (self.relative_keys or self.relative_queries) or (rows and self.relative_positions):
            raise ValueError("relative_rows go with relative_keys or relative_queries, and without relative_positions")

    def options(self) -> dict[str, Any]:
        """Return what the backends read."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @property
    def attentions(self) -> tuple[str, ...]:
        """Names of the attention parts of a layer."""
        first = () if self.ssru else ("self_attn",)
        return (*first, "multihead_attn") if self.cross_attention else first

    def tensor_shapes(self, part: str, embedding: bool = True) -> Shapes:
        """Return the shape of every tensor of the stack, whose names begin with `part`."""
        width = self.embedding_size or self.hidden_size
        shapes: Shapes = {f"{part}.embedding.weight": (self.vocab_size, width)} if embedding else {}
        if self.positions == "table":
            shapes[f"{part}.positions.weight"] = (self.position_offset + self.max_positions, width)
        if self.token_types:
            shapes[f"{part}.token_types.weight"] = (self.token_types, width)
        if self.embedding_norm:
            shapes |= self.norm_shapes(f"{part}.embedding_norm", width)
        if self.embedding_size:
            shapes |= {f"{part}.embedding_projection.weight": (self.hidden_size, width)}
            shapes |= {f"{part}.embedding_projection.bias": (self.hidden_size,)}
        names = [f"{part}.layers.{layer}" for layer in sorted(set(self.layers))]
        for name in names:
            shapes |= self._layer(name)
        if not self.first_norm:
            shapes = {name: shape for name, shape in shapes.items() if not name.startswith(f"{part}.layers.0.norm1.")}
        if self.relative_positions:
            biases = (self.num_heads, 2 * self.relative_positions + 1)
            shapes |= {f"{name}.relative_bias.weight": biases for name in (names if self.relative_layers else [part])}
        if self.convolution:
            shapes |= {f"{part}.convolution.weight": (self.hidden_size, self.convolution * self.hidden_size)}
            shapes |= {f"{part}.convolution.bias": (self.hidden_size,)}
            shapes |= self.norm_shapes(f"{part}.convolution_norm", self.hidden_size)
        if self.final_norm:
            shapes |= self.norm_shapes(f"{part}.norm", self.hidden_size)
        return shapes

    def _layer(self, name: str) -> Shapes:
        hidden, inner = self.hidden_size, self.num_heads * self.head_size
        attentions: Shapes = {}
        for attention in self.attentions:
            attentions[f"{name}.{attention}.in_proj_"] = (3 * inner, hidden)
            attentions[f"{name}.{attention}.out_proj."] = (hidden, inner)
        dense: Shapes = {}
        if self.ssru:
            dense[f"{name}.ssru."] = (2 * hidden, hidden)
        for linear in ("gate", "linear1") if self.gated else ("linear1",):
            dense[f"{name}.{linear}."] = (self.intermediate_size, hidden)
        dense[f"{name}.linear2."] = (hidden, self.intermediate_size)
        shapes: Shapes = {}
        for start, shape in (attentions | dense).items():
            shapes[f"{start}weight"] = shape
            if self.bias if self.attention_bias is None or start in dense else self.attention_bias:
                shapes[f"{start}bias"] = shape[:1]
        if self.relative_rows:
            vectors = (self.num_heads * (self.relative_rows[-1] + 1), self.head_size)
            kinds = {"keys": self.relative_keys, "queries": self.relative_queries}
            shapes |= {f"{name}.self_attn.relative_{kind}.weight": vectors for kind, has in kinds.items() if has}
        for norm in range(1, 4 if self.cross_attention else 3):  # one for each part
            shapes |= self.norm_shapes(f"{name}.norm{norm}", hidden)
        return shapes

    def norm_shapes(self, name: str, size: int) -> Shapes:
        """Return the shape of every tensor of a norm of `size` numbers."""
        shapes: Shapes = {f"{name}.weight": (size,)}
        if self.norm == "layer" and self.norm_bias:
            shapes[f"{name}.bias"] = (size,)
        return shapes
