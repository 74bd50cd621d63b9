"""Pronunciations without their stress marks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from fastseq.search import Hypothesis

__all__ = ["merge_stress", "without_stress"]


def without_stress(phonemes: Iterable[str]) -> tuple[str, ...]:
    """Drop the stress digits of ARPABET vowels.

    Parameters
    ----------
    phonemes : iterable of str

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> without_stress(["HH", "AH0", "L", "OW1"])
    ('HH', 'AH', 'L', 'OW')
    """
    return tuple(phoneme.rstrip("012") for phoneme in phonemes)


def merge_stress(
    hypotheses: Sequence[Hypothesis], pronunciations: Sequence[list[str]], length_penalty: float
) -> list[tuple[list[str], float]]:
    """Make one pronunciation of those that differ in stress only: its probability is the sum of theirs.

    Parameters
    ----------
    hypotheses : sequence of Hypothesis
        Of one word, with `token_log_probs`.
    pronunciations : sequence of list of str
        Phonemes of each, with stress.
    length_penalty : float
        The log of the sum is divided by the number of phonemes and the end, to this power, as in the search.

    Returns
    -------
    list of (list of str, float)
        Phonemes without stress and score, best first.

    Examples
    --------
    >>> log_probs = [np.float32([-0.9, -0.1]), np.float32([-1.5, 0.0])]
    >>> found = [Hypothesis([id], 0.0, True, token_log_probs=row) for id, row in zip((7, 8), log_probs)]
    >>> [(phonemes, score)] = merge_stress(found, [["AH0"], ["AH1"]], length_penalty=0.0)
    >>> phonemes, round(score, 4), round(math.log(math.exp(-1.0) + math.exp(-1.5)), 4)
    (['AH'], -0.5259, -0.5259)
    """
    different = {tuple(phonemes): hypothesis for phonemes, hypothesis in zip(pronunciations, hypotheses, strict=True)}
    log_probs: dict[tuple[str, ...], list[float]] = {}
    steps: dict[tuple[str, ...], int] = {}
    for phonemes, hypothesis in different.items():
        if hypothesis.token_log_probs is None:
            raise ValueError("hypotheses have no token_log_probs; generate with return_token_log_probs=True")
        plain = without_stress(phonemes)
        log_probs.setdefault(plain, []).append(math.fsum(hypothesis.token_log_probs))
        steps[plain] = len(hypothesis.token_log_probs)
    merged = [
        (list(plain), float(np.logaddexp.reduce(terms)) / steps[plain] ** length_penalty)
        for plain, terms in log_probs.items()
    ]
    return sorted(merged, key=lambda pair: -pair[1])
