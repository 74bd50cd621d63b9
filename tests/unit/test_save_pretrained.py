"""Folders of packed weights: the same bits, whatever the model, the type and the processor; damage is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastseq
from conftest import needs_native
from fastseq import _backend
from fastseq.models import DeepRecurrentSeq2SeqConfig, Seq2SeqModel
from fastseq.models.packed import PACKED_FILE, PackedTensors
from fastseq.weights.parts import open_parts, write_parts
from small_models import bert_folder, marian_folder
from text_models import classifier, language_model
from tiny_models import COMMON, random_model, random_tensors, recurrent_config, transformer_config

pytestmark = needs_native
TYPES = ["float32", "bfloat16", "int8"]
BATCH = [[3, 4, 5, 6], [7], [4, 4, 3]]
DEEP = {
    "embedding_size": 9,
    "hidden_size": 10,
    "encoder_type": "alternating",
    "encoder_num_layers": 2,
    "encoder_depth": 2,
    "decoder_num_layers": 2,
    "decoder_base_depth": 3,
    "decoder_high_depth": 2,
}
Make = Callable[[Path, str], Any]


def own(config: Any) -> Make:
    return lambda _, compute_type: Seq2SeqModel(
        config, random_tensors(config), random_model(config, "native")._vocabulary, "native", compute_type=compute_type
    )


def folder_of(write: Callable[..., Path], *arguments: Any) -> Make:
    return lambda path, compute_type: fastseq.load_model(write(path / "published", *arguments), compute_type)


def text_model(make: Callable[..., Any], **changes: Any) -> Make:
    def build(_: Path, compute_type: str) -> Any:
        model = make("native", **changes)
        tensors = {n: np.asarray(t) for n, t in _tensors_of(model.config).items()}
        return type(model)(model.config, tensors, model.tokenizer, "native", compute_type=compute_type)

    return build


def _tensors_of(config: Any) -> dict[str, NDArray[np.float32]]:
    from text_models import tensors_of

    return tensors_of(config)


MODELS: dict[str, Make] = {
    "recurrent": own(recurrent_config()),
    "recurrent additive": own(recurrent_config(attention="additive", attention_size=5, bridge="dense", cell="gru")),
    "recurrent tanh": own(recurrent_config(cell="rnn_tanh", attention="none", bridge="zero", input_feeding=False)),
    "deep recurrent": own(DeepRecurrentSeq2SeqConfig.from_dict(COMMON | DEEP)),
    "transformer": own(transformer_config()),
    "transformer untied": own(transformer_config(tie_output=False, positions="learned", max_positions=30)),
    "ssru": own(transformer_config(decoder_history="ssru")),
    "marian": folder_of(marian_folder),
    "bert": folder_of(bert_folder, "feature-extraction"),
    "bert classifier": folder_of(bert_folder, "text-classification"),
    "bert tokens": folder_of(bert_folder, "token-classification"),
    "classifier": text_model(classifier),
    "attention classifier": text_model(classifier, pooling="attention", attention_size=5),
    "language model": text_model(language_model),
    "tied language model": text_model(language_model, tie_output=True, embedding_size=9),
}


@pytest.fixture(params=TYPES)
def compute_type(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def isa() -> Iterator[Callable[[str], None]]:
    native = _backend.get("native")
    before = native.config()["isa"]
    yield native.use_isa
    native.use_isa(before)


def answers(model: Any) -> list[Any]:
    """Numbers that all weights have a part in."""
    if hasattr(model, "decode"):
        arrays = model.decode(BATCH, [[1, 3, 4], [1], [1, 5]])
        tokens = [generation.tokens for generation in model.generate(BATCH, num_beams=2, max_length=9)]
        return [*arrays, *model.encode(BATCH), *map(np.array, tokens)]
    if model.task == "feature-extraction":
        return list(model.encode(BATCH))
    return list(model.logits(BATCH))


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
    wanted, first = answers(model), _saved(model, tmp_path / "saved")
    isas = _backend.get("native").config()["available_isas"]
    for there in isas:
        isa(there)
        folder = _saved(fastseq.load_model(first), tmp_path / there)
        for here in isas:
            isa(here)
            for mine, theirs in zip(answers(fastseq.load_model(folder)), wanted, strict=True):
                np.testing.assert_array_equal(mine, theirs, strict=True)


def _saved(model: Any, path: Path) -> Path:
    model.save_pretrained(path)
    return path


def test_weights_stay_in_the_file_where_they_are_packed_as_wanted(tmp_path: Path, isa: Callable[[str], None]) -> None:
    model = MODELS["transformer"](tmp_path, "int8")
    folder = _saved(model, tmp_path / "saved")
    description, parts = open_parts(folder / PACKED_FILE)
    name = "encoder.layers.0.linear1.weight"
    value = PackedTensors(model.config, description, parts, "int8", native=True)[name]
    assert np.shares_memory(value["packed"][0]["data"], parts[f"{name}/0/data"])
    for other, native in (("float32", True), ("int8", False)):
        values, scales = PackedTensors(model.config, description, parts, other, native)[name]
        assert (values.dtype, scales.shape) == (np.int8, values.shape[:1])


@pytest.mark.parametrize("name", ["recurrent", "marian", "bert tokens", "language model"])
def test_the_reference_reads_the_numbers_that_the_kernels_use(name: str, compute_type: str, tmp_path: Path) -> None:
    folder = _saved(MODELS[name](tmp_path, compute_type), tmp_path / "saved")
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
    folder = _saved(exact, tmp_path / "saved")
    for compute_type in TYPES:
        at_load = fastseq.load_model(tmp_path / "published", compute_type)
        assert_same(fastseq.load_model(folder, compute_type), at_load)


def test_a_pipeline_reads_the_texts_beside_the_weights(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    model = MODELS["marian"](tmp_path, "int8")
    folder = _saved(model, tmp_path / "saved")
    translators = [
        fastseq.pipeline("translation", tmp_path / "published", compute_type="int8"),
        fastseq.pipeline("translation", folder),
    ]
    one, other = (translator("the cat", max_length=12) for translator in translators)
    assert one == other
    assert translators[1].model.compute_type == "int8"


def test_a_folder_with_other_weights_is_left_alone(tmp_path: Path) -> None:
    model = MODELS["marian"](tmp_path, "float32")
    with pytest.raises(ValueError, match=r"has model\.safetensors; expected one without other weights"):
        model.save_pretrained(tmp_path / "published")
    assert not (tmp_path / "published" / PACKED_FILE).exists()
    with pytest.raises(ValueError, match="an ensemble has no weights of its own"):
        fastseq.models.Ensemble([model, model]).save_pretrained(tmp_path / "both")


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = _saved(MODELS["transformer"](tmp_path, "int8"), tmp_path) / PACKED_FILE
    whole = path.read_bytes()
    for size in (0, 7, 200, len(whole) // 2, len(whole) - 64, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"packed\.safetensors is damaged"):
            fastseq.load_model(tmp_path)


@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_a_changed_byte_is_found_and_its_tensor_named(backend: str, tmp_path: Path) -> None:
    path = _saved(MODELS["transformer"](tmp_path, "int8"), tmp_path) / PACKED_FILE
    whole = path.read_bytes()
    data = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:data])
    with _backend.use_backend(backend):
        for name in list(header)[1::7]:
            begin, end = header[name]["data_offsets"]
            for place in (begin, (begin + end) // 2, end - 1):
                damaged = bytearray(whole)
                damaged[data + place] ^= 4
                path.write_bytes(damaged)
                with pytest.raises(ValueError, match=f"is damaged: {name} not as it was written"):
                    fastseq.load_model(tmp_path)


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    description, parts = open_parts(path)
    copies: dict[str, Any] = {name: np.array(part) for name, part in parts.items()}
    change(description, copies)
    write_parts(path, description, copies)


def drop(name: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    return lambda description, parts: (description["tensors"].pop(name), None)[1]


def put(*keys: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    *place, last, value = keys

    def change(description: dict[str, Any], parts: dict[str, Any]) -> None:
        for key in place:
            description = description[key]
        description[last] = value

    return change


LINEAR = "decoder.layers.1.linear2.weight"
WRONG: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any]], None], str]] = {
    "missing": (drop(LINEAR), f"tensor {LINEAR} is missing"),
    "unknown": (put("tensors", "extra", {"shape": [1]}), "tensor extra is not expected"),
    "shape": (put("tensors", LINEAR, "shape", [12, 18]), rf"{LINEAR} has shape \[12, 18\]; expected \(12, 17\)"),
    "no part": (put("tensors", LINEAR, "packed", [7]), f"tensor {LINEAR} a part is 7"),
    "rows": (put("tensors", LINEAR, "packed", 0, "rows", 5), f"{LINEAR} has packed rows that are not the 12"),
    "width": (put("tensors", LINEAR, "packed", 0, "width", 48), f"{LINEAR} has .* bytes in part"),
    "size": (lambda _, parts: parts.update({f"{LINEAR}/0/scales": np.zeros(9, np.float32)}), "has 64 bytes in part"),
    "negative": (put("tensors", LINEAR, "packed", 0, "first_row", -1), f"tensor {LINEAR} a part is"),
    "kind": (put("kind", ["x"]), r"kind is \"\['x'\]\"; expected one of"),
    "version": (put("version", 99), "version is 99; this fastseq reads 1"),
    "type": (put("compute_type", "int4"), "compute_type is 'int4'"),
    "config": (put("config", "hidden_size", -4), "hidden_size is -4"),
    "generation": (put("generation", 4), "generation is '4'"),
    "option": (put("generation", "options", "num_beams", 0), "num_beams is 0"),
    "tensors": (put("tensors", None), "is missing"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_agree_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    _saved(MODELS["transformer"](tmp_path, "int8"), tmp_path)
    change, message = WRONG[name]
    rewritten(tmp_path / PACKED_FILE, change)
    with pytest.raises(ValueError, match=message):
        fastseq.load_model(tmp_path)


@pytest.mark.parametrize("place", [("encoder", "layers", [5]), ("encoder", "num_heads", 0), ("encoder", "norm", 3)])
def test_a_wrong_description_of_a_published_model_is_refused(place: tuple[str, str, Any], tmp_path: Path) -> None:
    folder = _saved(MODELS["marian"](tmp_path, "float32"), tmp_path / "saved")
    rewritten(folder / PACKED_FILE, put("config", *place))
    with pytest.raises(ValueError, match="in_proj" if place[1] == "num_heads" else place[1]):
        fastseq.load_model(folder)


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
