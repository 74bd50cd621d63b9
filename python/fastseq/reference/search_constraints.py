"""Lexically constrained beam search: every hypothesis contains the phrases of force_words_ids.

Dynamic beam allocation (Post and Vilar, 2018), see csrc/search/constrained_beam.h. Here the state of a phrase is read
from the tokens: the longest beginning of an alternative with which they end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.search_base import Beam, Search
from fastseq.reference.search_beam import best_of, has_enough, pooled
from fastseq.reference.search_trace import Answer

__all__ = ["ConstrainedBeamSearch"]

Array: TypeAlias = NDArray[Any]
Phrases: TypeAlias = Sequence[Sequence[int]]  # alternatives, of which one has to occur


def _matched(tokens: Sequence[int], phrase: Sequence[int]) -> Iterator[int]:
    """Lengths of the beginnings of a phrase with which the tokens end."""
    for length in range(min(len(tokens), len(phrase) - 1) + 1):
        if list(tokens[len(tokens) - length :]) == list(phrase[:length]):
            yield length


def _is_met(tokens: Sequence[int], phrases: Phrases) -> bool:
    return any(
        list(tokens[begin : begin + len(phrase)]) == list(phrase)
        for phrase in phrases
        for begin in range(len(tokens) - len(phrase) + 1)
    )


def distance(tokens: Sequence[int], phrases: Phrases) -> int:
    """Return the least number of tokens after which one of the phrases has occurred."""
    if _is_met(tokens, phrases):
        return 0
    return min(len(phrase) - length for phrase in phrases for length in _matched(tokens, phrase))


def advances(tokens: Sequence[int], phrases: Phrases) -> set[int]:
    """Return the tokens that bring one of the phrases nearer."""
    before = distance(tokens, phrases)
    following = {phrase[length] for phrase in phrases for length in _matched(tokens, phrase)} if before else set()
    return {token for token in following if distance([*tokens, token], phrases) < before}


class ConstrainedBeamSearch(Search):
    """Beam search whose hypotheses all contain one alternative of each of force_words_ids."""

    _normalised = True

    def __init__(
        self, batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
    ) -> None:
        super().__init__(batch_size, options, outputs, trace)
        self._pools: list[list[Answer]] = [[] for _ in range(batch_size)]
        self._ended_count = [0] * batch_size

    def _missing(self, tokens: Sequence[int]) -> int:
        return sum(distance(tokens, phrases) for phrases in self._options["force_words_ids"])

    def _extend(self, scores: Array, log_probs: Array) -> None:
        before, sentences = self._beams, self.sentences
        self._beams, self._parents = [], []
        for sentence in np.unique(sentences).tolist():
            rows = np.flatnonzero(sentences == sentence).tolist()
            if self._is_forced(sentence, self._length):
                beam = before[rows[0]]
                self._beams.append(Beam(sentence, [*beam.tokens, self._forced_token(sentence)], beam.score))
                self._parents.append(rows[0])
            else:
                self._extend_sentence(sentence, {row: before[row] for row in rows}, scores)

    def _candidates(self, beams: dict[int, Beam], scores: Array) -> list[tuple[np.float32, int, int, int]]:
        """Return (score, row, token, missing tokens), best first."""
        width = self._options["num_beams"] + len(self._eos)
        found = []
        for row, beam in beams.items():
            tokens = set(best_of(scores[row], width).tolist())
            for phrases in self._options["force_words_ids"]:
                tokens |= advances(beam.tokens, phrases)
            missing_before = self._missing(beam.tokens)
            for token in tokens:
                score = scores[row, token] + beam.score
                if score > -np.inf and not (token in self._eos and missing_before):
                    missing = 0 if token in self._eos else self._missing([*beam.tokens, token])
                    found.append((score, row, int(token), missing))
        return sorted(found, key=lambda candidate: (-candidate[0], candidate[1], candidate[2]))

    def _extend_sentence(self, sentence: int, beams: dict[int, Beam], scores: Array) -> None:
        num_beams = self._options["num_beams"]
        divisor = self._divisor(sentence, self._length)
        rank = 0  # among those that miss nothing
        banks: dict[int, list[Any]] = {}  # candidates by what they miss
        for candidate in self._candidates(beams, scores):
            score, row, token, missing = candidate
            may_end = missing == 0 and rank < num_beams
            rank += missing == 0
            if token not in self._eos and not self._is_last_step(sentence):
                banks.setdefault(missing, []).append(candidate)
            elif may_end:
                self._ended_count[sentence] += 1
                normalised, finished = self._final_score(row, score, divisor), token in self._eos
                pool = self._pools[sentence]
                if len(pool) < num_beams or normalised > pool[-1].score:
                    last = self._ended(row, score, normalised, finished, token)
                    tokens = beams[row].tokens if finished else [*beams[row].tokens, token]
                    self._pools[sentence] = pooled(pool, Answer(tokens, normalised, finished, last), num_beams)
        running = sorted(_in_turn(banks, num_beams), key=lambda candidate: (-candidate[0], *candidate[1:3]))
        pool, ended = self._pools[sentence], self._ended_count[sentence]
        if self._options["early_stopping"] is True:
            complete = has_enough(ended, num_beams, self._options)
        else:
            complete = bool(running) and len(pool) == num_beams and not self._improves(sentence, running[0][0], pool)
        if running and not complete:
            self._beams += [Beam(sentence, [*beams[row].tokens, token], score) for score, row, token, _ in running]
            self._parents += [row for _, row, _, _ in running]
            return
        if not pool:
            raise ValueError(
                f"force_words_ids: no sequence of sentence {sentence} within max_length contains them with a "
                "probability above 0"
            )
        self._results[sentence] = pool[: self._options["num_return_sequences"]]


def _in_turn(banks: dict[int, list[Any]], count: int) -> list[Any]:
    """Take candidates from the banks in turn, the one that misses least first."""
    ordered = [banks[missing] for missing in sorted(banks)]
    taken: list[Any] = []
    for turn in range(max(map(len, ordered), default=0)):
        taken += [bank[turn] for bank in ordered if turn < len(bank)]
    return taken[:count]
