"""Another order for the hypotheses of a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from fastseq.search.result import Generation, Hypotheses

__all__ = ["Scorer", "rerank"]

Scorer: TypeAlias = Callable[[int, list[list[int]]], Any]


def rerank(
    generations: Sequence[Generation], scorers: Sequence[Scorer], weights: Sequence[float] | None = None
) -> list[Generation]:
    """Order hypotheses by the weighted sum of their own score and those of other judges.

    Parameters
    ----------
    generations : sequence of Generation
        With several hypotheses each: ``num_return_sequences`` of the search.
    scorers : sequence of callables
        ``scorer(sentence, targets) -> scores``: the index of the sentence and the token lists of its hypotheses; a
        number for each, larger is better. Another model's `score`, a language model, the length.
    weights : sequence of float, optional
        Of the search's own score and of each scorer; 1 each by default.

    Returns
    -------
    list of Generation
        The same hypotheses with the sums as scores, best first; of equal ones the first stays first.

    Raises
    ------
    ValueError
        If the numbers of weights or scores are wrong, or a score is NaN; the message names the scorer.

    Examples
    --------
    >>> from fastseq import Generation, Hypothesis
    >>> found = [Generation([Hypothesis([5], -0.5, True), Hypothesis([5, 9], -0.75, True)])]
    >>> longer = lambda sentence, targets: [len(tokens) for tokens in targets]
    >>> [h.tokens for h in rerank(found, [longer], weights=[1.0, 0.5])[0].hypotheses]
    [[5, 9], [5]]
    """
    factors = [1.0] * (1 + len(scorers)) if weights is None else [float(weight) for weight in weights]
    if len(factors) != 1 + len(scorers):
        raise ValueError(
            f"weights has {len(factors)} numbers; expected {1 + len(scorers)}: of the search and of each scorer"
        )
    return [_reranked(sentence, found, scorers, factors) for sentence, found in enumerate(generations)]


def _reranked(sentence: int, found: Generation, scorers: Sequence[Scorer], factors: list[float]) -> Generation:
    hypotheses = found.hypotheses
    totals = factors[0] * np.array([hypothesis.score for hypothesis in hypotheses], np.float64)
    for index, (scorer, factor) in enumerate(zip(scorers, factors[1:], strict=True)):
        scores = np.asarray(scorer(sentence, [list(hypothesis.tokens) for hypothesis in hypotheses]), np.float64)
        if scores.shape != totals.shape:
            raise ValueError(
                f"scorers[{index}] returned shape {scores.shape} for sentence {sentence}; expected {totals.shape}, a "
                "number for each hypothesis"
            )
        if np.isnan(scores).any():
            raise ValueError(f"scorers[{index}] returned NaN for sentence {sentence}")
        totals = totals + factor * scores
    order = np.argsort(-totals, kind="stable")
    return Generation(Hypotheses([replace(hypotheses[i], score=float(totals[i])) for i in order], found.trace))
