"""A search that is read while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeAlias

from fastseq.search.result import Generation
from fastseq.search.trace import SearchTrace

__all__ = ["OnTokens", "SearchStream", "Stepwise", "StreamedTokens", "run"]


class StreamedTokens(NamedTuple):
    """New tokens of one sentence.

    Attributes
    ----------
    sentence : int
        Which sentence of the batch.
    tokens : list of int
        Tokens that follow those of before; they are not taken back. Empty if the sentence only ends.
    done : bool
        Whether the sentence has no more.
    """

    sentence: int
    tokens: list[int]
    done: bool


OnTokens: TypeAlias = Callable[[StreamedTokens], Any]


class Stepwise(Protocol):
    """A search over some sentences that is taken step by step."""

    @property
    def done(self) -> bool:
        """Whether every sentence has its hypotheses."""

    def step(self) -> None:
        """One token of every live row."""

    def stop(self) -> None:
        """End where it is."""

    def news(self) -> list[tuple[int, list[int], bool]]:
        """Sentence, tokens that have become certain since the last call, and whether the sentence is done."""

    def result(self) -> list[list[tuple[Any, ...]]]:
        """Hypotheses of each sentence."""

    def trace(self) -> tuple[list[Any], list[Any]]:
        """Steps and endings."""


class SearchStream(Iterator[StreamedTokens]):
    """Tokens of a running search, as soon as they are certain.

    With one beam every token comes at once. With more, a token comes when all sequences that may still become the best
    hypothesis have it: tokens are never taken back, and together they are those of the best hypothesis.

    Stop early with `close`, or by leaving a ``with`` block: nothing more is computed. A `for` loop that is left is
    enough where the hypotheses found so far are not wanted.

    Parameters
    ----------
    parts : sequence of (int, callable)
        First sentence of each part of the batch, and a function that starts its search.
    batch_size : int
        Number of sentences.
    with_trace : bool
        Whether generations carry their `SearchTrace`.

    Examples
    --------
    >>> import fastseq
    >>> model = fastseq.pipeline("pronounce", "lstm").model
    >>> stream = model.stream([model.vocabulary.encode("speech")])
    >>> for sentence, tokens, done in stream:
    ...     print(*model.vocabulary.decode(tokens))
    S
    P
    IY1
    CH
    <BLANKLINE>
    >>> stream.generations[0].finished
    True
    """

    def __init__(
        self, parts: Sequence[tuple[int, Callable[[], Stepwise]]], batch_size: int, with_trace: bool = False
    ) -> None:
        self._parts = deque(parts)
        self._search: Stepwise | None = None
        self._first = 0
        self._with_trace = with_trace
        self._news: deque[StreamedTokens] = deque()
        self._generations: list[Generation | None] = [None] * batch_size
        self._failed = False

    def __next__(self) -> StreamedTokens:
        while not self._news:
            if self._failed or (self._search is None and not self._parts):
                raise StopIteration
            try:
                self._advance()
            except BaseException:
                self._failed = True
                raise
        return self._news.popleft()

    def _advance(self) -> None:
        """One step of the search, or the start of the next part."""
        if self._search is None:
            self._first, start = self._parts.popleft()
            self._search = start()
        else:
            self._search.step()
        self._news.extend(StreamedTokens(self._first + b, tokens, done) for b, tokens, done in self._search.news())
        if self._search.done:
            self._keep(self._search)

    def _keep(self, search: Stepwise) -> None:
        trace = search.trace() if self._with_trace else None
        for b, answers in enumerate(search.result()):
            of_sentence = None if trace is None else SearchTrace.of_sentence(trace, b)
            self._generations[self._first + b] = Generation.from_answers(answers, of_sentence)
        self._search = None

    def close(self) -> None:
        """End the search where it is; closing twice, or after the end, does nothing.

        Sentences that were running get the best of their finished and unfinished sequences; sentences that had not
        begun get one hypothesis without tokens.
        """
        self._news.clear()
        self._parts.clear()
        if self._failed or self._search is None:
            return
        self._search.stop()
        self._keep(self._search)

    @property
    def generations(self) -> list[Generation]:
        """The hypotheses of every sentence, once the stream has been read to its end or closed.

        Raises
        ------
        RuntimeError
            If the search still runs, or has failed.
        """
        if self._failed:
            raise RuntimeError("the search has failed; it has no hypotheses")
        if self._search is not None or self._parts:
            raise RuntimeError("the search still runs; read the stream to its end or close it")
        return [Generation.from_answers([]) if found is None else found for found in self._generations]

    def __enter__(self) -> SearchStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def run(stream: SearchStream, on_tokens: OnTokens | None) -> list[Generation]:
    """Read a stream to its end, or until `on_tokens` returns False: its generations."""
    if on_tokens is not None and not callable(on_tokens):
        raise TypeError(f"on_tokens is {on_tokens!r}; expected a function (tokens) -> None or False")
    for tokens in stream:
        if on_tokens is not None and on_tokens(tokens) is False:
            stream.close()
    return stream.generations
