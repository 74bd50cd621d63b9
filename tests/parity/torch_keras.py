"""Keras on its PyTorch backend, layers with weights that all matter, and how their outputs are compared."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
pytest.importorskip("h5py")

RNG = np.random.default_rng(5)


def randomise(layer: Any) -> Any:
    """Weights and biases that all matter."""
    layer.set_weights([RNG.uniform(-0.7, 0.7, array.shape) for array in layer.get_weights()])
    return layer


def built(layer: Any, *arguments: Any, **options: Any) -> Any:
    layer(*arguments, **options)
    return randomise(layer)


def assert_same(actual: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert actual.keys() == expected.keys()
        actual, expected = list(actual.values()), list(expected.values())
    if isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_same(one, other)
        return
    np.testing.assert_allclose(actual, np.asarray(keras.ops.convert_to_numpy(expected)), rtol=0, atol=1e-5)
