"""One search over a batch, step by step; sentences of one length are searched together, one length after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastseq.reference.models.ragged import Array, groups, of_sentences, positions
from fastseq.reference.search import make_search
from fastseq.reference.search_trace import News

__all__ = ["Decoding", "check_attention"]

# Rows decoded together: enough to use each weight many times, few enough to bound the caches.
_GROUP_ROWS = 256


def check_attention(model: Any, options: dict[str, Any], outputs: dict[str, Any] | None) -> bool:
    """Return whether a step has to give its attention; raise ValueError if the model has none."""
    wanted = bool(outputs and outputs["attention"]) or options["coverage_penalty"] != 0.0
    if wanted and not model.attends:
        raise ValueError("return_attention or coverage_penalty needs attention; this model has none")
    return wanted


class Decoding:
    """A search with a model.

    Parameters
    ----------
    model : Seq2Seq
    ids : (N,) integers
        Source tokens of all sentences.
    offsets : (B + 1,) integers
        Where each begins.
    options : dict
        Of the search.
    outputs : dict, optional
        What is wanted beside tokens and scores.
    """

    def __init__(
        self, model: Any, ids: Array, offsets: Array, options: dict[str, Any], outputs: dict[str, Any] | None = None
    ) -> None:
        self._attends = check_attention(model, options, outputs)
        self._model, self._ids, self._offsets = model, ids, offsets
        self._options, self._outputs = options, outputs
        self._answers: list[list[tuple[Any, ...]]] = [[] for _ in range(len(offsets) - 1)]
        self._groups: Iterator[Array] = groups(offsets, max(1, _GROUP_ROWS // options["num_beams"]))
        self._news: list[News] = []
        self._traces: list[tuple[Array, Any]] = []
        self._begin()

    def _begin(self) -> None:
        """Start the next group, or none."""
        self._search: Any = None
        self._sentences = next(self._groups, None)
        if self._sentences is None:
            return
        self._search = make_search(
            len(self._sentences), of_sentences(self._options, self._sentences), self._outputs, True
        )
        if self._search.done:
            self._end()
        else:
            self._state = self._model.start(self._ids[positions(self._offsets, self._sentences)])

    def _end(self) -> None:
        """Keep what the group has found, and go on to the next."""
        assert self._sentences is not None
        self._news += self._read_news()
        self._traces.append((self._sentences, self._search.trace()))
        for b, answer in zip(self._sentences, self._search.result(), strict=True):
            self._answers[b] = answer
        self._begin()

    @property
    def done(self) -> bool:
        """Whether every sentence has its hypotheses."""
        return self._search is None

    def step(self) -> None:
        """One token of every live row of the running group."""
        if self.done:
            return
        self._state = self._model.step(self._search, self._state, self._attends)
        if self._search.done:
            self._end()

    def stop(self) -> None:
        """End where it is; sentences that have not begun get no hypotheses."""
        if not self.done:
            self._groups = iter(())
            self._search.stop()
            self._end()

    def news(self) -> list[News]:
        """Return the tokens that have become certain since the last call."""
        news, self._news = self._news + self._read_news(), []
        return news

    def _read_news(self) -> list[News]:
        if self.done or self._sentences is None:
            return []
        return [(int(self._sentences[b]), tokens, done) for b, tokens, done in self._search.news()]

    def result(self) -> list[list[tuple[Any, ...]]]:
        """Return for each sentence its hypotheses, best first."""
        if not self.done:
            raise ValueError("result: the search is not done; advance it until it is")
        return self._answers

    def trace(self) -> tuple[list[Any], list[Any]]:
        """Return every step and every hypothesis that ended, if all sentences are searched together."""
        if len(self._traces) + (not self.done) > 1:
            raise ValueError("trace: the sentences were not searched together")
        if self._traces:
            trace: tuple[list[Any], list[Any]] = self._traces[0][1]
            return trace
        return ([], []) if self.done else self._search.trace()
