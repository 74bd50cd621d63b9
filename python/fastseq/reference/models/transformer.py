"""Transformer encoder and decoder (Vaswani et al., 2017), with the norms after or before each part."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseq.reference.activations import gelu, relu, silu
from fastseq.reference.attention import scaled_dot_product_attention
from fastseq.reference.linear import embedding, linear
from fastseq.reference.models.seq2seq import Array, Seq2Seq
from fastseq.reference.norm import layer_norm
from fastseq.reference.softmax import softmax

__all__ = ["TransformerSeq2Seq"]

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"relu": relu, "gelu": gelu, "silu": silu}


@dataclass
class KeysValues:
    """Keys and values of one attention, (r, heads, length, D) each."""

    keys: Array
    values: Array

    def select(self, rows: Array) -> KeysValues:
        """Return those of the given rows."""
        return KeysValues(self.keys[rows], self.values[rows])


@dataclass
class TransformerState:
    """The decoder after some tokens."""

    memory: Array  # (r, S, hidden)
    cross: list[KeysValues]  # a layer each, of the memory
    past: list[KeysValues]  # a layer each, of the tokens read so far

    def select(self, rows: Array) -> TransformerState:
        """Return the state whose row i is row ``rows[i]`` of this one."""
        cross, past = ([pair.select(rows) for pair in pairs] for pairs in (self.cross, self.past))
        return TransformerState(self.memory[rows], cross, past)


class TransformerSeq2Seq(Seq2Seq[TransformerState]):
    """Self-attention encoder; decoder with causal self-attention, attention on the encoder's output, feed-forward.

    Parameters
    ----------
    config : dict
        The fields of `fastseq.models.TransformerSeq2SeqConfig`.
    tensors : dict of arrays
        Named as in the model folder, all of one dtype, which is the dtype of the computation; int8 weights as pairs
        (values, scales).
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        Of the weights of dense and recurrent layers.
    """

    def __init__(self, config: dict[str, Any], tensors: dict[str, Any], compute_type: str = "float32") -> None:
        if config["tie_output"]:
            tensors = tensors | {"output.weight": tensors["decoder.embedding.weight"]}
        super().__init__(config, tensors, config["hidden_size"], compute_type)
        self.heads = config["num_heads"]
        self.head_size = config["hidden_size"] // self.heads
        self.scale = self.head_size**-0.5

    def start(self, source: Array) -> TransformerState:
        """Encode source ids (b, S), and project the memory to the keys and values of each decoder layer."""
        x = self._embed("encoder", source, 0)
        for i in range(self.config["encoder_num_layers"]):
            x = self._encoder_layer(f"encoder.layers.{i}", x)
        if self.config["norm_first"]:
            x = self._norm("encoder.norm", x)
        layers = range(self.config["decoder_num_layers"])
        nothing = np.empty((len(source), self.heads, 0, self.head_size), self.dtype)
        return TransformerState(
            memory=x,
            cross=[self._keys_values(f"decoder.layers.{i}.multihead_attn", x) for i in layers],
            past=[KeysValues(nothing, nothing) for _ in layers],
        )

    def _encoder_layer(self, name: str, x: Array) -> Array:
        def self_attention(y: Array) -> Array:
            return self._attend(f"{name}.self_attn", y, self._keys_values(f"{name}.self_attn", y))

        x = self._residual(f"{name}.norm1", x, self_attention)
        return self._residual(f"{name}.norm2", x, lambda y: self._feed_forward(name, y))

    def advance(
        self, target: Array, state: TransformerState, return_attention: bool = False
    ) -> tuple[Array, Array | None, TransformerState]:
        """Read target ids (r, T): T = 1 after any past, or all T at once from the beginning."""
        attention = None
        past: list[KeysValues] = []
        x = self._embed("decoder", target, state.past[0].keys.shape[2])
        for i, (before, cross) in enumerate(zip(state.past, state.cross, strict=True)):
            last = i == len(state.past) - 1
            x, extended, weights = self._decoder_layer(
                f"decoder.layers.{i}", x, before, cross, return_attention and last
            )
            past.append(extended)
            attention = weights
        if self.config["norm_first"]:
            x = self._norm("decoder.norm", x)
        logits = _by_rows(linear, x, self.tensors["output.weight"], self.tensors.get("output.bias"))
        return logits, attention, TransformerState(state.memory, state.cross, past)

    def _decoder_layer(
        self, name: str, x: Array, past: KeysValues, cross: KeysValues, return_attention: bool
    ) -> tuple[Array, KeysValues, Array | None]:
        extended = past
        weights = None

        def self_attention(y: Array) -> Array:
            nonlocal extended
            new = self._keys_values(f"{name}.self_attn", y)
            extended = KeysValues(
                np.concatenate((past.keys, new.keys), axis=2), np.concatenate((past.values, new.values), axis=2)
            )
            return self._attend(f"{name}.self_attn", y, extended, is_causal=y.shape[1] > 1)

        def cross_attention(y: Array) -> Array:
            nonlocal weights
            if return_attention:
                weights = self._mean_weights(f"{name}.multihead_attn", y, cross)
            return self._attend(f"{name}.multihead_attn", y, cross)

        x = self._residual(f"{name}.norm1", x, self_attention)
        x = self._residual(f"{name}.norm2", x, cross_attention)
        x = self._residual(f"{name}.norm3", x, lambda y: self._feed_forward(name, y))
        return x, extended, weights

    def _embed(self, part: str, ids: Array, first: int) -> Array:
        """Embeddings (b, T, hidden) of ids (b, T) at the positions from `first` on."""
        flat = embedding(ids.reshape(-1).astype(np.int64), self.tensors[f"{part}.embedding.weight"])
        x = flat.reshape(*ids.shape, self.config["hidden_size"])
        if self.config["scale_embedding"]:
            x = x * self.dtype.type(math.sqrt(self.config["hidden_size"]))
        count, size = ids.shape[1], self.config["hidden_size"]
        if self.config["positions"] == "learned":
            positions = self.tensors[f"{part}.positions.weight"][first : first + count]
        else:
            positions = _sinusoids(first, count, size).astype(self.dtype)
        result: Array = x + positions
        return result

    def _residual(self, norm: str, x: Array, part: Callable[[Array], Array]) -> Array:
        """Residual sum: x + part(norm(x)) with norm_first (Xiong et al., 2020), else norm(x + part(x))."""
        if self.config["norm_first"]:
            return x + part(self._norm(norm, x))
        return self._norm(norm, x + part(x))

    def _norm(self, name: str, x: Array) -> Array:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return _by_rows(layer_norm, x, weight, bias, self.config["layer_norm_eps"])

    def _feed_forward(self, name: str, x: Array) -> Array:
        inner = _by_rows(linear, x, self.tensors[f"{name}.linear1.weight"], self.tensors[f"{name}.linear1.bias"])
        inner = _ACTIVATIONS[self.config["activation"]](inner.reshape(-1)).reshape(inner.shape)
        return _by_rows(linear, inner, self.tensors[f"{name}.linear2.weight"], self.tensors[f"{name}.linear2.bias"])

    def _project(self, name: str, part: int, x: Array) -> Array:
        """Queries, keys or values (part 0, 1, 2) of x (r, T, hidden), heads apart: (r, heads, T, D)."""
        size = self.config["hidden_size"]
        rows = slice(part * size, (part + 1) * size)
        weight, bias = self.tensors[f"{name}.in_proj_weight"][rows], self.tensors[f"{name}.in_proj_bias"][rows]
        projected = _by_rows(linear, x, weight, bias).reshape(*x.shape[:2], self.heads, self.head_size)
        return np.swapaxes(projected, 1, 2)

    def _keys_values(self, name: str, x: Array) -> KeysValues:
        return KeysValues(self._project(name, 1, x), self._project(name, 2, x))

    def _attend(self, name: str, x: Array, on: KeysValues, *, is_causal: bool = False) -> Array:
        query = self._project(name, 0, x)
        heads = scaled_dot_product_attention(query, on.keys, on.values, None, is_causal, self.scale)
        joined = heads.swapaxes(1, 2).reshape(x.shape)
        return _by_rows(linear, joined, self.tensors[f"{name}.out_proj.weight"], self.tensors[f"{name}.out_proj.bias"])

    def _mean_weights(self, name: str, x: Array, on: KeysValues) -> Array:
        """Attention weights (r, T, S), the mean over the heads."""
        scores = self._project(name, 0, x) @ on.keys.swapaxes(2, 3) * self.dtype.type(self.scale)
        weights: Array = _by_rows(softmax, scores).mean(axis=1)
        return weights


def _by_rows(function: Callable[..., Array], x: Array, *args: Any) -> Array:
    """Apply a function of rows (N, I) -> (N, O) to x (..., I)."""
    result = function(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), *args)
    return result.reshape(*x.shape[:-1], result.shape[-1])


def _sinusoids(first: int, count: int, size: int) -> Array:
    """Sines and cosines of position / 10000^(2i / size), interleaved: (count, size)."""
    angles = np.arange(first, first + count)[:, None] * 10000.0 ** (-np.arange(0, size, 2) / size)
    table: Array = np.stack((np.sin(angles), np.cos(angles)), axis=-1).reshape(count, size + size % 2)[:, :size]
    return table
