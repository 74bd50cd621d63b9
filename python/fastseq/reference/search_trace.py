"""What a search did, step by step; which tokens are certain while it runs; what it gives back beside tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.softmax import log_softmax_topk

__all__ = ["Answer", "LastRow", "SearchTrace", "StepOutputs", "TokenStream"]

Array: TypeAlias = NDArray[Any]
Step: TypeAlias = tuple[Array, Array, Array, Array]  # (rows) each: ids, parents, sentences, sums of log-probabilities
Ending: TypeAlias = tuple[int, int, int, int, float, bool]  # sentence, step, row, token or -1, score, finished
News: TypeAlias = tuple[int, list[int], bool]  # sentence, tokens, done


class LastRow(NamedTuple):
    """The last row that read for a hypothesis, and the sum of the log-probabilities of all that it wrote."""

    step: int = -1  # -1: nothing was read
    row: int = 0
    sum: np.float32 = np.float32(0.0)


class Answer(NamedTuple):
    """One answer of a search."""

    tokens: list[int]
    score: float
    finished: bool
    last: LastRow = LastRow()

    @property
    def written(self) -> int:
        """Number of its tokens, the end token included."""
        return len(self.tokens) + self.finished


@dataclass
class SearchTrace:
    """Every step of a search, and every hypothesis that ended, whether or not better ones came later."""

    steps: list[Step] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    sums: list[np.float32] = field(default_factory=list)  # of each ending

    def path(self, last: LastRow) -> list[int]:
        """Return the row of each step up to `last`."""
        rows, row = [0] * (last.step + 1), last.row
        for step in range(last.step, -1, -1):
            rows[step] = row
            row = int(self.steps[step][1][row])
        return rows

    def read_tokens(self, last: LastRow) -> list[int]:
        """Return what `last` had read, without the start token."""
        return [int(self.steps[step][0][row]) for step, row in enumerate(self.path(last))][1:]

    def ended(self, sentence: int) -> list[Answer]:
        """Return all hypotheses of a sentence that have ended, in the order in which they did."""
        answers = []
        for (of, step, row, token, score, finished), total in zip(self.endings, self.sums, strict=True):
            if of == sentence:
                last = LastRow(step, row, total)
                tokens = self.read_tokens(last) + ([token] if token >= 0 and not finished else [])
                answers.append(Answer(tokens, score, finished, last))
        return answers

    def rows(self, answer: Answer) -> list[int]:
        """Return the row of each step that wrote a token of the answer, its end token included."""
        return self.path(answer.last)[: answer.written]

    def token_log_probs(self, answer: Answer) -> Array:
        """Return the log-probability of each of these tokens."""
        rows = self.rows(answer)
        if not rows:
            return np.empty(0, np.float32)
        sums = [self.steps[step][3][row] for step, row in enumerate(rows)]
        if answer.last.step == len(rows):  # stopped: the last row has read the last token
            sums.append(self.steps[len(rows)][3][answer.last.row])
        else:
            sums.append(answer.last.sum)
        return np.diff(np.array(sums, np.float32))


class TokenStream:
    """The tokens of a running search that can no longer change.

    The best hypothesis of a sentence will be the best that has ended, or a continuation of a live row: what all of
    these share is certain.
    """

    def __init__(self, batch_size: int) -> None:
        self._told: list[int | None] = [0] * batch_size  # None: the sentence is done

    def read(self, trace: SearchTrace, sentences: Array, results: list[list[Answer]]) -> list[News]:
        """Return what has become certain since the last call; `sentences` are those of the live rows."""
        news: list[News] = []
        for sentence, told in enumerate(self._told):
            if told is None:
                continue
            live = bool((sentences == sentence).any())
            if live:
                tokens = trace.read_tokens(_common_row(trace, sentence, told))
            else:
                tokens = results[sentence][0].tokens if results[sentence] else []
            if not live or len(tokens) > told:
                news.append((sentence, tokens[told:], not live))
            self._told[sentence] = len(tokens) if live else None
        return news


def _common_row(trace: SearchTrace, sentence: int, settled: int) -> LastRow:
    """Return the last row, at or after step `settled`, from which all that may become the best answer descends."""
    ended = [(score, -index) for index, (of, *_, score, _) in enumerate(trace.endings) if of == sentence]
    best = trace.endings[-max(ended)[1]] if ended else None
    step = len(trace.steps) - 1
    rows = set(np.flatnonzero(trace.steps[-1][2] == sentence).tolist())
    while step > settled and (len(rows) > 1 or (best is not None and best[1] < step)):
        rows = {int(trace.steps[step][1][row]) for row in rows}
        step -= 1
        if best is not None and best[1] == step:
            rows.add(best[2])
    return LastRow(step, min(rows))


class StepOutputs:
    """Keeps what is wanted of each step, for all rows, until the hypotheses are known."""

    def __init__(self, options: dict[str, Any] | None) -> None:
        self._wanted = options or {"token_log_probs": False, "attention": False, "logits": False, "top_logits": 0}
        if self._wanted["top_logits"] < 0:
            raise ValueError(f"top_logits is {self._wanted['top_logits']}; expected at least 0")
        self._steps: list[dict[str, Any]] = []

    @property
    def any(self) -> bool:
        """Whether anything is wanted."""
        return any(self._wanted.values())

    @property
    def attention(self) -> bool:
        """Whether the weights on the source are wanted."""
        return bool(self._wanted["attention"])

    def add(self, logits: Array, attention: Any) -> None:
        """Keep what is wanted of logits (n, V), and of the weights on the source: n arrays (S,), or (n, S)."""
        step: dict[str, Any] = {}
        if self._wanted["attention"]:
            step["attention"] = [np.array(row, np.float32) for row in attention]
        if self._wanted["logits"]:
            step["logits"] = logits.copy()
        if self._wanted["top_logits"]:
            count = min(self._wanted["top_logits"], logits.shape[1])
            step["top_tokens"] = log_softmax_topk(logits, count, None)[1]
            step["top_logits"] = np.take_along_axis(logits, step["top_tokens"], axis=1)
        self._steps.append(step)

    def answer(self, trace: SearchTrace | None, answer: Answer) -> tuple[Any, ...]:
        """Return (tokens, score, finished), and a dictionary of what else is wanted as fourth."""
        plain = answer[:3]
        if trace is None or not self.any:
            return plain
        rows = trace.rows(answer)
        arrays: dict[str, Array] = {}
        if self._wanted["token_log_probs"]:
            arrays["token_log_probs"] = trace.token_log_probs(answer)
        for name in ("attention", "logits", "top_logits", "top_tokens"):
            if self._wanted["top_logits" if name == "top_tokens" else name]:
                kept = [self._steps[step][name][row] for step, row in enumerate(rows)]
                empty = np.empty((0, 0), np.int64 if name == "top_tokens" else np.float32)
                arrays[name] = np.stack(kept) if kept else empty
        return (*plain, arrays)
