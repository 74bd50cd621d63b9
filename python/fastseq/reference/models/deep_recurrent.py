"""Recurrent encoder and conditional decoder with deep transitions (Sennrich et al., 2017: Nematus; Marian's "s2s").

A layer has several cells in each time step (Miceli Barone et al., 2017): the first reads the input and the state of
the step before, each other one what the cell before it has made of the state, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fastseq.reference.attention import additive_attention
from fastseq.reference.linear import embedding, linear
from fastseq.reference.models.seq2seq import Array, RecurrentDecoding
from fastseq.reference.models.stack import by_rows
from fastseq.reference.models.transition import TransitionCell, normed_linear

__all__ = ["DeepRecurrentSeq2Seq"]


Hidden: TypeAlias = "tuple[Array, Array | None]"  # h (r, H), and c of an LSTM


@dataclass
class DeepState:
    """The decoder after some tokens."""

    memory: Array  # (r, S, M)
    layers: list[Hidden]  # a layer each

    def select(self, rows: Array) -> DeepState:
        """Return the state whose row i is row ``rows[i]`` of this one."""
        return DeepState(self.memory[rows], [(h[rows], None if c is None else c[rows]) for h, c in self.layers])


class DeepRecurrentSeq2Seq(RecurrentDecoding[DeepState]):
    """Decoder: s = cell(e(y), s'), c = attention(s), s' = cell(c, s), ..., logits = W tanh(W_h [e(y); s'; c]).

    Parameters
    ----------
    config : dict
        The fields of `fastseq.models.DeepRecurrentSeq2SeqConfig`.
    tensors : dict of arrays
        Named as in the model folder, all of one dtype, which is the dtype of the computation; int8 weights as pairs
        (values, scales).
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        Of the weights of dense and recurrent layers.
    """

    def __init__(self, config: dict[str, Any], tensors: dict[str, Any], compute_type: str = "float32") -> None:
        self.top = config["encoder_num_layers"] - 1 if config["encoder_type"] == "bi-unidirectional" else 0
        self.hidden_size = config["hidden_size"]
        sizes = config["source_vocab_size"], config["target_vocab_size"]
        dtype = tensors["encoder.embedding.weight"].dtype
        memory_size = self.hidden_size * (1 if self.top else 2)
        super().__init__(config, tensors, memory_size, sizes, dtype, compute_type)
        self.cells: dict[str, TransitionCell] = {}
        for name in {name.rpartition(".")[0] for name in self.tensors if name.endswith(".weight_hh")}:
            own = {end: tensor for n, tensor in self.tensors.items() if (end := n.removeprefix(f"{name}.")) != n}
            self.cells[name] = TransitionCell(config[f"{name.partition('.')[0]}_cell"], own)

    def start(self, source: Array) -> DeepState:
        """Encode source ids (b, S); all layers of the decoder start from tanh(W mean + b) of the memory."""
        batch, length = source.shape
        table = self.tensors["encoder.embedding.weight"]
        x = embedding(source.reshape(-1).astype(np.int64), table).reshape(batch, length, table.shape[1])
        alternating, both = self.config["encoder_type"] == "alternating", self.config["encoder_num_layers"] - self.top
        flags = [alternating and i % 2 == 1 for i in range(both)]
        stacks = [("encoder.forward", flags), ("encoder.backward", [not flag for flag in flags])]
        memory = np.concatenate([self._stack(name, x, reverse) for name, reverse in stacks], axis=2)
        if self.top:
            memory = self._stack("encoder.top", memory, [False] * self.top)
        mean = memory.sum(axis=1) / self.dtype.type(max(1, length))
        h = np.tanh(self._normed("decoder.start", mean, "decoder.start.bias"))
        state = h, (h if self._has_cell("decoder") else None)
        return DeepState(memory, [state for _ in range(self.config["decoder_num_layers"])])

    def _has_cell(self, part: str) -> bool:
        return str(self.config[f"{part}_cell"]).endswith("lstm")

    def _stack(self, name: str, x: Array, reverse: list[bool]) -> Array:
        """Layers one on the other over x (b, S, I), each in its direction: (b, S, H)."""
        for i, backwards in enumerate(reverse):
            zeros = np.zeros((len(x), self.hidden_size), self.dtype)
            state: Hidden = zeros, (zeros if self._has_cell("encoder") else None)
            output = np.empty((*x.shape[:2], self.hidden_size), self.dtype)
            for t in range(x.shape[1])[:: -1 if backwards else 1]:
                state = self._transition(f"{name}.{i}", self.config["encoder_depth"], x[:, t], state)
                output[:, t] = state[0]
            x = output + x if self.config["skip"] and i > 0 else output
        return x

    def _transition(self, name: str, depth: int, x: Array, state: Hidden) -> Hidden:
        """One time step of one layer: the state after input x (r, I)."""
        for i in range(depth):
            state = self.cells[f"{name}.{i}"].step(None if i else x, *state)
        return state

    def _normed(self, name: str, x: Array, bias: str = "") -> Array:
        """A dense layer, and with `layer_norm` the norm behind it, of x (..., I)."""
        weight, norm = self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.norm")
        return by_rows(normed_linear, x, weight, None, norm, self.tensors[bias] if bias else None)

    def _attend_additively(self, query: Array, memory: Array) -> tuple[Array, Array]:
        """As in other models, but for the norms of queries and keys."""
        if not self.config["layer_norm"]:
            return super()._attend_additively(query, memory)
        query, key = self._normed("attention.query", query), self._normed("attention.key", memory, "attention.bias")
        one, score = np.eye(self.memory_size, dtype=self.dtype), self.tensors["attention.score.weight"][0]
        context, weights = additive_attention(query[:, None], key, memory, one, one, score, None, None)
        return context[:, 0], weights[:, 0]

    def _dense(self, name: str) -> tuple[Array, Array]:
        return self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]

    def _step(self, ids: Array, state: DeepState) -> tuple[Array, Array, DeepState]:
        word = embedding(ids, self.tensors["decoder.embedding.weight"])
        base = self._transition("decoder.before", 1, word, state.layers[0])
        context, weights = self._attend_additively(base[0], state.memory)
        layers = [self._transition("decoder.after", self.config["decoder_base_depth"] - 1, context, base)]
        top = layers[0][0]
        for i, before in enumerate(state.layers[1:]):
            layers.append(self._transition(f"decoder.high.{i}", self.config["decoder_high_depth"], top, before))
            top = layers[-1][0] + top if self.config["skip"] else layers[-1][0]
        if self.config["layer_norm"]:
            inner = self._normed("decoder.hidden.word", word, "decoder.hidden.bias")
            inner = inner + self._normed("decoder.hidden.state", top) + self._normed("decoder.hidden.context", context)
        else:
            inner = linear(np.concatenate((word, top, context), axis=1), *self._dense("decoder.hidden"))
        logits = linear(np.tanh(inner), *self._dense("output"))
        return logits, weights, DeepState(state.memory, layers)
