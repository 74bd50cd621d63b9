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

__all__ = ["Answer", "Array", "Seq2Seq", "groups", "positions_of"]

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

    def __init__(
        self, config: dict[str, Any], tensors: dict[str, Array], memory_size: int, vocab_size: int, dtype: np.dtype[Any]
    ) -> None:
        self.config = config
        self.tensors = tensors
        self.memory_size = memory_size
        self.vocab_size = vocab_size  # of the target
        self.dtype = dtype

    def start(self, source: Array) -> AnyState:
        """Encode source ids (b, S)."""
        raise NotImplementedError

    def advance(
        self, target: Array, state: AnyState, return_attention: bool = False
    ) -> tuple[Array, Array | None, AnyState]:
        """Read target ids (r, T): logits (r, T, V), attention (r, T, S) if asked and known, and the state after."""
        raise NotImplementedError

    def first_ids(self, source: Array, ids: Array) -> Array:
        """Return what the first step reads after source (b, S): the start tokens `ids` (b,) of the search."""
        return ids

    def encode(self, ids: Array, offsets: Array) -> Array:
        """Return the encoder's output (N, memory_size) for ids (N,) of the sentences that `offsets` (B + 1,) bound."""
        memory = np.empty((len(ids), self.memory_size), self.dtype)
        for sentences in groups(offsets):
            positions = positions_of(offsets, sentences)
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
        logits = np.empty((len(target_ids), self.vocab_size), self.dtype)
        attention: list[Array] = [np.empty(0)] * (len(offsets) - 1)
        attends = return_attention and self.config.get("attention") != "none"
        lengths = np.diff(target_offsets)
        for sentences in groups(offsets):
            source = ids[positions_of(offsets, sentences)]
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
        for sentences in groups(offsets, max(1, _GROUP_ROWS // options["num_beams"])):
            search = algorithm(len(sentences), options)
            source = ids[positions_of(offsets, sentences)]
            if not search.done:
                state, step_ids = self.start(source), self.first_ids(source, search.ids)
            while not search.done:
                logits, _, state = self.advance(step_ids[:, None], state.select(search.parents))
                search.advance(logits[:, 0].astype(np.float32))
                step_ids = search.ids
            for b, answer in zip(sentences, search.result(), strict=True):
                answers[b] = answer
        return answers


def groups(offsets: Array, most: int = _GROUP_ROWS) -> Iterator[Array]:
    """Indices of sentences of one length, at most `most` at a time."""
    lengths = np.diff(offsets)
    for length in np.unique(lengths):
        sentences = np.flatnonzero(lengths == length)
        for first in range(0, len(sentences), most):
            yield sentences[first : first + most]


def positions_of(offsets: Array, sentences: Array) -> Array:
    """Where the tokens of sentences of one length lie, (b, S)."""
    length = offsets[sentences[0] + 1] - offsets[sentences[0]]
    positions: Array = offsets[sentences][:, None] + np.arange(length)
    return positions
