"""What the reference models share: ragged batches in groups of equal source length, and the search loop.

Sentences of one length are computed together, so no source is ever padded. Within a group a model is two functions:

    start(source (b, S)) -> state                            encode, and prepare the decoder
    advance(target (r, T), state) -> logits (r, T, V), ...   read T more tokens in each of the r rows
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.attention import additive_attention
from fastseq.reference.models.decoding import check_attention
from fastseq.reference.models.ragged import groups, of_sentences, positions
from fastseq.reference.quantize import narrow_tensors
from fastseq.reference.search import make_search
from fastseq.reference.search_base import Search
from fastseq.reference.softmax import log_softmax

__all__ = ["RecurrentDecoding", "Seq2Seq"]

Array: TypeAlias = NDArray[Any]

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

    attends = True  # whether the decoder has attention on the source

    def __init__(
        self,
        config: dict[str, Any],
        tensors: dict[str, Any],
        memory_size: int,
        vocab_sizes: tuple[int, int],
        dtype: np.dtype[Any],
        compute_type: str = "float32",
    ) -> None:
        self.config = config
        self.tensors = narrow_tensors(tensors, compute_type)
        self.memory_size = memory_size
        self.source_vocab_size, self.target_vocab_size = vocab_sizes
        self.dtype = dtype

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
        for sentences in groups(offsets, _GROUP_ROWS):
            places = positions(offsets, sentences)
            memory[places] = self.start(ids[places]).memory
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
        logits = np.empty((len(target_ids), self.target_vocab_size), self.dtype)
        attention: list[Array] = [np.empty(0)] * (len(offsets) - 1)
        attends = return_attention and self.attends
        lengths = np.diff(target_offsets)
        for sentences in groups(offsets, _GROUP_ROWS):
            source = ids[positions(offsets, sentences)]
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

    def score(self, ids: Array, offsets: Array, target_ids: Array, target_offsets: Array, following: Array) -> Array:
        """Teacher forcing: the log-probability (M,) of the token `following` (M,) after each target id."""
        log_probs = np.empty(len(target_ids), self.dtype)
        lengths = np.diff(target_offsets)
        for sentences in groups(offsets, _GROUP_ROWS):
            bounds = np.concatenate(([0], np.cumsum(lengths[sentences])))
            own = np.concatenate([np.arange(*target_offsets[b : b + 2]) for b in sentences])
            source = positions(offsets, sentences)
            source_bounds = np.arange(len(sentences) + 1) * source.shape[1]
            logits, _ = self.decode(ids[source].reshape(-1), source_bounds, target_ids[own], bounds)
            log_probs[own] = log_softmax(logits)[np.arange(len(own)), following[own]]
        return log_probs

    def generate(
        self, ids: Array, offsets: Array, options: dict[str, Any], outputs: dict[str, Any] | None = None
    ) -> list[list[tuple[Any, ...]]]:
        """Return for each sentence its hypotheses, best first."""
        attends = check_attention(self, options, outputs)
        answers: list[list[tuple[Any, ...]]] = [[] for _ in range(len(offsets) - 1)]
        for sentences in groups(offsets, max(1, _GROUP_ROWS // options["num_beams"])):
            search = make_search(len(sentences), of_sentences(options, sentences), outputs)
            if not search.done:
                state = self.start(ids[positions(offsets, sentences)])
            while not search.done:
                state = self.step(search, state, attends)
            for b, answer in zip(sentences, search.result(), strict=True):
                answers[b] = answer
        return answers

    def step(self, search: Search, state: AnyState, attends: bool) -> AnyState:
        """One step of a search: the state after it."""
        logits, attention, state = self.advance(search.ids[:, None], state.select(search.parents), attends)
        search.advance(logits[:, 0].astype(np.float32), None if attention is None else attention[:, 0])
        return state


class RecurrentDecoding(Seq2Seq[AnyState]):
    """A decoder that reads one token after the other, which `_step` says how to."""

    def _step(self, ids: Array, state: AnyState) -> tuple[Array, Array | None, AnyState]:
        """Read target ids (r,): logits (r, V), attention (r, S) if there is one, and the state after."""
        raise NotImplementedError

    def advance(
        self, target: Array, state: AnyState, return_attention: bool = False
    ) -> tuple[Array, Array | None, AnyState]:
        """Read target ids (r, T) one column after the other."""
        rows, steps = target.shape
        logits = np.empty((rows, steps, self.target_vocab_size), self.dtype)
        attention = np.empty((rows, steps, state.memory.shape[1]), self.dtype) if return_attention else None
        for t in range(steps):
            logits[:, t], weights, state = self._step(target[:, t].astype(np.int64), state)
            if attention is not None and weights is not None:
                attention[:, t] = weights
        return logits, attention, state

    def _attend_additively(self, query: Array, memory: Array) -> tuple[Array, Array]:
        """Context (r, M) and weights (r, S) of queries (r, H) on the memory (r, S, M)."""
        context, weights = additive_attention(
            query[:, None],
            memory,
            memory,
            self.tensors["attention.query.weight"],
            self.tensors["attention.key.weight"],
            self.tensors["attention.score.weight"][0],
            self.tensors["attention.bias"],
            None,
        )
        return context[:, 0], weights[:, 0]
