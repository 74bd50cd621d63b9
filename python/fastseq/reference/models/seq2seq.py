"""What the reference models share: ragged batches in groups of equal source length, and the search loop.

Sentences of one length are computed together, so no source is ever padded. Within a group a model is two functions:

    start(source (b, S)) -> state                            encode, and prepare the decoder
    advance(target (r, T), state) -> logits (r, T, V), ...   read T more tokens in each of the r rows
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.search import BeamSearch, GreedySearch

__all__ = ["Seq2Seq"]

Array: TypeAlias = NDArray[Any]
Answer: TypeAlias = tuple[list[int], float, bool]  # tokens, score, finished

# Rows decoded together: enough to use each weight many times, few enough to bound the caches.
_GROUP_ROWS = 256


class State(Protocol):
    """What a decoder knows of its rows."""

    @property
    def memory(self) -> Array:
        """The encoder's output for each row, (r, S, M)."""

    def select(self: AnyState, rows: Array) -> AnyState:
        """Return the state whose row i is row ``rows[i]`` of this one."""


AnyState = TypeVar("AnyState", bound=State)


class Seq2Seq(Generic[AnyState]):
    """An encoder-decoder over ragged batches; subclasses say how one group of equal source length runs."""

    def __init__(self, config: dict[str, Any], tensors: dict[str, Array], memory_size: int) -> None:
        self.config = config
        self.tensors = tensors
        self.memory_size = memory_size
        self.dtype = tensors["encoder.embedding.weight"].dtype

    def start(self, source: Array) -> AnyState:
        """Encode source ids (b, S)."""
        raise NotImplementedError

    def advance(
        self, target: Array, state: AnyState, return_attention: bool = False
    ) -> tuple[Array, Array | None, AnyState]:
        """Read target ids (r, T): logits (r, T, V), attention (r, T, S) if asked and known, and the state after."""
        raise NotImplementedError

    def encode(self, ids: Array, offsets: Array) -> Array:
        """Return the encoder's output (N, memory_size) for ids (N,) of the sentences that `offsets` (B + 1,) bound."""
        memory = np.empty((len(ids), self.memory_size), self.dtype)
        for sentences in _groups(offsets, _GROUP_ROWS):
            positions = _positions(offsets, sentences)
            memory[positions] = self.start(ids[positions]).memory
        return memory

    def decode(
        self,
        ids: Array,
        offsets: Array,
        target_ids: Array,
        target_offsets: Array,
        return_attention: bool = False,
    ) -> tuple[Array, list[Array] | None]:
        """Teacher forcing: logits (M, V) after each target id, and attention (T_b, S_b) of each sentence."""
        logits = np.empty((len(target_ids), self.config["target_vocab_size"]), self.dtype)
        attention: list[Array] = [np.empty(0)] * (len(offsets) - 1)
        attends = return_attention and self.config.get("attention") != "none"
        lengths = np.diff(target_offsets)
        for sentences in _groups(offsets, _GROUP_ROWS):
            source = ids[_positions(offsets, sentences)]
            # Targets are padded at their ends, which no earlier position sees.
            target = np.zeros((len(sentences), int(lengths[sentences].max())), target_ids.dtype)
            for row, b in enumerate(sentences):
                target[row, : lengths[b]] = target_ids[target_offsets[b] : target_offsets[b + 1]]
            group_logits, weights, _ = self.advance(target, self.start(source), attends)
            for row, b in enumerate(sentences):
                logits[target_offsets[b] : target_offsets[b + 1]] = group_logits[row, : lengths[b]]
                if weights is not None:
                    attention[b] = weights[row, : lengths[b]].copy()
        return logits, attention if attends else None

    def generate(self, ids: Array, offsets: Array, options: dict[str, Any]) -> list[list[Answer]]:
        """Return for each sentence its hypotheses, best first."""
        algorithm = GreedySearch if options["num_beams"] == 1 else BeamSearch
        answers: list[list[Answer]] = [[] for _ in range(len(offsets) - 1)]
        for sentences in _groups(offsets, max(1, _GROUP_ROWS // options["num_beams"])):
            search = algorithm(len(sentences), _of_sentences(options, sentences))
            if not search.done:
                state = self.start(ids[_positions(offsets, sentences)])
            while not search.done:
                state = state.select(search.parents)
                logits, _, state = self.advance(search.ids[:, None], state)
                search.advance(logits[:, 0].astype(np.float32))
            for b, answer in zip(sentences, search.result(), strict=True):
                answers[b] = answer
        return answers


def _of_sentences(options: dict[str, Any], sentences: Array) -> dict[str, Any]:
    """Return the search options of some of the sentences."""
    own = {name: [options[name][b] for b in sentences] for name in ("prefix", "encoder_input_ids") if options[name]}
    return options | own


def _groups(offsets: Array, most: int) -> Iterator[Array]:
    """Indices of sentences of one length, at most `most` at a time."""
    lengths = np.diff(offsets)
    for length in np.unique(lengths):
        sentences = np.flatnonzero(lengths == length)
        for first in range(0, len(sentences), most):
            yield sentences[first : first + most]


def _positions(offsets: Array, sentences: Array) -> Array:
    """Where the tokens of sentences of one length lie, (b, S)."""
    length = offsets[sentences[0] + 1] - offsets[sentences[0]]
    positions: Array = offsets[sentences][:, None] + np.arange(length)
    return positions
