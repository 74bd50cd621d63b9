"""A stack of Transformer layers (Vaswani et al., 2017), encoder or decoder, as its description says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.activations import gelu, relu, sigmoid, silu, tanh
from fastseq.reference.attention import scaled_dot_product_attention
from fastseq.reference.linear import embedding, linear
from fastseq.reference.models.distances import relative_scores, tokens_around
from fastseq.reference.norm import layer_norm, rms_norm
from fastseq.reference.rotary import rotary_table, rotate_half
from fastseq.reference.softmax import softmax

__all__ = ["KeysValues", "Past", "Stack", "activate", "by_rows"]

Array: TypeAlias = NDArray[Any]

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "none": lambda x: x,
    "relu": relu,
    "gelu": gelu,
    "gelu_tanh": partial(gelu, approximate="tanh"),
    "silu": silu,
    "tanh": tanh,
}


def activate(kind: str, x: Array) -> Array:
    """Apply an activation to each number."""
    return _ACTIVATIONS[kind](x.reshape(-1)).reshape(x.shape)


@dataclass
class KeysValues:
    """Keys and values of one attention, (r, heads, length, D) each."""

    keys: Array
    values: Array

    @property
    def length(self) -> int:
        """Number of keys."""
        return int(self.keys.shape[2])

    def select(self, rows: Array) -> KeysValues:
        """Return those of the given rows."""
        return KeysValues(self.keys[rows], self.values[rows])


@dataclass
class SsruState:
    """The cells of an SSRU (r, H) after `length` tokens."""

    cells: Array
    length: int

    def select(self, rows: Array) -> SsruState:
        """Return those of the given rows."""
        return SsruState(self.cells[rows], self.length)


Past: TypeAlias = KeysValues | SsruState  # what a layer knows of the tokens it has read


class Stack:
    """Layers, with what comes before the first and after the last.

    Parameters
    ----------
    config : dict
        The fields of `fastseq.models.StackConfig`.
    tensors : dict of arrays
        All of one dtype, which is the dtype of the computation.
    part : str
        The first word of the tensors' names.
    embedding : array
        Of the tokens, (vocab_size, width).
    """

    def __init__(self, config: dict[str, Any], tensors: dict[str, Array], part: str, embedding: Array) -> None:
        self.config = config
        self.tensors = tensors
        self.part = part
        self.embedding = embedding
        self.dtype = embedding.dtype
        self.heads, self.head_size = config["num_heads"], config["head_size"]
        self.rows = np.array(config["relative_rows"], np.int64)

    def read(self, ids: Array, token_types: Array | None = None, is_causal: bool = False) -> Array:
        """Read whole sequences: ids (b, T) to hidden states (b, T, hidden)."""
        return self.advance(ids, self.no_past(len(ids)), None, is_causal=is_causal, token_types=token_types)[0]

    def no_past(self, rows: int) -> list[Past]:
        """Return what the layers know before the first token."""
        if self.config["ssru"]:
            return [
                SsruState(np.zeros((rows, self.config["hidden_size"]), self.dtype), 0) for _ in self.config["layers"]
            ]
        nothing = np.empty((rows, self.heads, 0, self.head_size), self.dtype)
        return [KeysValues(nothing, nothing) for _ in self.config["layers"]]

    def cross(self, memory: Array) -> list[KeysValues]:
        """Keys and values of the encoder's output (r, S, hidden) for each layer."""
        return [self._keys_values(f"{self.part}.layers.{i}.multihead_attn", memory) for i in self.config["layers"]]

    def advance(
        self,
        ids: Array,
        past: list[Past],
        cross: list[KeysValues] | None,
        *,
        is_causal: bool,
        token_types: Array | None = None,
        return_attention: bool = False,
    ) -> tuple[Array, list[Past], Array | None]:
        """Read ids (r, T) after a past: one of them, or many if there is no past or they all see each other.

        Returns hidden states (r, T, hidden), the past with these tokens, and the weights (r, T, S) of the last layer on
        the encoder's output, if asked.
        """
        first = past[0].length if past else 0
        x = embedded = self._embed(ids, first, token_types)
        end = first + ids.shape[1]
        distance = np.arange(end) - np.arange(first, end)[:, None]  # key - query
        tables = {base: rotary_table(base, end, self.head_size)[:, first:] for base in set(self.config["rotary"])}
        extended: list[Past] = []
        weights = None
        for i, (layer, before) in enumerate(zip(self.config["layers"], past, strict=True)):
            name = f"{self.part}.layers.{layer}"
            on = cross[i] if cross is not None else None
            angles = tables[self.config["rotary"][i]].astype(self.dtype) if tables else None
            window = self.config["windows"][i] if self.config["windows"] else 0

            def self_part(
                y: Array, name: str = name, before: Past = before, angles: Array | None = angles, window: int = window
            ) -> Array:
                if isinstance(before, SsruState):
                    output, after = self._ssru(f"{name}.ssru", y, before)
                    extended.append(after)
                    return output
                new = self._keys_values(f"{name}.self_attn", y, angles)
                keys = np.concatenate((before.keys, new.keys), axis=2)
                seen = KeysValues(keys, np.concatenate((before.values, new.values), axis=2))
                extended.append(seen)
                mask = self._mask(name, distance, is_causal, window)
                return self._attend(f"{name}.self_attn", y, seen, mask, angles, distance)

            unnormed = layer == 0 and not self.config["first_norm"]
            x = x + self_part(x) if unnormed else self._residual(f"{name}.norm1", x, self_part)
            if on is not None:
                if return_attention and i == len(past) - 1:
                    y = self.norm(f"{name}.norm2", x) if self.config["norm_first"] else x
                    weights = self._mean_weights(f"{name}.multihead_attn", y, on)
                attend = partial(self._attend, f"{name}.multihead_attn", on=on)
                x = self._residual(f"{name}.norm2", x, attend)
            x = self._residual(f"{name}.norm{3 if on is not None else 2}", x, partial(self._feed_forward, name))
            if i == 0 and self.config["convolution"]:
                x = self.norm(f"{self.part}.convolution_norm", x + self._convolve(embedded))
        if self.config["final_norm"]:
            x = self.norm(f"{self.part}.norm", x)
        return x, extended, weights

    def _embed(self, ids: Array, first: int, token_types: Array | None) -> Array:
        """Sum of the embeddings of ids (b, T) at the positions from `first` on, normed and projected."""
        config, part, width = self.config, self.part, self.embedding.shape[1]
        flat = embedding(ids.reshape(-1).astype(np.int64), self.embedding)
        x = flat.reshape(*ids.shape, width) * self.dtype.type(config["embedding_scale"])
        count = ids.shape[1]
        if config["positions"] == "table":
            start = config["position_offset"] + first
            if first + count > config["max_positions"]:
                raise ValueError(f"a sequence is longer than max_positions = {config['max_positions']}")
            x = x + self.tensors[f"{part}.positions.weight"][start : start + count]
        elif config["positions"] == "sinusoidal":
            x = x + _sinusoids(first, count, width).astype(self.dtype)
        if config["token_types"]:
            x = x + self.tensors[f"{part}.token_types.weight"][0 if token_types is None else token_types]
        if config["embedding_norm"]:
            x = self.norm(f"{part}.embedding_norm", x)
        return self.dense(f"{part}.embedding_projection", x) if config["embedding_size"] else x

    def _residual(self, norm: str, x: Array, part: Callable[[Array], Array]) -> Array:
        """Residual sum: x + part(norm(x)) with norm_first (Xiong et al., 2020), else norm(x + part(x))."""
        if self.config["norm_first"]:
            return x + part(self.norm(norm, x))
        return self.norm(norm, x + part(x))

    def norm(self, name: str, x: Array) -> Array:
        """Apply a norm to x (..., size)."""
        weight, eps = self.tensors[f"{name}.weight"], self.config["norm_eps"]
        if self.config["norm"] == "rms":
            return by_rows(rms_norm, x, weight, eps)
        return by_rows(layer_norm, x, weight, self.tensors[f"{name}.bias"] if self.config["norm_bias"] else None, eps)

    def dense(self, name: str, x: Array) -> Array:
        """Apply a dense layer to x (..., in_features)."""
        return by_rows(linear, x, self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.bias"))

    def _ssru(self, name: str, x: Array, state: SsruState) -> tuple[Array, SsruState]:
        """Read x (r, T, H) step by step: c' = f c + (1 - f) W x with f = sigmoid(W_f x + b_f), output max(c', 0)."""
        gates, cells, output = self.dense(name, x), state.cells, np.empty_like(x)
        for t in range(x.shape[1]):
            new, forget = np.split(gates[:, t], 2, axis=1)
            cells = new + sigmoid(forget) * (cells - new)
            output[:, t] = np.maximum(cells, 0)
        return output, SsruState(cells, state.length + x.shape[1])

    def _convolve(self, x: Array) -> Array:
        around = tokens_around(x, self.config["convolution"])
        return activate(self.config["convolution_activation"], self.dense(f"{self.part}.convolution", around))

    def _feed_forward(self, name: str, x: Array) -> Array:
        inner, kind = self.dense(f"{name}.linear1", x), self.config["activation"]
        inner = activate(kind, self.dense(f"{name}.gate", x)) * inner if self.config["gated"] else activate(kind, inner)
        return self.dense(f"{name}.linear2", inner)

    def _project(self, name: str, part: int, x: Array, angles: Array | None = None) -> Array:
        """Queries, keys or values (part 0, 1, 2) of x (r, T, hidden), heads apart: (r, heads, T, D).

        Turned, where they have rotary positions, by angles whose cosines and sines are (2, T, D / 2).
        """
        size = self.heads * self.head_size
        rows = slice(part * size, (part + 1) * size)
        weight, bias = self.tensors[f"{name}.in_proj_weight"], self.tensors.get(f"{name}.in_proj_bias")
        projected = by_rows(linear, x, weight[rows], None if bias is None else bias[rows])
        heads = np.swapaxes(projected.reshape(*x.shape[:2], self.heads, self.head_size), 1, 2)
        return heads if angles is None else rotate_half(heads, angles)

    def _keys_values(self, name: str, x: Array, angles: Array | None = None) -> KeysValues:
        return KeysValues(self._project(name, 1, x, angles), self._project(name, 2, x))

    def _attend(
        self,
        name: str,
        x: Array,
        on: KeysValues,
        mask: Array | None = None,
        angles: Array | None = None,
        distance: Array | None = None,
    ) -> Array:
        query, scale = self._project(name, 0, x, angles), self.config["attention_scale"]
        if distance is not None and len(self.rows):  # a mask then says which keys a window shows
            vectors = [self.tensors.get(f"{name}.relative_{kind}.weight") for kind in ("keys", "queries")]
            scores = relative_scores(query, on.keys, vectors[0], vectors[1], _at(self.rows, distance))
            scores = scores * self.dtype.type(scale)
            mask = scores if mask is None else np.where(mask, scores, scores.dtype.type(-np.inf))
        heads = scaled_dot_product_attention(query, on.keys, on.values, mask, False, scale)
        return self.dense(f"{name}.out_proj", heads.swapaxes(1, 2).reshape(*x.shape[:2], self.heads * self.head_size))

    def _mask(self, layer: str, distance: Array, is_causal: bool, window: int) -> Array | None:
        """What is added to the scores (heads, T, keys) of keys at a distance (T, keys), or which of them are seen."""
        visible: Array | None = distance <= 0 if is_causal and len(distance) > 1 else None
        if window:
            near = np.abs(distance) < window
            visible = near if visible is None else visible & near
        if not self.config["relative_positions"]:
            return visible
        owner = layer if self.config["relative_layers"] else self.part
        bias = _at(self.tensors[f"{owner}.relative_bias.weight"], distance)
        return bias if visible is None else np.where(visible, bias, bias.dtype.type(-np.inf))

    def _mean_weights(self, name: str, x: Array, on: KeysValues) -> Array:
        """Attention weights (r, T, S), the mean over the heads."""
        scores = self._project(name, 0, x) @ on.keys.swapaxes(2, 3) * self.dtype.type(self.config["attention_scale"])
        weights: Array = by_rows(softmax, scores).mean(axis=1)
        return weights


def by_rows(function: Callable[..., Array], x: Array, *args: Any) -> Array:
    """Apply a function of rows (N, I) -> (N, O) to x (..., I)."""
    result = function(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), *args)
    return result.reshape(*x.shape[:-1], result.shape[-1])


def _at(table: Array, distance: Array) -> Array:
    """Entries for distances of a table (..., 2 M + 1) from -M to M, for what is farther those of the ends."""
    most = table.shape[-1] // 2
    entries: Array = table[..., np.clip(distance, -most, most) + most]
    return entries


def _sinusoids(first: int, count: int, size: int) -> Array:
    """Sines and cosines of position / 10000^(2i / size), interleaved: (count, size)."""
    angles = np.arange(first, first + count)[:, None] * 10000.0 ** (-np.arange(0, size, 2) / size)
    table: Array = np.stack((np.sin(angles), np.cos(angles)), axis=-1).reshape(count, size + size % 2)[:, :size]
    return table
