"""Small joint n-grams: random ones, and what they say by the definition."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseq.models import JointNgram, JointNgramConfig
from fastseq.text import Vocabulary

START, END = 0, 1
LETTERS, PHONEMES = "abcd", ["AA", "B", "K"]


@dataclass
class Table:
    """N-grams by their units, oldest first: log-probability, log back-off weight."""

    units: list[tuple[int, tuple[int, ...]]]
    ngrams: dict[tuple[int, ...], list[float]]

    def tensors(self) -> dict[str, np.ndarray[Any, Any]]:
        """What a folder stores."""
        width = max(len(targets) for _, targets in self.units)
        level, nodes, children = [()], [()], []
        while level:
            following = []
            for ngram in level:
                own = sorted(other for other in self.ngrams if other[:-1] == ngram and len(other) == len(ngram) + 1)
                children.append(len(own))
                following += own
            nodes += following
            level = following
        values = np.float32([[0.0, 0.0]] + [self.ngrams[node] for node in nodes[1:]])
        tables, indices = zip(*(np.unique(column, return_inverse=True) for column in values.T), strict=True)
        return {
            "units.source": np.int32([source for source, _ in self.units]),
            "units.targets": np.int32([[*targets, *[-1] * (width - len(targets))] for _, targets in self.units]),
            "nodes.unit": np.uint16([node[-1] if node else 0 for node in nodes]),
            "nodes.num_children": np.uint16(children),
            "nodes.log_prob": indices[0].astype(np.uint16),
            "nodes.backoff": indices[1].astype(np.uint16),
            "log_probs": tables[0],
            "backoffs": tables[1],
        }

    def model(self, backend: str | None = None) -> JointNgram:
        """The model, with a vocabulary."""
        config = JointNgramConfig(source_vocab_size=len(LETTERS), target_vocab_size=len(PHONEMES))
        return JointNgram(config, self.tensors(), Vocabulary(list(LETTERS), PHONEMES), backend)

    def log_prob(self, unit: int, context: tuple[int, ...]) -> float:
        """log p(unit | context), by the definition of backing off."""
        if (*context, unit) in self.ngrams:
            return self.ngrams[(*context, unit)][0]
        backoff = self.ngrams[context][1] if context in self.ngrams else 0.0
        return backoff + self.log_prob(unit, context[1:])

    def score(self, source: list[int], target: list[int]) -> float:
        """The log of the sum over all divisions, one after the other."""
        total = 0.0
        choices = [[u for u, (letter, _) in enumerate(self.units) if letter == token] for token in source]
        for division in itertools.product(*choices):
            if [t for unit in division for t in self.units[unit][1]] == target:
                sequence = [START, *division, END]
                steps = (self.log_prob(sequence[i], tuple(sequence[:i])) for i in range(1, len(sequence)))
                total += math.exp(math.fsum(steps))
        return math.log(total) if total else -math.inf


def random_table(seed: int, order: int = 4, ngrams: int = 60) -> Table:
    """Units of up to two phonemes, all unigrams, and some longer n-grams whose beginnings are there too."""
    rng = np.random.default_rng(seed)
    pool = [(), (0,), (1,), (2,), (0, 1), (1, 2)]
    units = [(-1, ()), (-1, ())]
    for letter in range(len(LETTERS) - 1):  # the last letter has none
        units += [(letter, pool[i]) for i in sorted(rng.choice(len(pool), rng.integers(1, 5), replace=False))]
    found: dict[tuple[int, ...], list[float]] = {(unit,): [] for unit in range(len(units))}
    for _ in range(ngrams):
        ngram = (int(rng.integers(2, len(units))) if rng.random() < 0.8 else START,)
        while len(ngram) < order and rng.random() < 0.8:
            ngram += (int(rng.integers(1, len(units))),)
            found.setdefault(ngram, [])
            if ngram[-1] == END:
                break
    with_children = {ngram[:-1] for ngram in found}
    for ngram in found:
        backoff = -float(np.float32(rng.random())) if ngram in with_children else 0.0
        found[ngram] = [-float(np.float32(0.1 + 3 * rng.random())), backoff]
    return Table(units, found)


def random_pairs(seed: int, count: int = 12) -> tuple[list[list[int]], list[list[int]]]:
    """Words and pronunciations, empty ones among them; some cannot be divided."""
    rng = np.random.default_rng(seed)
    sources = [rng.integers(0, len(LETTERS) - (i % 5 > 0), i % 6).tolist() for i in range(count)]
    targets = [rng.integers(0, len(PHONEMES), max(0, len(s) + int(rng.integers(-1, 2)))).tolist() for s in sources]
    return sources, targets
