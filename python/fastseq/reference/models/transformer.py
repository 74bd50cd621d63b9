"""Whole Transformer models: encoder-decoder, decoder alone, encoder alone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseq.reference.linear import linear
from fastseq.reference.models.ragged import groups, positions
from fastseq.reference.models.seq2seq import Array, Seq2Seq
from fastseq.reference.models.stack import KeysValues, Past, Stack, activate, by_rows
from fastseq.reference.quantize import narrow_tensors, widen

__all__ = ["TransformerEncoder", "TransformerLanguageModel", "TransformerSeq2Seq"]

# Rows that pass through the layers together.
_GROUP_ROWS = 256


@dataclass
class TransformerState:
    """The decoder after some tokens."""

    memory: Array  # (r, S, hidden)
    cross: list[KeysValues] | None  # a layer each, of the memory
    past: list[Past]  # a layer each, of the tokens read so far
    first: Array | None = None  # (r,): what the next step reads in place of a start token

    def select(self, rows: Array) -> TransformerState:
        """Return the state whose row i is row ``rows[i]`` of this one."""
        cross = None if self.cross is None else [pair.select(rows) for pair in self.cross]
        first = None if self.first is None else self.first[rows]
        return TransformerState(self.memory[rows], cross, [pair.select(rows) for pair in self.past], first)


def _narrowed(config: dict[str, Any], tensors: dict[str, Any], compute_type: str) -> dict[str, Any]:
    """Return the tensors as they are computed with; a tied embedding has the numbers of the output layer's weight."""
    if config["tie_output"]:
        tensors = {**tensors, "output.weight": tensors["decoder.embedding.weight"]}
    tensors = narrow_tensors(tensors, compute_type)
    if config["tie_output"]:
        tensors["decoder.embedding.weight"] = widen(tensors["output.weight"])
    return tensors


class _Output:
    """Logits of the last layer's output: [dense, activation, norm and] the output layer, whose input is scaled."""

    def __init__(self, config: dict[str, Any], tensors: dict[str, Array], decoder: Stack) -> None:
        self.config = config
        self.decoder = decoder
        self.weight = tensors["output.weight"]
        self.bias = tensors.get("output.bias")
        self.scale = tensors["decoder.embedding.weight"].dtype.type(config["logits_scale"])

    def __call__(self, x: Array) -> Array:
        if self.config["output_dense"]:
            hidden = self.decoder.dense("output.dense", x)
            x = self.decoder.norm("output.norm", activate(self.config["output_activation"], hidden))
        return by_rows(linear, x * self.scale, self.weight, self.bias)


class TransformerSeq2Seq(Seq2Seq[TransformerState]):
    """Self-attention encoder; decoder with causal self-attention, attention on the encoder's output, feed-forward.

    Parameters
    ----------
    config : dict
        ``backend_options()`` of a configuration in `fastseq.models`.
    tensors : dict of arrays
        All of one dtype, which is the dtype of the computation; int8 weights as pairs
        (values, scales).
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        Of the weights of dense and recurrent layers.
    """

    def __init__(self, config: dict[str, Any], tensors: dict[str, Any], compute_type: str = "float32") -> None:
        tensors = _narrowed(config, tensors, compute_type)
        target = tensors["decoder.embedding.weight"]
        source = target if config["shared_embedding"] else tensors["encoder.embedding.weight"]
        super().__init__(
            config, tensors, config["encoder"]["hidden_size"], (len(source), len(target)), target.dtype, compute_type
        )
        self.encoder = Stack(config["encoder"], tensors, "encoder", source)
        self.decoder = Stack(config["decoder"], tensors, "decoder", target)
        self.output = _Output(config, tensors, self.decoder)

    def start(self, source: Array) -> TransformerState:
        """Encode source ids (b, S), and project the memory to the keys and values of each decoder layer."""
        memory = self.encoder.read(source)
        seen = self.decoder.dense("memory_projection", memory) if self.config["memory_projection"] else memory
        return TransformerState(memory, self.decoder.cross(seen), self.decoder.no_past(len(source)))

    def advance(
        self, target: Array, state: TransformerState, return_attention: bool = False
    ) -> tuple[Array, Array | None, TransformerState]:
        """Read target ids (r, T): T = 1 after any past, or all T at once from the beginning."""
        x, past, weights = self.decoder.advance(
            target, state.past, state.cross, is_causal=True, return_attention=return_attention
        )
        return self.output(x), weights, TransformerState(state.memory, state.cross, past)


class TransformerLanguageModel(Seq2Seq[TransformerState]):
    """A decoder alone: its "source" is a prompt, and what is generated continues it.

    The last token of the prompt stands in place of a start token.

    Parameters
    ----------
    config, tensors, compute_type
        As of `TransformerSeq2Seq`.
    """

    def __init__(self, config: dict[str, Any], tensors: dict[str, Any], compute_type: str = "float32") -> None:
        tensors = _narrowed(config, tensors, compute_type)
        weight = tensors["decoder.embedding.weight"]
        sizes = len(weight), len(weight)
        super().__init__(config, tensors, config["decoder"]["hidden_size"], sizes, weight.dtype, compute_type)
        self.decoder = Stack(config["decoder"], tensors, "decoder", weight)
        self.output = _Output(config, tensors, self.decoder)

    attends = False

    def start(self, source: Array) -> TransformerState:
        """Read all tokens of the prompts (b, S) but the last."""
        nothing = self.decoder.no_past(len(source))
        x, past, _ = self.decoder.advance(source[:, :-1], nothing, None, is_causal=True)
        return TransformerState(x, None, past, source[:, -1])

    def advance(
        self, target: Array, state: TransformerState, return_attention: bool = False
    ) -> tuple[Array, Array | None, TransformerState]:
        """Read target ids (r, T), of which the prompts' last tokens replace the first."""
        if state.first is not None:
            target = np.concatenate((state.first[:, None], target[:, 1:]), axis=1)
        x, past, _ = self.decoder.advance(target, state.past, None, is_causal=True)
        return self.output(x), None, TransformerState(state.memory, None, past)

    def encode(self, ids: Array, offsets: Array) -> Array:
        """Return the hidden states (N, hidden) after each token."""
        hidden = np.empty((len(ids), self.memory_size), self.dtype)
        for sentences in groups(offsets, _GROUP_ROWS):
            places = positions(offsets, sentences)
            hidden[places] = self.decoder.read(ids[places], is_causal=True)
        return hidden

    def logits(self, ids: Array, offsets: Array) -> Array:
        """Return the logits (N, V) after each token."""
        return self.output(self.encode(ids, offsets))

    def generate(
        self, ids: Array, offsets: Array, options: dict[str, Any], outputs: dict[str, Any] | None = None
    ) -> list[list[tuple[Any, ...]]]:
        """Return for each prompt its hypotheses, best first."""
        for b in np.flatnonzero(np.diff(offsets) == 0):
            raise ValueError(f"ids[{b}] is empty; expected at least one token")
        return super().generate(ids, offsets, options, outputs)


class TransformerEncoder:
    """An encoder with a head for whole sequences or single tokens.

    Parameters
    ----------
    config, tensors, compute_type
        As of `TransformerSeq2Seq`.
    """

    def __init__(self, config: dict[str, Any], tensors: dict[str, Any], compute_type: str = "float32") -> None:
        self.config = config
        self.tensors = tensors = narrow_tensors(tensors, compute_type)
        self.stack = Stack(config["encoder"], tensors, "encoder", tensors["encoder.embedding.weight"])

    def encode(self, ids: Array, offsets: Array, token_types: Array | None) -> Array:
        """Return the output (N, hidden) for ids (N,) of the sequences that `offsets` (B + 1,) bound."""
        output = np.empty((len(ids), self.config["encoder"]["hidden_size"]), self.stack.dtype)
        for sentences in groups(offsets, _GROUP_ROWS):
            places = positions(offsets, sentences)
            types = None if token_types is None else token_types[places]
            output[places] = self.stack.read(ids[places], types)
        return output

    def logits(self, ids: Array, offsets: Array, token_types: Array | None) -> Array:
        """Return the head's outputs for what it sees of each sequence, (B, labels), or for each token, (N, labels)."""
        x = self.encode(ids, offsets, token_types)
        if self.config["pooling"] == "first":
            x = x[offsets[:-1]]
        elif self.config["pooling"] == "mean":
            x = np.stack([x[begin:end].mean(axis=0) for begin, end in itertools.pairwise(offsets)])
        if self.config["head_dense"]:
            x = activate(self.config["head_activation"], self.stack.dense("head.dense", x))
        if self.config["head_norm"]:
            x = self.stack.norm("head.norm", x)
        return self.stack.dense("head.output", x)
