"""Greedy and beam search in NumPy, to be read beside ``_beam_search`` of transformers 5 (generation/utils.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.search_options import check_options
from fastseq.reference.search_processors import Row, make_processors, named_tokens
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
        check_options(options, batch_size)
        self._options = options
        self._processors = make_processors(options)
        self._eos = options["eos_ids"]
        self._length = 1  # tokens of every live row, with the start token
        self._vocab_size = 0
        super().__init__(batch_size, outputs, trace)
        self._prefixes = [list(prefix) for prefix in options["prefix"]] or [[] for _ in range(batch_size)]
        self._beams: list[_Beam] = []
        for sentence, prefix in enumerate(self._prefixes):
            if self._max_length(sentence) == 1 + len(prefix):
                self._results[sentence] = [Answer(prefix, 0.0, False)]
            else:
                self._beams.append(_Beam(sentence, [], np.float32(0.0)))
        self._parents = [beam.sentence for beam in self._beams]
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
        for name, token in named_tokens(self._options):
            if token >= vocab_size:
                raise ValueError(f"{name} has {token}; logits have only {vocab_size} columns")
        for row, beam in enumerate(self._beams):
            largest = logits[row].max()  # NaN if there is one
            if not (np.isfinite(largest) or self._is_forced(beam.sentence)):
                raise ValueError(f"logits of sentence {beam.sentence} (row {row}) contain NaN, +inf or no finite value")
        self._vocab_size = vocab_size
        self._extend(logits)
        self._outputs.add(logits, attention)
        self._trace_step()

    def _extend(self, logits: Array) -> None:
        raise NotImplementedError

    def _is_forced(self, sentence: int) -> bool:
        """Whether the prefix says the token that follows ``self._length`` tokens."""
        return self._length <= len(self._prefixes[sentence])

    def _max_length(self, sentence: int) -> int:
        if self._options["max_new_tokens"] is None:
            return int(self._options["max_length"])
        return 1 + len(self._prefixes[sentence]) + int(self._options["max_new_tokens"])

    def _process(self, scores: Array, beam: _Beam) -> Array:
        """Return scores (V,) as the processors change them."""
        prefix = self._prefixes[beam.sentence]
        ids = [self._options["start_id"], *beam.tokens]
        row = Row(beam.sentence, ids, 1 + len(prefix), self._max_length(beam.sentence))
        scores = scores.copy()
        for processor in self._processors:
            processor(scores, row)
        return scores

    def _divisor(self, sentence: int, length: int) -> np.float32:
        """Return what the sum of log-probabilities of `length` tokens, start and prefix counted, is divided by."""
        generated = length - 1 - len(self._prefixes[sentence])
        power: float = float(generated) ** self._options["length_penalty"] if generated else 1.0
        divisor: np.float32 = np.float32(power)
        return divisor


class GreedySearch(_Search):
    """The most probable token at every step; ties: the lower token."""

    def __init__(
        self, batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
    ) -> None:
        super().__init__(batch_size, options, outputs, trace)
        if options["num_beams"] != 1:
            raise ValueError(f"num_beams is {options['num_beams']}; expected 1 for greedy search")

    def _extend(self, logits: Array) -> None:
        length = self._length + 1
        beams, parents = self._beams, []
        self._beams = []
        for row, beam in enumerate(beams):
            sentence = beam.sentence
            if self._is_forced(sentence):
                beam.tokens.append(self._prefixes[sentence][self._length - 1])
                self._beams.append(beam)
                parents.append(row)
                continue
            scores = self._process(logits[row], beam)  # the processors see logits
            token = int(scores.argmax())
            if np.isneginf(scores[token]):  # every token that has a probability is forbidden
                score = float(beam.score / self._divisor(sentence, length - 1))
                last = self._ended(row, beam.score, score, False, -1)
                self._results[sentence] = [Answer(beam.tokens, score, False, last)]
                continue
            beam.score = beam.score + log_softmax(logits[row : row + 1])[0, token]
            finished = token in self._eos
            if not finished:
                beam.tokens.append(token)
            if finished or length >= self._max_length(sentence):
                score = float(beam.score / self._divisor(sentence, length))
                last = self._ended(row, beam.score, score, finished, token)
                self._results[sentence] = [Answer(beam.tokens, score, finished, last)]
            else:
                self._beams.append(beam)
                parents.append(row)
        self._length = length
        self._parents = parents


class BeamSearch(_Search):
    """Beam search with the hypotheses, scores and stopping rules of Hugging Face."""

    def __init__(
        self, batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
    ) -> None:
        super().__init__(batch_size, options, outputs, trace)
        self._finished: list[list[Answer]] = [[] for _ in range(batch_size)]  # best first, at most num_beams

    def _extend(self, logits: Array) -> None:
        before, sentences = self._beams, self.sentences
        self._beams, self._parents = [], []
        for sentence in np.unique(sentences):
            rows = np.flatnonzero(sentences == sentence)
            beams = [before[row] for row in rows]
            if self._is_forced(sentence):
                token = self._prefixes[sentence][self._length - 1]
                self._beams.append(_Beam(int(sentence), [*beams[0].tokens, token], beams[0].score))
                self._parents.append(int(rows[0]))
                continue
            log_probs = log_softmax(logits[rows])
            scores = [self._process(log_probs[i], beam) + beam.score for i, beam in enumerate(beams)]
            self._extend_sentence(int(sentence), rows, beams, np.stack(scores))
        self._length += 1

    def _extend_sentence(self, sentence: int, rows: Array, beams: list[_Beam], scores: Array) -> None:
        num_beams = self._options["num_beams"]
        vocab_size = scores.shape[1]
        length = self._length + 1
        is_last_step = length >= self._max_length(sentence)
        finished = self._finished[sentence]
        # So many that num_beams of them are no end tokens.
        candidates = _best(scores.ravel(), max(2, 1 + len(self._eos)) * num_beams)
        running: list[tuple[int, _Beam]] = []
        ended: list[Answer] = []
        for rank, index in enumerate(candidates):
            parent, token = divmod(int(index), vocab_size)
            score = scores[parent, token]
            tokens = beams[parent].tokens
            if token in self._eos or is_last_step:
                is_eos = token in self._eos
                if rank < num_beams:
                    normalised = float(score / self._divisor(sentence, length))
                    last = self._ended(int(rows[parent]), score, normalised, is_eos, token)
                    ended.append(Answer(tokens if is_eos else [*tokens, token], normalised, is_eos, last))
            elif len(running) < num_beams:
                running.append((parent, _Beam(sentence, [*tokens, token], score)))
        if not running and not finished and not ended:  # every token that has a probability is forbidden
            divisor = self._divisor(sentence, length - 1)
            for row, beam in zip(rows, beams, strict=True):
                normalised = float(beam.score / divisor)
                last = self._ended(int(row), beam.score, normalised, False, -1)
                ended.append(Answer(beam.tokens, normalised, False, last))
        finished = sorted(finished + ended, key=lambda answer: -answer.score)[:num_beams]
        self._finished[sentence] = finished
        if not running or self._is_complete(sentence, running[0][1].score, finished):
            self._results[sentence] = finished[: self._options["num_return_sequences"]]
            return
        self._beams += [beam for _, beam in running]
        self._parents += [int(rows[parent]) for parent, _ in running]

    def _is_complete(self, sentence: int, best_running: np.float32, finished: list[Answer]) -> bool:
        """Whether no running beam can, or may, improve on what has finished."""
        if len(finished) < self._options["num_beams"]:
            return False
        early_stopping = self._options["early_stopping"]
        if early_stopping is True:
            return True
        longest = early_stopping == "never" and self._options["length_penalty"] > 0.0
        length = self._max_length(sentence) if longest else self._length + 1
        return not best_running / self._divisor(sentence, length) > finished[-1].score


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
