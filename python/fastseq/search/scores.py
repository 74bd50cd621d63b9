"""How probable given targets are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["TargetScores"]

Doubles: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TargetScores:
    """Scores of B targets; NumPy takes it for the array of its `scores`.

    Attributes
    ----------
    token_log_probs : list of (T + 1,) float32 arrays
        Natural logarithms of the probability of each token and of the end token.
    length_penalty : float
        The scores' sums are divided by the number of tokens, the end token counted, to this power.

    Examples
    --------
    >>> scores = TargetScores([np.log(np.array([0.5, 0.25], np.float32))], 0.0)
    >>> [round(float(value), 4) for value in (scores[0], scores.perplexity[0])]
    [-2.0794, 2.8284]
    """

    token_log_probs: list[NDArray[np.float32]]
    length_penalty: float = 1.0

    @classmethod
    def from_flat(cls, log_probs: NDArray[np.float32], offsets: NDArray[np.int64], penalty: float) -> TargetScores:
        """Cut the tokens of all targets, end to end, at the offsets (B + 1,)."""
        return cls([log_probs[begin:end] for begin, end in itertools.pairwise(offsets)], penalty)

    @property
    def sums(self) -> Doubles:
        """Log-probability of each target, (B,)."""
        # fsum is exact: the order of the terms does not matter.
        return np.array([math.fsum(row) for row in self.token_log_probs], np.float64)

    @property
    def scores(self) -> Doubles:
        """The score that a search would give each target, (B,)."""
        lengths = np.array([len(row) for row in self.token_log_probs], np.float64)
        scores: Doubles = self.sums / lengths**self.length_penalty
        return scores

    @property
    def perplexity(self) -> Doubles:
        """exp(-mean log-probability of a token) of each target, (B,)."""
        perplexity: Doubles = np.exp(-self.sums / np.array([len(row) for row in self.token_log_probs], np.float64))
        return perplexity

    @property
    def corpus_perplexity(self) -> float:
        """exp(-mean log-probability of a token) over all targets; NaN for none."""
        tokens = sum(len(row) for row in self.token_log_probs)
        return math.exp(-math.fsum(self.sums) / tokens) if tokens else math.nan

    @property
    def shape(self) -> tuple[int]:
        """(B,)."""
        return (len(self.token_log_probs),)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.scores, dtype)

    def __len__(self) -> int:
        return len(self.token_log_probs)

    def __getitem__(self, index: Any) -> Any:
        return self.scores[index]

    def __iter__(self) -> Iterator[float]:
        return iter(self.scores.tolist())
