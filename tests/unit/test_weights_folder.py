"""Folders of weights: which file is read, indices and shards, types, and models loaded from each form."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from weight_files import program, storage, tensor, write_archive

from fastseq.models import load_model
from fastseq.weights import WEIGHT_FILES, find_weights, read_safetensors, read_weights, write_safetensors
from tiny_models import BACKENDS, random_tensors, recurrent_config, write_folder

SAFETENSORS, SAFETENSORS_INDEX, TORCH, TORCH_INDEX = WEIGHT_FILES


def write_torch(path: Path, tensors: dict[str, Any]) -> Path:
    """Write float32 tensors as `torch.save` does."""
    entries = {
        name: tensor(storage(name, array.size), array.shape, [s // 4 for s in array.strides])
        for name, array in tensors.items()
    }
    return write_archive(path, program(entries), {name: array.tobytes() for name, array in tensors.items()})


def write_index(folder: Path, name: str, weight_map: Any) -> None:
    (folder / name).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))


def write_shards(folder: Path, name: str, tensors: dict[str, Any], count: int = 3) -> None:
    """Write tensors to several files with an index of this name."""
    base, suffix = name.removesuffix(".index.json").rsplit(".", 1)
    weight_map = {}
    for i in range(count):
        shard = f"{base}-{i + 1:05}-of-{count:05}.{suffix}"
        part = dict(list(tensors.items())[i::count])
        (write_torch if suffix == "bin" else write_safetensors)(folder / shard, part)
        weight_map |= dict.fromkeys(part, shard)
    write_index(folder, name, weight_map)


def write_form(folder: Path, name: str, tensors: dict[str, Any]) -> None:
    if name.endswith(".json"):
        write_shards(folder, name, tensors)
    else:
        (write_torch if name == TORCH else write_safetensors)(folder / name, tensors)


def values(number: float) -> dict[str, Any]:
    return {f"layer.{i}": np.full((2, i), number + i, np.float32) for i in range(5)}


def test_the_first_form_that_is_there_is_read(tmp_path: Path) -> None:
    for number, name in reversed(list(enumerate(WEIGHT_FILES))):
        write_form(tmp_path, name, values(number))
        assert find_weights(tmp_path) == tmp_path / name
        arrays = read_weights(tmp_path)
        assert arrays.keys() == values(number).keys()
        for key, array in values(number).items():
            np.testing.assert_array_equal(arrays[key], array, strict=True)


def test_a_folder_without_weights_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    assert find_weights(tmp_path) is None
    with pytest.raises(FileNotFoundError) as caught:
        read_weights(tmp_path)
    assert all(name in str(caught.value) for name in (str(tmp_path), *WEIGHT_FILES))
    with pytest.raises(FileNotFoundError, match=r"no model folder '.*nowhere'"):
        read_weights(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [SAFETENSORS_INDEX, TORCH_INDEX])
def test_missing_shards_and_tensors_are_all_named(name: str, tmp_path: Path) -> None:
    write_shards(tmp_path, name, values(0))
    index = json.loads((tmp_path / name).read_text())
    first, second = sorted(set(index["weight_map"].values()))[:2]
    write_index(tmp_path, name, index["weight_map"] | {"layer.9": first, "layer.8": second})
    with pytest.raises(ValueError, match=re.escape(name)) as caught:
        read_weights(tmp_path)
    assert f"tensor layer.9 is not in {first}, tensor layer.8 is not in {second}" in str(caught.value)
    write_index(tmp_path, name, {"a": "1.bin", "b": "2.bin", "layer.0": first})
    with pytest.raises(FileNotFoundError) as caught_missing:
        read_weights(tmp_path)
    assert f"model folder {str(tmp_path)!r} has no 1.bin, 2.bin, which {name} names" in str(caught_missing.value)


def test_only_what_the_index_names_is_read_from_where_it_says(tmp_path: Path) -> None:
    for i, shard in enumerate(("one", "two")):
        write_safetensors(tmp_path / shard, {"a": np.float32([i]), "b": np.float32([i]), "c": np.float32([i])})
    write_index(tmp_path, SAFETENSORS_INDEX, {"b": "two", "a": "one"})
    assert read_weights(tmp_path) == {"b": [1], "a": [0]}


@pytest.mark.parametrize("name", [SAFETENSORS_INDEX, TORCH_INDEX])
@pytest.mark.parametrize(
    "shard",
    ["../x", "a/../../x", "/etc/passwd", "", ".", "..", "a//b", "./x", "..\\x", "C:x", "C:\\x", "x\0", None, 3, ["x"]],
)
def test_shards_outside_the_folder(name: str, shard: Any, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_form(tmp_path, name.removesuffix(".index.json"), values(0))
    (tmp_path / name.removesuffix(".index.json")).rename(tmp_path / "x")
    write_index(folder, name, {"layer.1": shard})
    with pytest.raises(ValueError, match=r"tensor layer\.1 in .*; expected files in the folder") as caught:
        read_weights(folder)
    assert str(folder / name) in str(caught.value)


def test_shards_may_be_in_folders_below_and_links(tmp_path: Path) -> None:
    (tmp_path / "folder" / "shards").mkdir(parents=True)
    write_safetensors(tmp_path / "blob", {"w": np.ones(2, np.float32)})
    (tmp_path / "folder" / "shards" / "1.safetensors").symlink_to(tmp_path / "blob")
    write_index(tmp_path / "folder", SAFETENSORS_INDEX, {"w": "shards/1.safetensors"})
    np.testing.assert_array_equal(read_weights(tmp_path / "folder")["w"], np.ones(2, np.float32), strict=True)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff{}", b"[" * 100_000, b"[]", b"{}", b'{"weight_map": []}', b'{"weight_map": {}}']
)
@pytest.mark.parametrize("name", [SAFETENSORS_INDEX, TORCH_INDEX])
def test_damaged_indices(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{re.escape(name)} (is no JSON|has no tensors)"):
        read_weights(tmp_path)


def test_damaged_shards_are_named(tmp_path: Path) -> None:
    write_shards(tmp_path, TORCH_INDEX, values(0))
    shard = sorted(tmp_path.glob("*.bin"))[1]
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(ValueError, match=re.escape(shard.name)):
        read_weights(tmp_path)


KINDS = [
    np.float16,
    np.float32,
    np.float64,
    np.int8,
    np.int16,
    np.int32,
    np.int64,
    np.uint8,
    np.uint16,
    np.uint32,
    np.bool_,
]


@given(
    tensors=st.dictionaries(
        st.text(max_size=8).filter(lambda name: name != "__metadata__"),
        st.sampled_from(KINDS).flatmap(
            lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
        ),
    )
)
def test_safetensors_round_trip(tensors: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("round")
    write_safetensors(folder / SAFETENSORS, tensors)
    arrays = read_weights(folder)
    assert arrays.keys() == tensors.keys()
    for name, array in tensors.items():
        with np.errstate(over="ignore"):
            wanted = array.astype(np.float32) if array.dtype.kind == "f" else array
        np.testing.assert_array_equal(arrays[name], wanted, strict=True)


def test_read_safetensors_reads_floats_only(tmp_path: Path) -> None:
    path = tmp_path / SAFETENSORS
    write_safetensors(path, {"w": np.ones(2), "ids": np.arange(3), "mask": np.ones(1, bool)})
    with pytest.raises(ValueError, match=r"tensor ids is I64, tensor mask is BOOL; expected F32, F16, BF16, F64$"):
        read_safetensors(path)
    write_safetensors(path, {"w": np.array([0.1, 1e300])})
    np.testing.assert_array_equal(read_safetensors(path)["w"], np.float32([0.1, np.inf]), strict=True)


@pytest.mark.parametrize(("dtype", "shape"), [("F8_E4M3", [4]), ("F32", [0, 2**62]), ("F32", [1] * 40)])
def test_safetensors_that_no_array_can_hold(dtype: str, shape: list[int], tmp_path: Path) -> None:
    header = json.dumps(
        {"layer.w": {"dtype": dtype, "shape": shape, "data_offsets": [0, 0 if 0 in shape else 4]}}
    ).encode()
    (tmp_path / SAFETENSORS).write_bytes(struct.pack("<Q", len(header)) + header + bytes(0 if 0 in shape else 4))
    with pytest.raises(ValueError, match=r"model\.safetensors.*(layer\.w|is damaged)"):
        read_weights(tmp_path)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", WEIGHT_FILES)
def test_models_load_from_every_form(name: str, backend: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    expected = load_model(folder, backend=backend).generate([[1, 2, 3]], max_new_tokens=5)
    (folder / SAFETENSORS).unlink()
    write_form(folder, name, dict(random_tensors(recurrent_config())))
    assert load_model(folder, backend=backend).generate([[1, 2, 3]], max_new_tokens=5) == expected


def test_errors_of_models_name_the_form_that_was_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / SAFETENSORS).unlink()
    tensors: dict[str, Any] = dict(random_tensors(recurrent_config()))
    write_shards(folder, TORCH_INDEX, tensors | {"extra": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match=r"pytorch_model\.bin\.index\.json: tensor extra is not expected"):
        load_model(folder)
