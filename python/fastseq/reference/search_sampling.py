"""Sampling: which tokens stay in the draw, and random numbers that depend on what they are for and on nothing else."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.search_processors import Options, Processor, Row
from fastseq.reference.softmax import log_softmax

__all__ = ["draw", "gumbel", "make_samplers", "uniform"]

Array: TypeAlias = NDArray[Any]


def _mix(z: Array) -> Array:
    with np.errstate(over="ignore"):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = z ^ (z >> np.uint64(31))
    return mixed


def uniform(seed: int, stream: int, step: int, draws: Array) -> Array:
    """Return a number in (0, 1) for each of `draws`: a counter-based generator (the finaliser of SplitMix64)."""
    bits = _mix(np.array([seed], np.uint64))
    for number in (np.uint64(stream), np.uint64(step), draws.astype(np.uint64)):
        bits = _mix(bits ^ number)
    numbers: Array = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return numbers


def gumbel(seed: int, stream: int, step: int, draws: Array) -> Array:
    """Return Gumbel noise: the largest of scores + noise is a draw from their softmax."""
    noise: Array = -np.log(-np.log(uniform(seed, stream, step, draws)))
    return noise


def draw(scores: Array, number: float) -> int:
    """Return the token of softmax(scores) at `number` of its cumulative distribution; some score is above -inf."""
    possible = np.flatnonzero(scores > -np.inf)
    cumulative = np.cumsum(_softmax(scores[possible]))
    at = int(np.searchsorted(cumulative, number, side="right"))
    return int(possible[min(at, len(possible) - 1)])


def make_samplers(options: Options) -> list[Processor]:
    """Return what draws and renormalises, as far as it is asked for: the warpers in the order of transformers."""
    samplers: list[Processor] = []
    if options["do_sample"]:
        # Beams need something to go on with beside end tokens.
        least = 1 + len(options["eos_ids"]) if options["num_beams"] > 1 else 1

        def sample(scores: Array, row: Row) -> None:
            scores /= scores.dtype.type(options["temperature"])
            if options["top_h"] > 0.0:
                _keep_top_h(scores, options["top_h"])
            if options["top_k"] > 0:
                _keep_top_k(scores, max(options["top_k"], least))
            for value, keep in ((options["top_p"], _keep_top_p), (options["typical_p"], _keep_typical)):
                if keep is _keep_typical and options["min_p"] > 0.0:
                    _keep_min_p(scores, options["min_p"], least)
                if value < 1.0:
                    keep(scores, value, least)
            if options["epsilon_cutoff"] > 0.0:
                _keep_above(scores, options["epsilon_cutoff"], least)
            if options["eta_cutoff"] > 0.0:
                eta, entropy = options["eta_cutoff"], _surprises(_softmax(scores[scores > -np.inf])).sum()
                _keep_above(scores, min(eta, np.sqrt(eta) * np.exp(-entropy)), least)

        samplers.append(sample)
    if options["renormalize_logits"]:
        samplers.append(_renormalise)
    return samplers


def _renormalise(scores: Array, row: Row) -> None:
    if scores.max() > -np.inf:
        scores[:] = log_softmax(scores[None])[0]


def _softmax(scores: Array) -> Array:
    terms = np.exp(scores.astype(np.float64) - scores.max())
    probabilities: Array = terms / terms.sum()
    return probabilities


def _surprises(p: Array) -> Array:
    """Return what each token adds to the entropy."""
    terms: Array = np.where(p > 0.0, -p * np.log(np.where(p > 0.0, p, 1.0)), 0.0)
    return terms


def _keep_top_h(scores: Array, top_h: float) -> None:
    """Keep the best while their share of the entropy of the 100 best is at most top_h (Potraghloo et al., 2025)."""
    possible = np.flatnonzero(scores > -np.inf)
    order = possible[np.argsort(-scores[possible], kind="stable")]
    terms = _surprises(_softmax(scores[order[:100]]))
    kept = np.cumsum(terms) <= top_h * terms.sum()
    kept[0] = True
    scores[order[: len(kept)][~kept]] = -np.inf
    scores[order[len(kept) :]] = -np.inf


def _keep_above(scores: Array, least_probable: float, least: int) -> None:
    """Keep those of at least this probability (Hewitt et al., 2022), and those as good as the last that has to stay."""
    possible = np.flatnonzero(scores > -np.inf)
    p = _softmax(scores[possible])
    rank = min(least, len(p))
    scores[possible[(p < least_probable) & (p < np.partition(p, len(p) - rank)[len(p) - rank])]] = -np.inf


def _keep_top_k(scores: Array, k: int) -> None:
    """Keep those at least as good as the k-th best."""
    if k < len(scores):
        scores[scores < np.partition(scores, len(scores) - k)[len(scores) - k]] = -np.inf


def _keep_top_p(scores: Array, top_p: float, least: int) -> None:
    """Keep the most probable ones that make up top_p of the probability."""
    possible = np.flatnonzero(scores > -np.inf)
    p = _softmax(scores[possible])
    order = np.argsort(p, kind="stable")
    removed = np.cumsum(p[order]) <= 1.0 - top_p
    removed[max(0, len(order) - least) :] = False
    scores[possible[order[removed]]] = -np.inf


def _keep_min_p(scores: Array, min_p: float, least: int) -> None:
    """Keep those at least min_p times as probable as the best."""
    possible = np.flatnonzero(scores > -np.inf)
    p = _softmax(scores[possible])
    order = np.argsort(p, kind="stable")
    removed = p[order] < min_p * p.max()
    removed[max(0, len(order) - least) :] = False
    scores[possible[order[removed]]] = -np.inf


def _keep_typical(scores: Array, typical_p: float, least: int) -> None:
    """Keep those whose surprise is nearest to the expected one, making up typical_p (Meister et al., 2023)."""
    possible = np.flatnonzero(scores > -np.inf)
    p = _softmax(scores[possible])
    with np.errstate(divide="ignore"):
        distance = np.abs(-np.log(p) - _surprises(p).sum())
    order = np.argsort(distance, kind="stable")
    last = min(int((np.cumsum(p[order]) < typical_p).sum()), len(order) - 1)
    removed = distance[order] > distance[order[last]]
    removed[:least] = False
    scores[possible[order[removed]]] = -np.inf
