"""What a search gives back."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Generation", "Hypothesis"]


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

    Examples
    --------
    >>> Hypothesis(tokens=[5, 9], score=-0.5, finished=True).tokens
    [5, 9]
    """

    tokens: list[int]
    score: float
    finished: bool


@dataclass(frozen=True)
class Generation:
    """All that was generated for one sentence.

    Attributes
    ----------
    hypotheses : list of Hypothesis
        Best first; at least one and at most `num_return_sequences`.

    Examples
    --------
    >>> Generation([Hypothesis([5, 9], -0.5, True), Hypothesis([5], -0.75, True)]).tokens
    [5, 9]
    """

    hypotheses: list[Hypothesis]

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
