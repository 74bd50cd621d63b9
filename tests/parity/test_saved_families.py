"""Models of published families, saved in the form they compute with: the same bits after loading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from conftest import needs_native
from fastseq import _backend

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import test_family_encoders  # noqa: E402
import test_family_gpt2  # noqa: E402
import test_family_seq2seq  # noqa: E402
import torch  # noqa: E402
from torch_families import batches, randomise, save  # noqa: E402

pytestmark = needs_native


@pytest.fixture(autouse=True)
def native() -> Iterator[None]:
    """What saves is the native backend, whatever the default is."""
    with _backend.use_backend("native"):
        yield


TYPES = ["float32", "bfloat16", "int8"]
ROWS = batches(70, [7, 1, 19, 4], 1)


def published(cls: str, config: str, values: dict[str, Any], folder: Path) -> Path:
    torch.manual_seed(0)
    model = getattr(transformers, cls)(getattr(transformers, config)(**values))
    return save(randomise(model, seed=2), folder)


def assert_saved_is_the_same(folder: Path, saved: Path) -> None:
    for compute_type in TYPES:
        model = fastseq.load_model(folder, compute_type)
        model.save_pretrained(saved / compute_type)
        loaded = fastseq.load_model(saved / compute_type)
        assert (loaded.config, loaded.compute_type) == (model.config, compute_type)
        assert loaded.generation_config == model.generation_config
        for one, other in zip(numbers(model), numbers(loaded), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
        if model.generation_config is not None:
            options = {"num_beams": 3, "max_new_tokens": 8}
            assert model.generate(ROWS, **options) == loaded.generate(ROWS, **options)


def numbers(model: Any) -> list[Any]:
    if hasattr(model, "decode"):
        return [*model.encode(ROWS), *model.decode(ROWS, ROWS[::-1])]
    return list(model.encode(ROWS) if model.task == "feature-extraction" else model.logits(ROWS))


@pytest.mark.parametrize("name", test_family_seq2seq.CASES)
def test_encoder_decoders(name: str, tmp_path: Path) -> None:
    family, values = test_family_seq2seq.CASES[name]
    cls = "MarianMTModel" if family == "Marian" else f"{family}ForConditionalGeneration"
    assert_saved_is_the_same(published(cls, f"{family}Config", values, tmp_path / "hf"), tmp_path)


@pytest.mark.parametrize("name", test_family_encoders.CASES)
def test_encoders(name: str, tmp_path: Path) -> None:
    family, values = test_family_encoders.CASES[name]
    for suffix in ("Model", "ForSequenceClassification"):
        own = values | {"id2label": test_family_encoders.LABELS}
        folder = published(family + suffix, f"{family}Config", own, tmp_path / suffix / "hf")
        assert_saved_is_the_same(folder, tmp_path / suffix)


@pytest.mark.parametrize("name", test_family_gpt2.CASES)
def test_decoders(name: str, tmp_path: Path) -> None:
    values = test_family_gpt2.CASES[name] | {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 82}
    assert_saved_is_the_same(published("GPT2LMHeadModel", "GPT2Config", values, tmp_path / "hf"), tmp_path)
