"""Beam search in NumPy, to be read beside ``_beam_search`` of transformers 5 (generation/utils.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.search_base import Beam, Search
from fastseq.reference.search_sampling import gumbel
from fastseq.reference.search_trace import Answer

__all__ = ["BeamSearch", "best_of", "has_enough", "pooled"]

Array: TypeAlias = NDArray[Any]


@dataclass
class Group:
    """Some beams of one sentence and what they have ended: usually all; see csrc/search/beam.h."""

    pool: list[Answer] = field(default_factory=list)  # best first, at most the beams of the group
    ended: int = 0  # also those that the pool did not keep
    best_ended: bool = False  # whether the best candidate of a step has ended
    done: bool = False


class BeamSearch(Search):
    """Beam search with the hypotheses, scores and stopping rules of Hugging Face, CTranslate2 or Marian."""

    _normalised = True

    def __init__(
        self, batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
    ) -> None:
        super().__init__(batch_size, options, outputs, trace)
        alternatives = options["return_alternatives"]
        self._num_groups = options["num_return_sequences"] if alternatives else options["num_beam_groups"]
        self._group_size = options["num_beams"] // options["num_beam_groups"]
        self._groups = [[Group() for _ in range(self._num_groups)] for _ in range(batch_size)]

    def _extend(self, scores: Array, log_probs: Array) -> None:
        before, sentences = self._beams, self.sentences
        self._beams, self._parents = [], []
        for sentence in np.unique(sentences).tolist():
            rows = np.flatnonzero(sentences == sentence).tolist()
            if self._is_forced(sentence, self._length):
                beam = before[rows[0]]
                self._beams.append(Beam(sentence, [*beam.tokens, self._forced_token(sentence)], beam.score))
                self._parents.append(rows[0])
                continue
            chosen: list[int] = []  # by earlier groups, in this step
            for index, group in enumerate(self._groups[sentence]):
                # At first all groups start from the same row.
                own = [row for row in rows if self._is_first(sentence) or before[row].index == index]
                if not group.done:
                    self._extend_group(index, group, {row: before[row] for row in own}, scores, chosen)
            if all(group.done for group in self._groups[sentence]):
                self._results[sentence] = self._collect(sentence)

    def _candidates(
        self, index: int, beams: dict[int, Beam], scores: Array, chosen: list[int]
    ) -> list[tuple[np.float32, int, int]]:
        """Return (score, row, token), best first: so many that enough of them are no end tokens."""
        rows = list(beams)
        sentence = beams[rows[0]].sentence
        totals = np.stack([scores[row] + beams[row].score for row in rows])
        for token in chosen:
            totals[:, token] -= np.float32(self._options["diversity_penalty"])
        count = max(2, 1 + len(self._eos)) * self._group_size
        is_alternative = self._options["return_alternatives"] and self._is_first(sentence)
        if self._options["do_sample"]:
            best = self._drawn(totals, sentence, count)
        else:
            best = best_of(totals.ravel(), max(count, self._num_groups))
        if is_alternative:
            best = best[index : index + 1]
        pairs = [divmod(int(at), scores.shape[1]) for at in best]
        return [(totals[i, token], rows[i], token) for i, token in pairs]

    def _drawn(self, totals: Array, sentence: int, count: int) -> Array:
        """Return indices of `count` candidates drawn without replacement, best first."""
        seeds = self._options["seed"]
        seed = seeds[0] if len(seeds) == 1 else seeds[sentence]
        tokens = np.arange(totals.shape[1])
        noise = np.stack([gumbel(seed, i, self._length, tokens) for i in range(len(totals))])
        drawn = best_of((totals + noise).ravel(), count)
        ordered: Array = drawn[np.lexsort((drawn, -totals.ravel()[drawn]))]
        return ordered

    def _extend_group(self, index: int, group: Group, beams: dict[int, Beam], scores: Array, chosen: list[int]) -> None:
        sentence = next(iter(beams.values())).sentence
        divisor = self._divisor(sentence, self._length)
        # Marian's finished hypotheses keep their places: fewer go on, and only candidates that get a place count.
        places_stay = self._options["preset"] == "marian"
        places = self._group_size - (group.ended if places_stay else 0)
        open_places = places  # for those that go on
        running: list[tuple[int, Beam]] = []
        candidates = self._candidates(index, beams, scores, list(chosen))
        for rank, (score, row, token) in enumerate(candidates):
            if places_stay and rank >= places:
                break
            is_eos = token in self._eos
            if is_eos and rank > 0 and self._only_best_may_end(sentence):
                open_places -= 1  # it is dropped, and nothing takes its place
            elif not is_eos and not self._is_last_step(sentence):
                if len(running) < open_places:
                    running.append((row, Beam(sentence, [*beams[row].tokens, token], score, index)))
            elif rank < places:
                group.ended += 1
                group.best_ended = group.best_ended or rank == 0
                self._keep(group, row, beams[row], score, self._final_score(row, score, divisor), token)
                chosen += [] if is_eos else [token]
        is_missing = self._options["return_alternatives"] and self._is_first(sentence) and index > 0
        if not running and not group.pool and not (is_missing and scores[next(iter(beams))].max() > -np.inf):
            # Every token that has a probability is forbidden: the beams end where they are.
            for row, beam in beams.items():
                normalised = self._final_score(row, beam.score, self._divisor(sentence, self._length - 1))
                self._keep(group, row, beam, beam.score, normalised, -1)
        group.done = not running or self._is_complete(sentence, running[0][1].score, group)
        if not group.done:
            self._beams += [beam for _, beam in running]
            self._parents += [row for row, _ in running]
            chosen += [beam.tokens[-1] for _, beam in running]

    def _keep(self, group: Group, row: int, beam: Beam, total: np.float32, score: float, token: int) -> None:
        """Pool a hypothesis that ended by writing `token` (-1: by writing nothing), if it is good enough."""
        if len(group.pool) == self._group_size and score <= group.pool[-1].score:
            return
        finished = token in self._eos
        last = self._ended(row, total, score, finished, token)
        tokens = beam.tokens if finished or token < 0 else [*beam.tokens, token]
        group.pool = pooled(group.pool, Answer(tokens, score, finished, last), self._group_size)

    def _only_best_may_end(self, sentence: int) -> bool:
        """CTranslate2's rule for the first step after a prefix: an end token that is not the best is no candidate."""
        options = self._options
        given = bool(self._prefixes[sentence]) and self._is_first(sentence)
        return bool(given and options["preset"] == "ct2" and not options["return_alternatives"])

    def _is_complete(self, sentence: int, best_running: np.float32, group: Group) -> bool:
        """Whether no running beam can, or may, improve on what has finished."""
        options = self._options
        if options["preset"] == "marian":
            return False
        if options["preset"] == "ct2":
            if options["length_penalty"] != 0.0 or options["coverage_penalty"] != 0.0:
                return has_enough(group.ended, self._group_size, options)
            returned = 1 if options["return_alternatives"] else options["num_return_sequences"]
            return group.best_ended and group.ended >= min(returned, self._group_size)
        if options["early_stopping"] is True:
            return has_enough(group.ended, self._group_size, options)
        return len(group.pool) == self._group_size and not self._improves(sentence, best_running, group.pool)

    def _collect(self, sentence: int) -> list[Answer]:
        """Return what the groups of a sentence have found, what several found only once."""
        count = self._options["num_return_sequences"]
        alternatives = self._options["return_alternatives"]
        found: list[Answer] = []
        for group in self._groups[sentence]:
            others = [(other.tokens, other.finished) for other in found]
            pool = group.pool[: 1 if alternatives else count]
            found += [answer for answer in pool if (answer.tokens, answer.finished) not in others]
        return found if alternatives else sorted(found, key=lambda answer: -answer.score)[:count]


def has_enough(ended: int, num_beams: int, options: dict[str, Any]) -> bool:
    """Whether as many hypotheses have finished as `patience` asks for."""
    return bool(ended >= max(1.0, np.floor(num_beams * options["patience"] + 0.5)))


def pooled(pool: list[Answer], answer: Answer, size: int) -> list[Answer]:
    """Return the best `size` of a pool and one more; equal scores: first come."""
    return sorted([*pool, answer], key=lambda each: -each.score)[:size]


def best_of(scores: Array, count: int) -> Array:
    """Indices of the `count` best scores above -inf, best first; ties: lower index."""
    if count < scores.size:
        threshold = np.partition(scores, -count)[-count]
        indices = np.flatnonzero(scores >= threshold)
    else:
        indices = np.arange(scores.size)
    indices = indices[scores[indices] > -np.inf]
    best: Array = indices[np.argsort(-scores[indices], kind="stable")][:count]
    return best
