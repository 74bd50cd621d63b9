"""Comparing stored tensors with each other."""

from __future__ import annotations

import numpy as np
import pytest

from fastseq.weights import stored
from fastseq.weights.stored import StoredTensor, place_tensor


def tensor(numbers: str, array: np.ndarray, shape: tuple[int, ...] | None = None) -> StoredTensor:
    content = array.tobytes()
    return place_tensor(numbers, array.shape if shape is None else shape, None, content, (0, len(content)))


def test_equal_numbers_whatever_they_are_stored_as(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_COMPARED", 5)  # rows are compared two by two, then one
    array = np.arange(10, dtype=np.float32).reshape(5, 2)
    one = tensor("F32", array)
    assert one.equals(one)
    assert one.equals(tensor("F32", array))
    assert one.equals(tensor("F16", array.astype(np.float16)))
    turned = place_tensor("F32", (5, 2), (1, 5), np.ascontiguousarray(array.T).tobytes(), (0, 40))
    assert one.equals(turned)
    for row in range(5):
        other = array.copy()
        other[row, 1] += 1
        assert not one.equals(tensor("F32", other))


def test_shapes_count() -> None:
    array = np.zeros(6, np.float32)
    assert not tensor("F32", array).equals(tensor("F32", array, (2, 3)))
    assert tensor("F32", array[:1], ()).equals(tensor("F32", array[:1], ()))
    assert tensor("F32", array[:0], (0, 3)).equals(tensor("F32", array[:0], (0, 3)))
    assert not tensor("F32", array[:0], (0, 3)).equals(tensor("F32", array[:0], (3, 0)))
