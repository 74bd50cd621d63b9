"""Greedy search, sampling and beam search in NumPy: the classes of the backend."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.search_base import Beam, Search
from fastseq.reference.search_beam import BeamSearch
from fastseq.reference.search_constraints import ConstrainedBeamSearch
from fastseq.reference.search_sampling import draw, uniform
from fastseq.reference.search_trace import Answer

__all__ = ["BeamSearch", "ConstrainedBeamSearch", "GreedySearch", "SampleSearch", "make_search"]

Array: TypeAlias = NDArray[Any]


class _RowSearch(Search):
    """One token for each row at every step."""

    _normalised = False
    _kind: str

    def __init__(
        self, batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
    ) -> None:
        super().__init__(batch_size, options, outputs, trace)
        if options["num_beams"] != 1:
            raise ValueError(f"num_beams is {options['num_beams']}; expected 1 for {self._kind}")
        self._ended_answers: list[list[Answer]] = [[] for _ in range(batch_size)]

    def _copies(self, beam: Beam) -> list[Beam]:
        """Return the rows that go on from one."""
        return [beam]

    def _choose(self, beam: Beam, scores: Array) -> int:
        """Return the next token; some score is above -inf."""
        raise NotImplementedError

    def _extend(self, scores: Array, log_probs: Array) -> None:
        before = self._beams
        self._beams, self._parents = [], []
        for row, old in enumerate(before):
            if self._is_forced(old.sentence, self._length):
                old.tokens.append(self._forced_token(old.sentence))
                self._beams.append(old)
                self._parents.append(row)
                continue
            for beam in self._copies(old):
                if scores[row].max() == -np.inf:  # every token that has a probability is forbidden
                    self._end(row, beam, -1)
                else:
                    self._extend_row(row, beam, self._choose(beam, scores[row]), log_probs[row])

    def _extend_row(self, row: int, beam: Beam, token: int, log_probs: Array) -> None:
        beam.score = beam.score + log_probs[token]
        finished = token in self._eos
        if not finished:
            beam.tokens.append(token)
        if finished or self._is_last_step(beam.sentence):
            self._end(row, beam, token)
        else:
            self._beams.append(beam)
            self._parents.append(row)

    def _end(self, row: int, beam: Beam, token: int) -> None:
        """End a row that wrote `token` in this step (-1: nothing)."""
        finished = token in self._eos
        score = self._final_score(row, beam.score, self._divisor(beam.sentence, self._length - (token < 0)))
        last = self._ended(row, beam.score, score, finished, token)
        ended = self._ended_answers[beam.sentence]
        ended.append(Answer(beam.tokens, score, finished, last))
        if len(ended) == self._options["num_return_sequences"]:
            self._results[beam.sentence] = sorted(ended, key=lambda answer: -answer.score)


class GreedySearch(_RowSearch):
    """The most probable token at every step; ties: the lower token."""

    _kind = "greedy search"

    def _choose(self, beam: Beam, scores: Array) -> int:
        return int(scores.argmax())


class SampleSearch(_RowSearch):
    """A token drawn at random at every step, num_return_sequences times for each sentence."""

    _kind = "sampling"

    def _copies(self, beam: Beam) -> list[Beam]:
        if not self._is_first(beam.sentence):
            return [beam]
        count = self._options["num_return_sequences"]
        return [Beam(beam.sentence, list(beam.tokens), beam.score, index) for index in range(count)]

    def _choose(self, beam: Beam, scores: Array) -> int:
        seeds = self._options["seed"]
        seed = seeds[0] if len(seeds) == 1 else seeds[beam.sentence]
        return draw(scores, float(uniform(seed, beam.index, self._length, np.zeros(1))[0]))


def make_search(
    batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
) -> Search:
    """GreedySearch or SampleSearch for one beam, BeamSearch for more, ConstrainedBeamSearch for forced words."""
    if options["force_words_ids"]:
        return ConstrainedBeamSearch(batch_size, options, outputs, trace)
    if options["num_beams"] > 1 or options["return_alternatives"]:
        return BeamSearch(batch_size, options, outputs, trace)
    return (SampleSearch if options["do_sample"] else GreedySearch)(batch_size, options, outputs, trace)
