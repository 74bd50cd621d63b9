"""RNN, LSTM or GRU encoder and decoder with attention.

Sutskever et al. (2014) without attention, Bahdanau et al. (2015) with additive, Luong et al. (2015) with dot and
general attention and input feeding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseq._layout import WEIGHT_KINDS
from fastseq.reference.attention import multiplicative_attention
from fastseq.reference.linear import embedding, linear
from fastseq.reference.models.seq2seq import Array, RecurrentDecoding
from fastseq.reference.recurrent import Recurrent, gru_cell, lstm_cell, rnn_cell

__all__ = ["RecurrentSeq2Seq"]

Weights = tuple[Array, Array, Array, Array]  # in the order of WEIGHT_KINDS


@dataclass
class RecurrentState:
    """The decoder after some tokens."""

    memory: Array  # (r, S, M)
    hidden: list[Array]  # a layer each: (r, H)
    cell: list[Array]  # the same for LSTM; empty for the others
    attentional: Array  # (r, H), what the next step reads with input feeding

    def select(self, rows: Array) -> RecurrentState:
        """Return the state whose row i is row ``rows[i]`` of this one."""
        return RecurrentState(
            self.memory[rows], [h[rows] for h in self.hidden], [c[rows] for c in self.cell], self.attentional[rows]
        )


class RecurrentSeq2Seq(RecurrentDecoding[RecurrentState]):
    """Encoder h_s = RNN(e(x_s), h_{s-1}), decoder h_t = RNN(e(y_t), h_{t-1}), logits = W tanh(W_c [c_t; h_t]).

    Parameters
    ----------
    config : dict
        The fields of `fastseq.models.RecurrentSeq2SeqConfig`.
    tensors : dict of arrays
        Named as in the model folder, all of one dtype, which is the dtype of the computation; int8 weights as pairs
        (values, scales).
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        Of the weights of dense and recurrent layers.
    """

    def __init__(self, config: dict[str, Any], tensors: dict[str, Any], compute_type: str = "float32") -> None:
        directions = ["", "_reverse"] if config["encoder_bidirectional"] else [""]
        memory_size = len(directions) * config["encoder_hidden_size"]
        vocab_sizes = config["source_vocab_size"], config["target_vocab_size"]
        dtype = tensors["encoder.embedding.weight"].dtype
        super().__init__(config, tensors, memory_size, vocab_sizes, dtype, compute_type)
        self.attends = config["attention"] != "none"
        self.cell = config["cell"]
        encoder_layers = range(config["encoder_num_layers"])
        self.encoder = Recurrent(
            self.cell,
            [self._weights("encoder", f"l{layer}{direction}") for layer in encoder_layers for direction in directions],
            config["encoder_bidirectional"],
            compute_type=compute_type,
        )
        self.decoder = [self._weights("decoder", f"l{layer}") for layer in range(config["decoder_num_layers"])]

    def _weights(self, part: str, suffix: str) -> Weights:
        w_ih, w_hh, b_ih, b_hh = (self.tensors[f"{part}.rnn.{kind}_{suffix}"] for kind in WEIGHT_KINDS)
        return w_ih, w_hh, b_ih, b_hh

    def start(self, source: Array) -> RecurrentState:
        """Encode source ids (b, S); the decoder starts from the encoder's last states, or from zeros."""
        batch, length = source.shape
        tokens = embedding(source.reshape(-1).astype(np.int64), self.tensors["encoder.embedding.weight"])
        memory, h_n, c_n = self.encoder.forward(tokens, np.arange(batch + 1) * length, None, None)
        return RecurrentState(
            memory=memory.reshape(batch, length, self.memory_size),
            hidden=self._bridge("h", h_n),
            cell=[] if c_n is None else self._bridge("c", c_n),
            attentional=np.zeros((batch, self.config["decoder_hidden_size"]), self.dtype),
        )

    def _bridge(self, kind: str, states: Array) -> list[Array]:
        """First decoder states (b, H) of each layer from the encoder's last ones (layers * directions, b, He)."""
        layers, batch = self.config["encoder_num_layers"], states.shape[1]
        # [forward; reverse] of each layer: (layers, b, directions * He)
        joined = states.reshape(layers, -1, *states.shape[1:]).swapaxes(1, 2).reshape(layers, batch, -1)
        if self.config["bridge"] == "copy":
            return list(joined[: len(self.decoder)])
        if self.config["bridge"] == "zero":
            return [np.zeros((batch, self.config["decoder_hidden_size"]), self.dtype) for _ in self.decoder]
        projected = [
            linear(joined[i], *(self.tensors[f"bridge.{kind}.{i}.{name}"] for name in ("weight", "bias")))
            for i in range(len(self.decoder))
        ]
        return [np.tanh(state) for state in projected] if self.config["bridge"] == "dense" else projected

    def _step(self, ids: Array, state: RecurrentState) -> tuple[Array, Array | None, RecurrentState]:
        x = embedding(ids, self.tensors["decoder.embedding.weight"])
        if self.config["input_feeding"]:
            x = np.concatenate((x, state.attentional), axis=1)
        hidden, cell = [], []
        for layer, weights in enumerate(self.decoder):
            if self.cell == "lstm":
                x, c = lstm_cell(x, state.hidden[layer], state.cell[layer], *weights)
                cell.append(c)
            elif self.cell == "gru":
                x = gru_cell(x, state.hidden[layer], *weights)
            else:
                x = rnn_cell(x, state.hidden[layer], *weights, nonlinearity=self.cell.removeprefix("rnn_"))
            hidden.append(x)
        attention = None
        if self.attends:
            context, attention = self._attend(x, state.memory)
            joined = np.concatenate((context, x), axis=1)
            x = linear(joined, self.tensors["attention.combine.weight"], self.tensors["attention.combine.bias"])
            if self.config["combine_activation"] == "tanh":
                x = np.tanh(x)
        logits = linear(x, self.tensors["output.weight"], self.tensors["output.bias"])
        return logits, attention, RecurrentState(state.memory, hidden, cell, x)

    def _attend(self, hidden: Array, memory: Array) -> tuple[Array, Array]:
        """Context (r, M) and weights (r, S) of the top state (r, H) on the memory (r, S, M)."""
        if self.config["attention"] == "additive":
            return self._attend_additively(hidden, memory)
        weight = self.tensors["attention.weight"] if self.config["attention"] == "general" else None
        context, weights = multiplicative_attention(hidden[:, None], memory, memory, weight, None)
        return context[:, 0], weights[:, 0]
