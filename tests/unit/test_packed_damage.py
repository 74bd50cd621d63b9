"""Files of packed weights that were damaged, or whose parts do not agree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from conftest import needs_native
from fastseq import _backend
from fastseq.models.packed import PACKED_FILE
from fastseq.weights.parts import open_parts, write_parts
from packed_models import MODELS, saved

pytestmark = needs_native


@pytest.fixture(autouse=True)
def native() -> Iterator[None]:
    """What saves is the native backend, whatever the default is."""
    with _backend.use_backend("native"):
        yield


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = saved(MODELS["transformer"](tmp_path, "int8"), tmp_path) / PACKED_FILE
    whole = path.read_bytes()
    for size in (0, 7, 200, len(whole) // 2, len(whole) - 64, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"packed\.safetensors is damaged"):
            fastseq.load_model(tmp_path)


@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_a_changed_byte_is_found_and_its_tensor_named(backend: str, tmp_path: Path) -> None:
    path = saved(MODELS["transformer"](tmp_path, "int8"), tmp_path) / PACKED_FILE
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
    saved(MODELS["transformer"](tmp_path, "int8"), tmp_path)
    change, message = WRONG[name]
    rewritten(tmp_path / PACKED_FILE, change)
    with pytest.raises(ValueError, match=message):
        fastseq.load_model(tmp_path)


@pytest.mark.parametrize(
    "place",
    [
        ("encoder", "layers", [5]),
        ("encoder", "num_heads", 0),
        ("encoder", "norm", 3),
        ("encoder", "windows", [3]),
        ("encoder", "windows", [3, -1]),
        ("encoder", "rotary", [7.0]),
        ("encoder", "rotary", [7.0, 0.0]),
        ("encoder", "rotary", [7.0, "far"]),
        ("decoder", "windows", [3, 0]),
        ("decoder", "rotary", [7.0, 5.5]),
    ],
)
def test_a_wrong_description_of_a_published_model_is_refused(place: tuple[str, str, Any], tmp_path: Path) -> None:
    folder = saved(MODELS["marian"](tmp_path, "float32"), tmp_path / "saved")
    rewritten(folder / PACKED_FILE, put("config", *place))
    with pytest.raises(ValueError, match="in_proj" if place[1] == "num_heads" else place[1]):
        fastseq.load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relative_rows": [0, 2, 1]}, "relative_rows are not those of the distances from -M to M"),
        ({"relative_rows": [1, 2, 3]}, "relative_rows are not those of the distances"),
        ({"relative_rows": [0, 1]}, "relative_rows are not those of the distances"),
        ({"relative_rows": []}, "relative_rows go with relative_keys or relative_queries"),
        ({"relative_positions": 3}, "without relative_positions"),
        ({"relative_rows": [0, 0, 500]}, r"has shape \[64, 8\]; expected \(2004, 8\)"),
    ],
)
@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_distances_that_cannot_be_are_refused(
    backend: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = saved(MODELS["deberta"](tmp_path, "float32"), tmp_path) / PACKED_FILE
    rewritten(path, lambda description, _: description["config"]["encoder"].update(changes))
    with pytest.raises(ValueError, match=message):
        fastseq.load_model(tmp_path, backend=backend)


def test_the_native_model_checks_its_distances_itself(tmp_path: Path) -> None:
    options = MODELS["deberta"](tmp_path, "float32").config.backend_options()
    for changes, message in (
        ({"relative_rows": [0, 2, 1]}, "relative_rows are not those of the distances from -M to M"),
        ({"relative_rows": [0, 0, 5]}, "relative_rows are not those of the distances"),
        ({"relative_rows": []}, "relative_rows go with relative_keys or relative_queries"),
        ({"convolution": -1}, "convolution must be at least 0"),
    ):
        changed = {**options, "encoder": options["encoder"] | changes}
        with pytest.raises(ValueError, match=message):
            _backend.get("native").TransformerEncoder(changed, {})
    decoder = {"decoder": options["encoder"], "tie_output": True, "logits_scale": 1.0}
    decoder |= {"output_dense": False, "output_activation": "none"}
    with pytest.raises(ValueError, match="only an encoder may have vectors of distances or a convolution"):
        _backend.get("native").TransformerLanguageModel(decoder, {})
