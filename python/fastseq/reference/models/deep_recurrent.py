"""GRU encoder and conditional GRU decoder with deep transitions (Sennrich et al., 2017: Nematus; Marian's "s2s").

A layer has several GRU cells in each time step (Miceli Barone et al., 2017): the first reads the input and the state of
the step before, each other one what the cell before it has made of the state, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseq.reference.linear import embedding, linear
from fastseq.reference.models.seq2seq import Array, RecurrentDecoding
from fastseq.reference.recurrent import gru_cell

__all__ = ["DeepRecurrentSeq2Seq"]


@dataclass
class DeepState:
    """The decoder after some tokens."""

    memory: Array  # (r, S, M)
    layers: list[Array]  # a layer each: (r, H)

    def select(self, rows: Array) -> DeepState:
        """Return the state whose row i is row ``rows[i]`` of this one."""
        return DeepState(self.memory[rows], [state[rows] for state in self.layers])


class DeepRecurrentSeq2Seq(RecurrentDecoding[DeepState]):
    """Decoder: s = GRU(e(y), s'), c = attention(s), s' = GRU(c, s), ..., logits = W tanh(W_h [e(y); s'; c]).

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
        self.no_weight = np.zeros((3 * self.hidden_size, 0), dtype)

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
        state = np.tanh(linear(mean, *self._dense("decoder.start")))
        return DeepState(memory, [state for _ in range(self.config["decoder_num_layers"])])

    def _stack(self, name: str, x: Array, reverse: list[bool]) -> Array:
        """Layers one on the other over x (b, S, I), each in its direction: (b, S, H)."""
        for i, backwards in enumerate(reverse):
            state = np.zeros((len(x), self.hidden_size), self.dtype)
            output = np.empty((*x.shape[:2], self.hidden_size), self.dtype)
            for t in range(x.shape[1])[:: -1 if backwards else 1]:
                state = self._transition(f"{name}.{i}", self.config["encoder_depth"], x[:, t], state)
                output[:, t] = state
            x = output + x if self.config["skip"] and i > 0 else output
        return x

    def _transition(self, name: str, depth: int, x: Array, state: Array) -> Array:
        """One time step of one layer: the state (r, H) after input x (r, I)."""
        for i in range(depth):
            weights = [self.tensors[f"{name}.{i}.{kind}"] for kind in ("weight_hh", "bias_ih", "bias_hh")]
            weight_ih = self.tensors[f"{name}.0.weight_ih"] if i == 0 else self.no_weight
            state = gru_cell(x if i == 0 else x[:, :0], state, weight_ih, *weights)
        return state

    def _dense(self, name: str) -> tuple[Array, Array]:
        return self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]

    def _step(self, ids: Array, state: DeepState) -> tuple[Array, Array, DeepState]:
        word = embedding(ids, self.tensors["decoder.embedding.weight"])
        base = self._transition("decoder.before", 1, word, state.layers[0])
        context, weights = self._attend_additively(base, state.memory)
        top = self._transition("decoder.after", self.config["decoder_base_depth"] - 1, context, base)
        layers = [top]
        for i, before in enumerate(state.layers[1:]):
            layers.append(self._transition(f"decoder.high.{i}", self.config["decoder_high_depth"], top, before))
            top = layers[-1] + top if self.config["skip"] else layers[-1]
        joined = np.concatenate((word, top, context), axis=1)
        logits = linear(np.tanh(linear(joined, *self._dense("decoder.hidden"))), *self._dense("output"))
        return logits, weights, DeepState(state.memory, layers)
