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
        Of one word, best first.
    pronunciations : sequence of list of str
        Phonemes of each, with stress.
    length_penalty : float
        A score is a log-probability divided by the number of phonemes and the end, to this power.

    Returns
    -------
    list of (list of str, float)
        Phonemes without stress and score, best first.

    Examples
    --------
    >>> found = [Hypothesis([7], -1.0, True), Hypothesis([8], -1.5, True)]
    >>> [(phonemes, score)] = merge_stress(found, [["AH0"], ["AH1"]], length_penalty=0.0)
    >>> phonemes, round(score, 4), round(math.log(math.exp(-1.0) + math.exp(-1.5)), 4)
    (['AH'], -0.5259, -0.5259)
    """
    different: dict[tuple[str, ...], Hypothesis] = {}
    for phonemes, hypothesis in zip(pronunciations, hypotheses, strict=True):
        different.setdefault(tuple(phonemes), hypothesis)
    groups: dict[tuple[str, ...], list[Hypothesis]] = {}
    for with_stress, hypothesis in different.items():
        groups.setdefault(without_stress(with_stress), []).append(hypothesis)
    merged = []
    for plain, group in groups.items():
        length = math.pow(group[0].steps, length_penalty)
        merged.append((list(plain), float(np.logaddexp.reduce([h.score * length for h in group])) / length))
    return sorted(merged, key=lambda pair: -pair[1])
