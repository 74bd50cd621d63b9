"""Decoding along given targets: the same bits in any batch, in parts, on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import fastseq
from tiny_models import MODEL_CONFIGS, random_model

SOURCES = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 1], [2, 2, 2], [3, 1]]


@pytest.mark.parametrize("name", MODEL_CONFIGS)
def test_teacher_forcing_has_the_same_bits(name: str) -> None:
    model = random_model(MODEL_CONFIGS[name], "native")
    targets = [[1, 5, 6, 7], [1], [1, 3, 3], [1, 12, 11, 10, 9, 8], [1, 4]]
    together, attention = model.decode(SOURCES, targets), model.attention(SOURCES, [t[1:] for t in targets])
    for b, (source, target) in enumerate(zip(SOURCES, targets, strict=True)):
        np.testing.assert_array_equal(model.decode([source], [target])[0], together[b], strict=True)
        np.testing.assert_array_equal(model.attention([source], [target[1:]])[0], attention[b], strict=True)


@pytest.mark.parametrize("name", MODEL_CONFIGS)
def test_teacher_forcing_of_many_in_parts(name: str) -> None:
    """More sentences than are decoded together, on any number of threads, come back in their own order."""
    model = random_model(MODEL_CONFIGS[name], "native")
    generator = np.random.default_rng(6)
    sources = [generator.integers(1, 11, n).tolist() for n in generator.integers(1, 12, 300)]
    targets = [[1, *generator.integers(3, 13, n).tolist()] for n in generator.integers(0, 12, 300)]
    alone = [model.decode([source], [target])[0] for source, target in zip(sources, targets, strict=True)]
    looks = [model.attention([source], [target[1:]])[0] for source, target in zip(sources, targets, strict=True)]
    threads = fastseq.get_num_threads()
    try:
        for count in (1, 3):
            fastseq.set_num_threads(count)
            for mine, expected in (
                (model.decode(sources, targets), alone),
                (model.attention(sources, [target[1:] for target in targets]), looks),
            ):
                for row, wanted in zip(mine, expected, strict=True):
                    np.testing.assert_array_equal(row, wanted, strict=True)
    finally:
        fastseq.set_num_threads(threads)
