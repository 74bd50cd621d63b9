"""What a search gives back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.search.trace import SearchTrace

__all__ = ["Generation", "Hypotheses", "Hypothesis"]

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Hypothesis:
    """One generated sequence.

    Attributes
    ----------
    tokens : list of int
        The generated ids, without the start token, the end token and padding.
    score : float
        Sum of the log-probabilities of the generated tokens, the end token included, divided by their number to
        the power of `length_penalty`: ``sequences_scores`` of Hugging Face.
    finished : bool
        Whether the sequence ended with an end token; False if `max_length` cut it off.
    token_log_probs : (T,) float32 array or None
        Of each token as the search summed them up, the end token included; their sum is what `score` divides. With
        ``return_token_log_probs=True``.
    attention : (T, S) float32 array or None
        Weights on the source when each token was written, the end token included. With ``return_attention=True``.
    logits : (T, V) float32 array or None
        As the model gave them, before any processor. With ``return_logits=True``.
    top_logits, top_tokens : (T, k) float32 and int64 arrays or None
        The k largest of these logits, largest first, and their tokens. With ``return_top_logits=k``.

    Examples
    --------
    >>> Hypothesis(tokens=[5, 9], score=-0.5, finished=True).tokens
    [5, 9]
    """

    tokens: list[int]
    score: float
    finished: bool
    token_log_probs: Floats | None = field(default=None, compare=False)
    attention: Floats | None = field(default=None, compare=False, repr=False)
    logits: Floats | None = field(default=None, compare=False, repr=False)
    top_logits: Floats | None = field(default=None, compare=False, repr=False)
    top_tokens: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_answer(cls, answer: tuple[Any, ...]) -> Hypothesis:
        """Make one from what a backend gives: tokens, score, finished, and a dictionary of arrays or nothing."""
        return cls(*answer[:3], **(answer[3] if len(answer) > 3 else {}))

    @property
    def steps(self) -> int:
        """The step in which it ended, counted from 1: how many tokens it has, the end token included."""
        return len(self.tokens) + self.finished

    @property
    def alignment(self) -> list[int]:
        """For each token the source position with the largest weight, the end token left out.

        Raises
        ------
        ValueError
            Without ``return_attention=True``, or for a source without tokens.

        Examples
        --------
        >>> weights = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], np.float32)
        >>> Hypothesis([5, 9], -0.5, True, attention=weights).alignment
        [0, 1]
        """
        if self.attention is None:
            raise ValueError("the hypothesis has no attention; search with return_attention=True")
        if self.tokens and self.attention.shape[1] == 0:
            raise ValueError("the source has no tokens; nothing can be aligned with it")
        return [int(position) for position in self.attention[: len(self.tokens)].argmax(axis=1)] if self.tokens else []


class Hypotheses(list[Hypothesis]):
    """The hypotheses of one sentence, best first.

    Attributes
    ----------
    trace : SearchTrace or None
        How the search came to them, with ``return_trace=True``.
    """

    def __init__(self, hypotheses: Iterable[Hypothesis] = (), trace: SearchTrace | None = None) -> None:
        super().__init__(hypotheses)
        self.trace = trace

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        labels: Sequence[str] | None = None,
        end: str = "end",
        title: str = "",
    ) -> Any:
        """Draw the beam: a column for each step, a box for each kept sequence, the best hypothesis in bold.

        Needs matplotlib (``pip install 'fastseq-cpu[plot]'``) and no display.

        Parameters
        ----------
        path : str or path, optional
            Where the picture is written; its ending says which format (svg, png, pdf).
        labels : sequence of str, optional
            What each token is called; its number by default.
        end : str, default "end"
            What the end token is called.
        title : str, optional

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the search kept no trace.
        """
        from fastseq.search.plot import draw_beam

        if self.trace is None:
            raise ValueError("the hypotheses have no trace; search with return_trace=True")
        return draw_beam(self.trace, self[0].tokens, path, labels, end, title)


@dataclass(frozen=True)
class Generation:
    """All that was generated for one sentence.

    Attributes
    ----------
    hypotheses : Hypotheses
        A list, best first; at least one and at most `num_return_sequences`.

    Examples
    --------
    >>> Generation([Hypothesis([5, 9], -0.5, True), Hypothesis([5], -0.75, True)]).tokens
    [5, 9]
    """

    hypotheses: list[Hypothesis]

    def __post_init__(self) -> None:
        if not isinstance(self.hypotheses, Hypotheses):
            object.__setattr__(self, "hypotheses", Hypotheses(self.hypotheses))

    @classmethod
    def from_answers(cls, answers: Sequence[tuple[Any, ...]], trace: SearchTrace | None = None) -> Generation:
        """Make one from what a backend gives for a sentence; a search stopped before it began gives nothing."""
        hypotheses = [Hypothesis.from_answer(answer) for answer in answers] or [Hypothesis([], 0.0, False)]
        return cls(Hypotheses(hypotheses, trace))

    @property
    def tokens(self) -> list[int]:
        """Tokens of the best hypothesis."""
        return self.hypotheses[0].tokens

    @property
    def score(self) -> float:
        """Score of the best hypothesis."""
        return self.hypotheses[0].score

    @property
    def finished(self) -> bool:
        """Whether the best hypothesis ended with an end token."""
        return self.hypotheses[0].finished

    @property
    def trace(self) -> SearchTrace | None:
        """How the search came to the hypotheses, with ``return_trace=True``."""
        return self.hypotheses.trace if isinstance(self.hypotheses, Hypotheses) else None
