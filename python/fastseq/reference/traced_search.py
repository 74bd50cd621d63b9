"""A search that can tell how it came to its hypotheses, which tokens are certain while it runs, and can be stopped."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseq.reference.search_trace import (
    Answer,
    Array,
    Ending,
    LastRow,
    News,
    SearchTrace,
    Step,
    StepOutputs,
    TokenStream,
)

__all__ = ["TracedSearch"]


class TracedSearch:
    """The results of a search; subclasses choose the rows."""

    _length: int  # tokens of every live row, with the start token
    _options: dict[str, Any]

    def __init__(self, batch_size: int, outputs: dict[str, Any] | None, trace: bool) -> None:
        self._results: list[list[Answer]] = [[] for _ in range(batch_size)]
        self._outputs = StepOutputs(outputs)
        self._trace = SearchTrace() if trace or self._outputs.any else None
        self._stream = TokenStream(batch_size)

    @property
    def ids(self) -> Array:
        """The token that each row feeds to the next step, (n,)."""
        raise NotImplementedError

    @property
    def parents(self) -> Array:
        """The row of the step before that each row continues, (n,)."""
        raise NotImplementedError

    @property
    def sentences(self) -> Array:
        """The sentence of each row, (n,), ascending."""
        raise NotImplementedError

    @property
    def done(self) -> bool:
        """Whether no row is left."""
        raise NotImplementedError

    def _running(self) -> list[tuple[list[int], np.float32]]:
        """Tokens of each row, and the sum of their log-probabilities."""
        raise NotImplementedError

    def _stop_rows(self) -> None:
        """Drop all rows."""
        raise NotImplementedError

    def _divisor(self, sentence: int, length: int) -> np.float32:
        raise NotImplementedError

    def _final_score(self, row: int, total: np.float32, divisor: np.float32) -> float:
        """Return the score of a sum of log-probabilities that ends in a row of the step that was read."""
        raise NotImplementedError

    def result(self) -> list[list[tuple[Any, ...]]]:
        """Return for each sentence its hypotheses, best first."""
        if not self.done:
            raise ValueError("result: the search is not done; advance it until it is")
        return [[self._outputs.answer(self._trace, answer) for answer in answers] for answers in self._results]

    def news(self) -> list[News]:
        """Return the tokens that have become certain since the last call, and which sentences are done."""
        if self._trace is None:
            raise ValueError("news: the search keeps no trace")
        return self._stream.read(self._trace, self.sentences, self._results)

    def trace(self) -> tuple[list[Step], list[Ending]]:
        """Return every step, and every hypothesis that ended."""
        if self._trace is None:
            raise ValueError("trace: the search keeps none")
        return list(self._trace.steps), list(self._trace.endings)

    def stop(self) -> None:
        """End the search where it is: the best of the ended and the running hypotheses become the result."""
        if self._trace is None:
            raise ValueError("stop: the search keeps no trace")
        running = self._running()
        for sentence in np.unique(self.sentences).tolist():
            answers = self._trace.ended(sentence)
            for row in np.flatnonzero(self.sentences == sentence).tolist():
                tokens, total = running[row]
                last = LastRow(self._length - 1, row, total)
                score = self._final_score(int(self.parents[row]), total, self._divisor(sentence, self._length))
                answers.append(Answer(tokens, score, False, last))
            answers.sort(key=lambda answer: -answer.score)
            self._results[sentence] = answers[: self._options["num_return_sequences"]]
        self._stop_rows()

    def _ended(self, row: int, total: np.float32, score: float, finished: bool, token: int) -> LastRow:
        """Note that a hypothesis ended in `row` of this step by writing `token` (-1: without writing one)."""
        last = LastRow(self._length - 2, row, total)
        if self._trace is not None:
            sentence = int(self._trace.steps[last.step][2][row])
            self._trace.endings.append((sentence, last.step, row, int(token), score, finished))
            self._trace.sums.append(total)
        return last

    def _trace_step(self) -> None:
        if self._trace is not None and not self.done:
            sums = np.array([total for _, total in self._running()], np.float32)
            self._trace.steps.append((self.ids, self.parents, self.sentences, sums))
