"""The joint-sequence n-gram (Bisani and Ney, 2008)."""

from __future__ import annotations

import itertools
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["JointNgram"]

Array: TypeAlias = NDArray[Any]
Context: TypeAlias = tuple[int, ...]

_ROOT, _START, _END = 0, 0, 1


class JointNgram:
    """log sum over divisions of prod_i p(unit_i | the units before it), the last of which is the end.

    Parameters
    ----------
    source_vocab_size, target_vocab_size : int
    unit_sources : (U,) int
        The source token of each unit; -1 for the first two, the start and the end of a sequence.
    unit_targets : (U, W) int
        Its target tokens, then -1.
    units, num_children : (M,) int
        The n-grams as the nodes of a trie, breadth-first from the root: the last unit of each, and how many n-grams go
        on from it. They lie together, behind those of the nodes before, by rising unit.
    log_probs, backoffs : (M,) float
        log p of the last unit after those before it; log of what p(unit | context without its oldest unit) is taken
        times where a context has no such n-gram.

    Raises
    ------
    ValueError
        If this is no trie, or numbers are out of range.
    """

    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        unit_sources: Array,
        unit_targets: Array,
        units: Array,
        num_children: Array,
        log_probs: Array,
        backoffs: Array,
    ) -> None:
        _check_units(source_vocab_size, target_vocab_size, unit_sources, unit_targets)
        first = 1 + np.concatenate(([0], np.cumsum(num_children)))
        _check_nodes(len(unit_sources), units, num_children, first, log_probs, backoffs)
        self._units, self._first = units, first
        self._log_probs, self._backoffs = log_probs, backoffs
        self._of_source: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
        for unit, (source, row) in enumerate(zip(unit_sources.tolist(), unit_targets.tolist(), strict=True)):
            self._of_source.setdefault(source, []).append((unit, tuple(target for target in row if target >= 0)))
        self._steps: dict[tuple[Context, int], tuple[Context, float]] = {}

    def score(self, ids: Array, offsets: Array, target_ids: Array, target_offsets: Array) -> Array:
        """Return the log-probability of each pair, (B,); -inf where it cannot be divided into units."""
        sources = [ids[begin:end].tolist() for begin, end in itertools.pairwise(offsets)]
        targets = [tuple(target_ids[begin:end].tolist()) for begin, end in itertools.pairwise(target_offsets)]
        return np.array([self._score(*pair) for pair in zip(sources, targets, strict=True)], self._log_probs.dtype)

    def _score(self, source: list[int], target: tuple[int, ...]) -> float:
        # places[j]: what has read the source up to now and the first j targets, by the context it leaves
        places: dict[int, dict[Context, float]] = {0: {self._known((_START,)): 0.0}}
        for token in source:
            following: dict[int, dict[Context, float]] = {}
            for j, partials in places.items():
                for unit, targets in self._of_source.get(token, []):
                    if target[j : j + len(targets)] != targets:
                        continue
                    to = following.setdefault(j + len(targets), {})
                    for context, log_prob in partials.items():
                        known, step = self._step(context, unit)
                        to[known] = float(np.logaddexp(to.get(known, -np.inf), log_prob + step))
            places = following
        ends = [log_prob + self._step(context, _END)[1] for context, log_prob in places.get(len(target), {}).items()]
        return float(np.logaddexp.reduce(ends)) if ends else -np.inf

    def _step(self, context: Context, unit: int) -> tuple[Context, float]:
        """The context after a unit, as far back as the trie knows it, and log p(unit | context)."""
        if (context, unit) not in self._steps:
            log_prob, shorter = 0.0, context
            while (node := self._find((*shorter, unit))) is None:
                before = self._find(shorter)
                log_prob += 0.0 if before is None else float(self._backoffs[before])
                shorter = shorter[1:]
            self._steps[context, unit] = self._known((*shorter, unit)), log_prob + float(self._log_probs[node])
        return self._steps[context, unit]

    def _known(self, context: Context) -> Context:
        """The longest suffix that n-grams go on from: older units make no difference to what follows."""
        while context:
            node = self._find(context)
            if node is not None and self._first[node + 1] > self._first[node]:
                break
            context = context[1:]
        return context

    def _find(self, ngram: Context) -> int | None:
        """The node of an n-gram."""
        node = _ROOT
        for unit in ngram:
            begin, end = self._first[node], self._first[node + 1]
            node = int(begin + np.searchsorted(self._units[begin:end], unit))
            if node == end or self._units[node] != unit:
                return None
        return node


def _check_units(source_vocab_size: int, target_vocab_size: int, sources: Array, targets: Array) -> None:
    if len(sources) < 2:
        raise ValueError(f"there are {len(sources)} units; expected start, end, and others")
    edge = np.arange(len(sources)) < 2
    if (wrong := (sources != -1) & edge | ((sources < 0) | (sources >= source_vocab_size)) & ~edge).any():
        unit = int(wrong.argmax())
        wanted = "-1" if unit < 2 else "an id of the vocabulary"
        raise ValueError(f"unit {unit} has source {sources[unit]}; expected {wanted}")
    given = targets != -1
    if (late := ((given[:, 1:] & ~given[:, :-1]).any(axis=1)) | (given.any(axis=1) & edge)).any():
        raise ValueError(f"unit {int(late.argmax())} has targets behind its last one")
    if (wrong := given & ((targets < 0) | (targets >= target_vocab_size))).any():
        unit, place = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"unit {unit} has target {targets[unit, place]}; expected an id of the vocabulary")


def _check_nodes(
    num_units: int, units: Array, num_children: Array, first: Array, log_probs: Array, backoffs: Array
) -> None:
    count = len(units)
    if count == 0:
        raise ValueError("the n-grams need a root, and as many numbers of each kind as nodes")
    order = np.arange(count)
    no_trie = (num_children < 0) | ((num_children > 0) & (first[:-1] <= order)) | (first[1:] > count)
    if no_trie.any():
        node = int(no_trie.argmax())
        raise ValueError(f"node {node} of the n-grams has {num_children[node]} children, which is no trie of {count}")
    if first[-1] != count:
        raise ValueError(f"the n-grams have {count} nodes; their numbers of children say {first[-1]}")
    parent = np.concatenate(([-1], np.repeat(order, num_children)))
    siblings = np.concatenate(([False], parent[1:] == parent[:-1]))
    problems = {
        f"has a unit that is not below {num_units}": ((units < 0) | (units >= num_units)) & (order > 0),
        "does not come after its sibling by its unit": siblings & (np.diff(units, prepend=-1) <= 0),
        "has the start behind another unit": (units == _START) & (parent > 0),
        "has no log-probability": ~((log_probs <= 0) & np.isfinite(log_probs)),
        "has a back-off weight that is not finite, or no children to back off from": ~np.isfinite(backoffs)
        | ((num_children == 0) & (backoffs != 0)),
    }
    for problem, where in problems.items():
        if where.any():
            raise ValueError(f"node {int(where.argmax())} of the n-grams {problem}")
    missing = np.setdiff1d(np.arange(1, num_units), units[first[0] : first[1]])
    if len(missing):
        raise ValueError(f"unit {missing[0]} has no probability of its own")
