"""Greedy and beam search in NumPy, to be read beside ``_beam_search`` of transformers 5 (generation/utils.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.search_trace import Answer
from fastseq.reference.softmax import log_softmax
from fastseq.reference.traced_search import TracedSearch

Array: TypeAlias = NDArray[Any]

__all__ = ["BeamSearch", "GreedySearch", "make_search"]


@dataclass
class _Beam:
    """A live row: what it has generated so far."""

    sentence: int
    tokens: list[int]
    score: np.float32


class _Search(TracedSearch):
    """What greedy and beam search share: the live rows and the checks of the logits."""

    def __init__(
        self, batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
    ) -> None:
        if batch_size < 0:
            raise ValueError(f"batch_size is {batch_size}; expected at least 0")
        _check_options(options)
        self._options = options
        self._eos = np.array(options["eos_ids"], np.int64)
        self._length = 1  # tokens of every live row, with the start token
        self._vocab_size = 0
        super().__init__(batch_size, outputs, trace)
        self._beams: list[_Beam] = []
        if options["max_length"] == 1:
            self._results = [[Answer([], 0.0, False)] for _ in range(batch_size)]
        else:
            self._beams = [_Beam(sentence, [], np.float32(0.0)) for sentence in range(batch_size)]
        self._parents = list(range(len(self._beams)))
        self._trace_step()

    @property
    def ids(self) -> Array:
        start = self._options["start_id"]
        return np.array([beam.tokens[-1] if beam.tokens else start for beam in self._beams], np.int32)

    @property
    def parents(self) -> Array:
        return np.array(self._parents, np.int64)

    @property
    def sentences(self) -> Array:
        return np.array([beam.sentence for beam in self._beams], np.int64)

    @property
    def done(self) -> bool:
        return not self._beams

    def _running(self) -> list[tuple[list[int], np.float32]]:
        return [(beam.tokens, beam.score) for beam in self._beams]

    def _stop_rows(self) -> None:
        self._beams, self._parents = [], []

    def advance(self, logits: Array, attention: Any = None) -> None:
        """Read the logits (n, V) of the live rows and choose the rows of the next step."""
        if logits.dtype != np.float32:
            raise TypeError(f"logits have dtype {logits.dtype}; expected float32")
        if logits.ndim != 2:
            raise ValueError(f"logits has shape {logits.shape}; expected (*, *)")
        rows, vocab_size = logits.shape
        if self._outputs.attention and attention is None:
            raise ValueError("attention is wanted; advance got none")
        if rows != len(self._beams):
            raise ValueError(f"logits have {rows} rows; expected one for each of the {len(self._beams)} live rows")
        if self.done:
            return
        if vocab_size < 1 or self._vocab_size not in (0, vocab_size):
            wanted = f"{self._vocab_size} as before" if self._vocab_size else "at least 1"
            raise ValueError(f"logits have {vocab_size} columns; expected {wanted}")
        for eos in self._eos:
            if eos >= vocab_size:
                raise ValueError(f"eos_ids has {eos}; logits have only {vocab_size} columns")
        for row, beam in enumerate(self._beams):
            largest = logits[row].max()  # NaN if there is one
            if not np.isfinite(largest):
                raise ValueError(f"logits of sentence {beam.sentence} (row {row}) contain NaN, +inf or no finite value")
        self._vocab_size = vocab_size
        self._length += 1
        self._extend(logits)
        self._outputs.add(logits, attention)
        self._trace_step()

    def _extend(self, logits: Array) -> None:
        raise NotImplementedError

    def _mask_eos(self, scores: Array) -> Array:
        """Forbid end tokens (in place) in scores (n, V) while the sequences are shorter than min_length."""
        if self._length - 1 < self._options["min_length"]:
            scores[:, self._eos] = -np.inf
        return scores

    def _divisor(self, length: int) -> np.float32:
        penalty: float = self._options["length_penalty"]
        power: float = float(length) ** penalty if length else 1.0
        divisor: np.float32 = np.float32(power)
        return divisor

    def _is_last_step(self) -> bool:
        return self._length >= int(self._options["max_length"])


class GreedySearch(_Search):
    """The most probable token at every step; ties: the lower token."""

    def __init__(
        self, batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
    ) -> None:
        super().__init__(batch_size, options, outputs, trace)
        if options["num_beams"] != 1:
            raise ValueError(f"num_beams is {options['num_beams']}; expected 1 for greedy search")

    def _extend(self, logits: Array) -> None:
        log_probs = log_softmax(logits)
        tokens = self._mask_eos(logits.copy()).argmax(axis=1)
        beams, parents = self._beams, []
        self._beams = []
        for row, (beam, token) in enumerate(zip(beams, tokens, strict=True)):
            log_prob = self._mask_eos(log_probs[row : row + 1])[0, token]
            if np.isneginf(log_prob):  # only end tokens are possible, and none may come yet
                score = float(beam.score / self._divisor(self._length - 2))
                last = self._ended(row, beam.score, score, False, -1)
                self._results[beam.sentence] = [Answer(beam.tokens, score, False, last)]
                continue
            beam.score = beam.score + log_prob
            finished = bool(token in self._eos)
            if not finished:
                beam.tokens.append(int(token))
            if finished or self._is_last_step():
                score = float(beam.score / self._divisor(self._length - 1))
                last = self._ended(row, beam.score, score, finished, token)
                self._results[beam.sentence] = [Answer(beam.tokens, score, finished, last)]
            else:
                self._beams.append(beam)
                parents.append(row)
        self._parents = parents


class BeamSearch(_Search):
    """Beam search with the hypotheses, scores and stopping rules of Hugging Face."""

    def __init__(
        self, batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
    ) -> None:
        super().__init__(batch_size, options, outputs, trace)
        self._finished: list[list[Answer]] = [[] for _ in range(batch_size)]  # best first, at most num_beams

    def _extend(self, logits: Array) -> None:
        log_probs = self._mask_eos(log_softmax(logits))
        scores = log_probs + np.array([beam.score for beam in self._beams], np.float32)[:, None]
        before, sentences = self._beams, self.sentences
        self._beams, self._parents = [], []
        for sentence in np.unique(sentences):
            rows = np.flatnonzero(sentences == sentence)
            self._extend_sentence(int(sentence), rows, [before[row] for row in rows], scores[rows])

    def _extend_sentence(self, sentence: int, rows: Array, beams: list[_Beam], scores: Array) -> None:
        num_beams = self._options["num_beams"]
        vocab_size = scores.shape[1]
        finished = self._finished[sentence]
        # So many that num_beams of them are no end tokens.
        candidates = _best(scores.ravel(), max(2, 1 + len(self._eos)) * num_beams)
        running: list[tuple[int, _Beam]] = []
        ended: list[Answer] = []
        for rank, index in enumerate(candidates):
            parent, token = divmod(int(index), vocab_size)
            score = scores[parent, token]
            tokens = beams[parent].tokens
            if token in self._eos or self._is_last_step():
                is_eos = bool(token in self._eos)
                if rank < num_beams:
                    normalised = float(score / self._divisor(self._length - 1))
                    last = self._ended(int(rows[parent]), score, normalised, is_eos, token)
                    ended.append(Answer(tokens if is_eos else [*tokens, token], normalised, is_eos, last))
            elif len(running) < num_beams:
                running.append((parent, _Beam(sentence, [*tokens, token], score)))
        if not running and not finished and not ended:  # only end tokens are possible, and none may come yet
            divisor = self._divisor(self._length - 2)
            for row, beam in zip(rows, beams, strict=True):
                normalised = float(beam.score / divisor)
                last = self._ended(int(row), beam.score, normalised, False, -1)
                ended.append(Answer(beam.tokens, normalised, False, last))
        finished = sorted(finished + ended, key=lambda answer: -answer.score)[:num_beams]
        self._finished[sentence] = finished
        if not running or self._is_complete(running[0][1].score, finished):
            self._results[sentence] = finished[: self._options["num_return_sequences"]]
            return
        self._beams += [beam for _, beam in running]
        self._parents += [int(rows[parent]) for parent, _ in running]

    def _is_complete(self, best_running: np.float32, finished: list[Answer]) -> bool:
        """Whether no running beam can, or may, improve on what has finished."""
        if len(finished) < self._options["num_beams"]:
            return False
        early_stopping = self._options["early_stopping"]
        if early_stopping is True:
            return True
        longest = early_stopping == "never" and self._options["length_penalty"] > 0.0
        length = (self._options["max_length"] if longest else self._length) - 1
        return not best_running / self._divisor(length) > finished[-1].score


def make_search(
    batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
) -> GreedySearch | BeamSearch:
    """GreedySearch for one beam, BeamSearch for more."""
    algorithm = GreedySearch if options["num_beams"] == 1 else BeamSearch
    return algorithm(batch_size, options, outputs, trace)


def _best(scores: Array, count: int) -> Array:
    """Indices of the `count` best scores above -inf, best first; ties: lower index."""
    if count < scores.size:
        threshold = np.partition(scores, -count)[-count]
        indices = np.flatnonzero(scores >= threshold)
    else:
        indices = np.arange(scores.size)
    indices = indices[scores[indices] > -np.inf]
    best: Array = indices[np.argsort(-scores[indices], kind="stable")][:count]
    return best


def _check_options(options: dict[str, Any]) -> None:
    num_beams = options["num_beams"]
    early_stopping = options["early_stopping"]
    ranges = [
        ("num_beams", num_beams, num_beams >= 1, "at least 1"),
        (
            "num_return_sequences",
            options["num_return_sequences"],
            1 <= options["num_return_sequences"] <= num_beams,
            f"1 to num_beams = {num_beams}",
        ),
        ("max_length", options["max_length"], options["max_length"] >= 1, "at least 1 (the start token counts)"),
        ("min_length", options["min_length"], options["min_length"] >= 0, "at least 0"),
        ("start_id", options["start_id"], options["start_id"] >= 0, "at least 0"),
        *(("eos_ids", eos, eos >= 0, "ids of at least 0") for eos in options["eos_ids"]),
        (
            "length_penalty",
            options["length_penalty"],
            abs(options["length_penalty"]) * math.log(max(1, options["max_length"])) <= 87.0,  # e ** 87 is in float32
            "a number whose power of max_length is finite in float32",
        ),
        ("early_stopping", early_stopping, early_stopping in (True, False, "never"), "True, False or 'never'"),
    ]
    for name, value, valid, wanted in ranges:
        if not valid:
            raise ValueError(f"{name} is {value}; expected {wanted}")
