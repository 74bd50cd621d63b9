"""Folders of packed weights: the same bits, whatever the model, the type and the processor"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from conftest import needs_native
from fastseq import _backend
from fastseq.models.keras import KerasTextModel
from fastseq.models.packed import PACKED_FILE, PackedTensors
from fastseq.nn.keras.source import LayerSource
from fastseq.weights.parts import open_parts
from packed_models import MODELS, TYPES, answers, saved

pytestmark = needs_native


@pytest.fixture(autouse=True)
def native() -> Iterator[None]:
    """What saves is the native backend, whatever the default is."""
    with _backend.use_backend("native"):
        yield


@pytest.fixture(params=TYPES)
def compute_type(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def isa() -> Iterator[Callable[[str], None]]:
    native = _backend.get("native")
    before = native.config()["isa"]
    yield native.use_isa
    native.use_isa(before)


def assert_same(model: Any, other: Any) -> None:
    for mine, theirs in zip(answers(model), answers(other), strict=True):
        np.testing.assert_array_equal(mine, theirs, strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_loaded_computes_the_same_bits(name: str, compute_type: str, tmp_path: Path) -> None:
    model = MODELS[name](tmp_path, compute_type)
    model.save_pretrained(tmp_path / "saved")
    loaded = fastseq.load_model(tmp_path / "saved", backend="native")
    assert type(loaded) is type(model)
    assert loaded.config == model.config
    assert loaded.compute_type == compute_type
    assert loaded.generation_config == model.generation_config if hasattr(model, "generation_config") else True
    assert_same(loaded, model)
    loaded.save_pretrained(tmp_path / "again")  # from borrowed weights
    assert (tmp_path / "again" / PACKED_FILE).read_bytes() == (tmp_path / "saved" / PACKED_FILE).read_bytes()


@pytest.mark.parametrize("name", ["recurrent", "deep recurrent", "marian", "bert tokens", "classifier"])
def test_another_processor_packs_anew_and_computes_the_same(
    name: str, compute_type: str, tmp_path: Path, isa: Callable[[str], None]
) -> None:
    model = MODELS[name](tmp_path, compute_type)
    wanted, first = answers(model), saved(model, tmp_path / "saved")
    isas = _backend.get("native").config()["available_isas"]
    for there in isas:
        isa(there)
        folder = saved(fastseq.load_model(first), tmp_path / there)
        for here in isas:
            isa(here)
            for mine, theirs in zip(answers(fastseq.load_model(folder)), wanted, strict=True):
                np.testing.assert_array_equal(mine, theirs, strict=True)


def test_weights_stay_in_the_file_where_they_are_packed_as_wanted(tmp_path: Path, isa: Callable[[str], None]) -> None:
    model = MODELS["transformer"](tmp_path, "int8")
    folder = saved(model, tmp_path / "saved")
    description, parts = open_parts(folder / PACKED_FILE)
    name = "encoder.layers.0.linear1.weight"
    value = PackedTensors(model.config, description, parts, "int8", native=True)[name]
    assert np.shares_memory(value["packed"][0]["data"], parts[f"{name}/0/data"])
    for other, native in (("float32", True), ("int8", False)):
        values, scales = PackedTensors(model.config, description, parts, other, native)[name]
        assert (values.dtype, scales.shape) == (np.int8, values.shape[:1])


@pytest.mark.parametrize("name", ["recurrent", "marian", "bert tokens", "encoder-decoder answers", "language model"])
def test_the_reference_reads_the_numbers_that_the_kernels_use(name: str, compute_type: str, tmp_path: Path) -> None:
    folder = saved(MODELS[name](tmp_path, compute_type), tmp_path / "saved")
    native, numpy = (fastseq.load_model(folder, backend=backend) for backend in ("native", "numpy"))
    assert numpy.compute_type == compute_type
    for mine, theirs in zip(answers(native), answers(numpy), strict=True):
        # Sums in another order; a number at the edge of two int8 ones may fall to either.
        tolerance = 0.05 if compute_type == "int8" else 1e-4
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * max(1.0, np.abs(theirs).max(initial=0)))
    with pytest.raises(ValueError, match="runs on 'numpy'; expected 'native'"):
        numpy.save_pretrained(tmp_path / "other")


def test_another_type_is_computed_from_the_numbers_that_are_stored(tmp_path: Path) -> None:
    exact = MODELS["marian"](tmp_path, "float32")
    folder = saved(exact, tmp_path / "saved")
    for compute_type in TYPES:
        at_load = fastseq.load_model(tmp_path / "published", compute_type)
        assert_same(fastseq.load_model(folder, compute_type), at_load)


def test_a_pipeline_reads_the_texts_beside_the_weights(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    model = MODELS["marian"](tmp_path, "int8")
    folder = saved(model, tmp_path / "saved")
    translators = [
        fastseq.pipeline("translation", tmp_path / "published", compute_type="int8"),
        fastseq.pipeline("translation", folder),
    ]
    one, other = (translator("the cat", max_length=12) for translator in translators)
    assert one == other
    assert translators[1].model.compute_type == "int8"


def test_a_model_of_keras_is_left_in_its_own_file(tmp_path: Path) -> None:
    words = LayerSource("Embedding", "words", {}, [np.eye(4, dtype=np.float32)])
    layers = [words, LayerSource("GlobalMaxPooling1D", "pool", {}, [])]
    model = KerasTextModel(LayerSource("Sequential", "bag", {}, [], layers))
    with pytest.raises(ValueError, match="a KerasTextModel is not saved in this form"):
        model.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_a_folder_with_other_weights_is_left_alone(tmp_path: Path) -> None:
    model = MODELS["marian"](tmp_path, "float32")
    with pytest.raises(ValueError, match=r"has model\.safetensors; expected one without other weights"):
        model.save_pretrained(tmp_path / "published")
    assert not (tmp_path / "published" / PACKED_FILE).exists()
    with pytest.raises(ValueError, match="an ensemble has no weights of its own"):
        fastseq.models.Ensemble([model, model]).save_pretrained(tmp_path / "both")


def test_both_backends_have_the_same_checksum() -> None:
    numbers = np.random.default_rng(0).integers(0, 256, 3_000_001, np.uint8)
    native, numpy = (_backend.get(name).checksum for name in ("native", "numpy"))
    for size in (0, 1, 3, 4, 5, 64, 4097, 262_144, 262_149, len(numbers)):
        assert native(numbers[:size]) == numpy(numbers[:size])
    assert native(numbers[:64]) != native(np.roll(numbers[:64], 4))


def test_both_backends_find_the_same_number_that_is_not_finite() -> None:
    numbers = np.random.default_rng(0).standard_normal((517, 601), np.float32)
    for name in ("native", "numpy"):
        all_finite = _backend.get(name).all_finite
        assert all_finite(numbers)
        assert all_finite(numbers[:0])
        for place, value in (((0, 0), np.nan), ((516, 600), np.inf), ((300, 7), -np.inf)):
            wrong = numbers.copy()
            wrong[place] = value
            assert not all_finite(wrong)
