"""Models as objects: copies, pickles, and large batches in parts."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

import fastseq
from conftest import needs_native
from fastseq.models import ragged
from packed_models import MODELS, answers
from tiny_models import random_model, recurrent_config


@needs_native
@pytest.mark.parametrize(
    "name",
    [
        "recurrent",
        "deep with norms",
        "transformer",
        "bert",
        "bert classifier",
        "bert tokens",
        "encoder-decoder answers",
    ],
)
def test_encoders_give_the_same_in_parts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS[name](tmp_path, "float32")
    whole = answers(model)
    monkeypatch.setattr(ragged, "_PART_TOKENS", 3)
    for part, array in zip(answers(model), whole, strict=True):
        assert np.array_equal(part, array)


def test_parts_hold_all_sequences_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ragged, "_PART_TOKENS", 4)
    lengths = [0, 3, 1, 0, 9, 0, 0, 2, 2, 1, 0]
    offsets = np.cumsum([0, *lengths])
    parts = [(part, bounds.tolist()) for part, bounds in ragged.in_parts(offsets)]
    assert [part for part, _ in parts] == [slice(0, 4), slice(4, 13), slice(13, 17), slice(17, 18)]
    assert [bounds for _, bounds in parts] == [[0, 0, 3, 4, 4], [0, 9], [0, 0, 0, 2, 4], [0, 1, 1]]
    assert list(ragged.in_parts(offsets[:1])) == []


def test_a_model_is_its_own_copy_and_is_not_pickled(backend: str) -> None:
    model = random_model(recurrent_config(), backend)
    ensemble = fastseq.Ensemble([model, model])
    for one in (model, ensemble):
        assert copy.copy(one) is one
        assert copy.deepcopy({"model": one})["model"] is one
        with pytest.raises(TypeError, match=rf"{type(one).__name__} cannot be pickled; load it in each process"):
            pickle.dumps(one)
