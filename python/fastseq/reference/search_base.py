"""What all searches share: the live rows, the checks of options and logits, prefixes and processors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.search_coverage import Coverage
from fastseq.reference.search_options import check_options, named_tokens
from fastseq.reference.search_processors import Processor, Row, make_processors
from fastseq.reference.search_sampling import make_samplers
from fastseq.reference.search_trace import Answer
from fastseq.reference.softmax import log_softmax
from fastseq.reference.traced_search import TracedSearch

__all__ = ["Beam", "Search"]

Array: TypeAlias = NDArray[Any]


@dataclass
class Beam:
    """A live row: what it has generated so far."""

    sentence: int
    tokens: list[int]
    score: np.float32
    index: int = 0  # which sample, or which group of beams


class Search(TracedSearch):
    """A search that gets logits and says which tokens it wants to go on with."""

    # Whether processors see log-probabilities, as in Hugging Face's beam search, or logits, as in its other ones.
    _normalised: bool

    def __init__(
        self, batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
    ) -> None:
        check_options(options, batch_size)
        self._options = options
        self._processors = make_processors(options)
        self._coverage = Coverage(options["coverage_penalty"])
        self._samplers = make_samplers(options)
        self._eos = options["eos_ids"]
        self._length = 1  # tokens of every live row, with the start token
        self._vocab_size = 0
        # What each sentence begins with: its prompt, or the start token.
        self._given = [list(prompt) for prompt in options["prompt"]] or [[options["start_id"]]] * batch_size
        self._prefixes = [list(prefix) for prefix in options["prefix"]] or [[] for _ in range(batch_size)]
        super().__init__(batch_size, outputs, trace)
        self._beams: list[Beam] = []
        for sentence in range(batch_size):
            if self._max_length(sentence) == 1:
                self._results[sentence] = [Answer([], 0.0, False)]
            else:
                self._beams.append(Beam(sentence, [], np.float32(0.0)))
        self._parents = [beam.sentence for beam in self._beams]
        self._trace_step()

    @property
    def ids(self) -> Array:
        """The token that each row feeds to the next step, (n,)."""
        return np.array([(beam.tokens or self._given[beam.sentence])[-1] for beam in self._beams], np.int32)

    @property
    def parents(self) -> Array:
        """The row of the step before that each row continues, (n,)."""
        return np.array(self._parents, np.int64)

    @property
    def sentences(self) -> Array:
        """The sentence of each row, (n,), ascending."""
        return np.array([beam.sentence for beam in self._beams], np.int64)

    @property
    def done(self) -> bool:
        """Whether no row is left."""
        return not self._beams

    def _running(self) -> list[tuple[list[int], np.float32]]:
        return [(beam.tokens, beam.score) for beam in self._beams]

    def _stop_rows(self) -> None:
        self._beams, self._parents = [], []

    def advance(self, logits: Array, attention: Any = None) -> None:
        """Read the logits (n, V) of the live rows, and their attention (n, S) if it is wanted; choose the next rows."""
        if logits.dtype != np.float32:
            raise TypeError(f"logits have dtype {logits.dtype}; expected float32")
        if logits.ndim != 2:
            raise ValueError(f"logits has shape {logits.shape}; expected (*, *)")
        rows, vocab_size = logits.shape
        if (self._outputs.attention or self._coverage.wanted) and attention is None:
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
            accepted = self._options["remove_invalid_values"] or self._is_forced(beam.sentence, self._length + 1)
            if not (np.isfinite(largest) or accepted):
                raise ValueError(f"logits of sentence {beam.sentence} (row {row}) contain NaN, +inf or no finite value")
        free = [row for row, beam in enumerate(self._beams) if not self._is_forced(beam.sentence, self._length + 1)]
        log_probs = log_softmax(logits)
        scores = self._process(log_probs if self._normalised else logits, free)
        self._coverage.add(attention, self.parents, self.sentences)
        self._vocab_size = vocab_size
        self._length += 1
        self._extend(scores, np.nan_to_num(log_probs, nan=0.0, neginf=-np.inf))
        self._outputs.add(logits, attention)
        self._trace_step()

    def _extend(self, scores: Array, log_probs: Array) -> None:
        """Choose the next rows from the processed scores (n, V) and the model's own log-probabilities (n, V)."""
        raise NotImplementedError

    def _process(self, scores: Array, free: Sequence[int]) -> Array:
        """Return scores (n, V) as the processors change them, those of forced rows as they are."""
        scores = scores.copy()
        rows = {}
        for row in free:
            beam = self._beams[row]
            given = self._given[beam.sentence]
            prompt = len(given) + len(self._prefixes[beam.sentence])
            longest = len(given) - 1 + self._max_length(beam.sentence)
            rows[row] = Row(beam.sentence, [*given, *beam.tokens], prompt, longest)

        def run(processors: list[Processor]) -> None:
            for row, context in rows.items():
                for processor in processors:
                    processor(scores[row], context)

        before, after = self._processors
        run(before)
        if self._options["prefix_allowed_tokens_fn"] is not None:
            self._restrict(scores, rows)
        run(after)
        if free and self._options["logits_processor"]:
            all_ids = np.array([rows[row].ids for row in free], np.int64)
            changed = scores[list(free)]
            for custom in self._options["logits_processor"]:
                changed = custom(all_ids, changed)
            for i, row in enumerate(free):
                if not (changed[i] < np.inf).all():
                    sentence = rows[row].sentence
                    raise ValueError(f"logits_processor: scores of sentence {sentence} contain NaN or +inf")
                scores[row] = changed[i]
        run(self._samplers)
        return scores

    def _restrict(self, scores: Array, rows: dict[int, Row]) -> None:
        """Leave the tokens that prefix_allowed_tokens_fn names."""
        for sentence in {row.sentence for row in rows.values()}:
            own = {
                row: self._allowed(context, scores.shape[1])
                for row, context in rows.items()
                if context.sentence == sentence
            }
            # What is allowed may have no probability in any beam: all of it becomes equally probable.
            possible = any(scores[row][tokens].max() > -np.inf for row, tokens in own.items())
            for row, tokens in own.items():
                kept = scores[row][tokens] if possible else np.zeros(len(tokens), scores.dtype)
                scores[row] = -np.inf
                scores[row][tokens] = kept

    def _allowed(self, row: Row, vocab_size: int) -> list[int]:
        allow = self._options["prefix_allowed_tokens_fn"]
        tokens = sorted(set(allow(row.sentence, np.array(row.ids, np.int64))))
        where = f"prefix_allowed_tokens_fn: for sentence {row.sentence}"
        if not tokens:
            raise ValueError(f"{where} it allows no token")
        for token in tokens:
            if not 0 <= token < vocab_size:
                raise ValueError(f"{where} it allows {token}; expected ids in [0, {vocab_size})")
        return tokens

    def _is_forced(self, sentence: int, length: int) -> bool:
        """Whether the prefix says the last of `length` tokens."""
        return length <= 1 + len(self._prefixes[sentence])

    def _is_first(self, sentence: int) -> bool:
        """Whether this step's token is the first one after the prefix."""
        return self._length == 2 + len(self._prefixes[sentence])

    def _forced_token(self, sentence: int) -> int:
        return int(self._prefixes[sentence][self._length - 2])

    def _max_length(self, sentence: int) -> int:
        if self._options["max_new_tokens"] is None:
            return int(self._options["max_length"]) - len(self._given[sentence]) + 1
        return 1 + len(self._prefixes[sentence]) + int(self._options["max_new_tokens"])

    def _is_last_step(self, sentence: int) -> bool:
        return self._length >= self._max_length(sentence)

    def _improves(self, sentence: int, best_running: np.float32, pool: list[Answer]) -> bool:
        """Whether the best running beam, at a length that `early_stopping` says, beats the worst of a pool."""
        longest = self._options["early_stopping"] == "never" and self._options["length_penalty"] > 0.0
        length = self._max_length(sentence) if longest else self._length
        return bool(best_running / self._divisor(sentence, length) > pool[-1].score)

    def _final_score(self, row: int, total: np.float32, divisor: np.float32) -> float:
        return float(total / divisor + self._coverage.penalty(row))

    def _divisor(self, sentence: int, length: int) -> np.float32:
        """Return what the sum of log-probabilities of `length` tokens, start and prefix counted, is divided by.

        The start token does not count in it, and the prefix only by CTranslate2's rules.
        """
        given = 1 if self._options["preset"] == "ct2" else 1 + len(self._prefixes[sentence])
        counted = max(0, length - given)
        power: float = float(counted) ** self._options["length_penalty"] if counted else 1.0
        divisor: np.float32 = np.float32(power)
        return divisor
