"""Damaged and dishonest files of `torch.save`: ValueError, never a wild read, no bombs."""

from __future__ import annotations

import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from weight_files import program, storage, stream, tensor, write_archive

from fastseq.weights import read_torch
from fastseq.weights.stored import place_tensor

VALUES = np.arange(6, dtype="<f4")
RAW = VALUES.tobytes()
PROGRAM = program({"a": tensor(storage("0", 6), [2, 3], [3, 1]), "b": tensor(storage("0", 6), [3], [2], 1)})


def write_stream(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_the_files_made_here_are_right_ones(tmp_path: Path) -> None:
    order = VALUES.astype(">f4").tobytes()
    for path in (
        write_archive(tmp_path / "zip", PROGRAM, {"0": RAW}),
        write_archive(tmp_path / "no order", PROGRAM, {"0": RAW}, byteorder=None),
        write_archive(tmp_path / "big", PROGRAM, {"0": order}, byteorder="big"),
        write_stream(tmp_path / "stream", stream(PROGRAM, ["0"], [(6, RAW)])),
    ):
        arrays = read_torch(path)
        np.testing.assert_array_equal(arrays["a"], VALUES.reshape(2, 3), strict=True)
        np.testing.assert_array_equal(arrays["b"], VALUES[1::2], strict=True)


@pytest.mark.parametrize("kind", ["HalfStorage", "BFloat16Storage", "DoubleStorage", "LongStorage", "ShortStorage"])
def test_big_endian_numbers(kind: str, tmp_path: Path) -> None:
    raw = {
        "HalfStorage": np.array([1.5, -2], ">f2").tobytes(),
        "BFloat16Storage": b"\x3f\xc0\xc0\x00",
        "DoubleStorage": np.array([1.5, -2], ">f8").tobytes(),
        "LongStorage": np.array([1, -2], ">i8").tobytes(),
        "ShortStorage": np.array([1, -2], ">i2").tobytes(),
    }[kind]
    path = write_archive(tmp_path / "x", program({"x": tensor(storage("0", 2, kind), [2], [1])}), {"0": raw}, "big")
    np.testing.assert_array_equal(read_torch(path)["x"], [1.0 if kind[0] in "LS" else 1.5, -2])


def test_true_is_any_byte_but_zero(tmp_path: Path) -> None:
    content = program({"x": tensor(storage("0", 3, "BoolStorage"), [3], [1])})
    array = read_torch(write_archive(tmp_path / "x", content, {"0": b"\0\1\2"}))["x"]
    np.testing.assert_array_equal(array.view(np.uint8), np.uint8([0, 1, 1]), strict=True)


OUTSIDE = {
    "one row more": ([3, 3], [3, 1], 0),
    "one element further": ([2, 3], [3, 1], 1),
    "a longer stride": ([2, 3], [4, 1], 0),
    "an offset at the end": ([], [], 6),
    "a huge offset": ([1], [1], 1 << 60),
    "a huge stride": ([2], [1 << 60], 0),
    "huge strides": ([4, 4], [1 << 60, 1 << 60], 1 << 60),
    "a negative offset": ([1], [1], -1),
    "a negative stride": ([6], [-1], 5),
    "a negative size": ([-1], [1], 0),
    "an offset beyond a word": ([1], [1], 1 << 64),
    "a stride beyond a word": ([2], [1 << 200], 0),
    "sizes beyond a word": ([1 << 40, 1 << 40], [0, 0], 0),
    "an empty shape beyond a word": ([1 << 60, 1 << 60, 0], [1, 1, 1], 0),
    "too few strides": ([2, 3], [1], 0),
    "too many strides": ([6], [1, 1], 0),
    "too many dimensions": ([1] * 33, [1] * 33, 0),
}


@pytest.mark.parametrize("outside", OUTSIDE)
def test_tensors_outside_their_storage(outside: str, tmp_path: Path) -> None:
    content = program({"layer.weight": tensor(storage("0", 6), *OUTSIDE[outside])})
    for path in (
        write_archive(tmp_path / "zip", content, {"0": RAW, "1": b"secret" * 1000}),
        write_stream(tmp_path / "stream", stream(content, ["0"], [(6, RAW)]) + b"secret" * 1000),
    ):
        with pytest.raises(ValueError, match=r"layer\.weight|of a tensor is"):
            read_torch(path)


@pytest.mark.parametrize(
    ("shape", "strides", "first"), [((1,), (1,), -1), ((6,), (-1,), 5), ((-1,), (1,), 0), ((2, -3), (-1, 1), 5)]
)
def test_no_reader_can_place_a_tensor_before_its_storage(
    shape: tuple[int, ...], strides: tuple[int, ...], first: int
) -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        place_tensor("F32", shape, strides, bytes(100), (40, 64), first)


@pytest.mark.parametrize("storage_place", [(-4, 20), (40, 64), (30, 20), (48, 52)])
def test_no_storage_is_outside_the_file(storage_place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="outside a storage"):
        place_tensor("F32", (1,), None, bytes(50), storage_place)


def test_what_is_not_read_may_be_anywhere(tmp_path: Path) -> None:
    content = program(
        {
            "one row": tensor(storage("0", 6), [1, 6], [1 << 60, 1]),
            "empty": tensor(storage("0", 6), [0, 5], [1 << 60, 1], 1 << 59),
        }
    )
    arrays = read_torch(write_archive(tmp_path / "x", content, {"0": RAW}))
    np.testing.assert_array_equal(arrays["one row"], VALUES[None], strict=True)
    assert arrays["empty"].shape == (0, 5)


STORAGES = {
    "not there": (storage("1", 6), "the file has no storage '1'"),
    "outside its folder": (storage("../data.pkl", 6), "the file has no storage '../data.pkl'"),
    "too short": (storage("0", 7), "storage '0' has 24 bytes, not 7 F32"),
    "too long": (storage("0", 5), "storage '0' has 24 bytes, not 5 F32"),
    "of another type": (storage("0", 6, "DoubleStorage"), "storage '0' has 24 bytes, not 6 F64"),
}


@pytest.mark.parametrize("wrong", STORAGES)
def test_storages_that_are_not_as_the_pickle_says(wrong: str, tmp_path: Path) -> None:
    content, message = STORAGES[wrong]
    with pytest.raises(ValueError) as caught:
        read_torch(write_archive(tmp_path / "x", program({"w": tensor(content, [], [])}), {"0": RAW}))
    assert f"x: tensor w: {message}" in str(caught.value)


def test_two_types_of_one_storage(tmp_path: Path) -> None:
    content = program({"a": tensor(storage("0", 6), [], []), "b": tensor(storage("0", 6, "IntStorage"), [], [])})
    with pytest.raises(ValueError, match="storage '0' has two types or sizes"):
        read_torch(write_archive(tmp_path / "x", content, {"0": RAW}))


@pytest.mark.parametrize(
    ("keys", "storages", "message"),
    [
        (["0"], [(7, RAW)], "storage '0' does not begin with its size, 6"),
        (["0"], [(-1, RAW)], "storage '0' does not begin with its size, 6"),
        (["0"], [(6, RAW[:-1])], "storage '0' ends after the file"),
        (["0"], [], "storage '0' does not begin"),
        (["0", "0"], [(6, RAW), (6, RAW)], "storage '0' is not used, or is there twice"),
        (["1"], [(6, RAW)], "storage '1' is not used"),
        ([], [], "the file has no storage '0'"),
    ],
)
def test_streams_whose_storages_are_wrong(
    keys: list[str], storages: list[tuple[int, bytes]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read_torch(write_stream(tmp_path / "x", stream(PROGRAM, keys, storages)))


def test_bombs(tmp_path: Path) -> None:
    terabyte = {"w": tensor(storage("0", 6), [1 << 20, 1 << 18], [0, 0])}
    many = {str(i): tensor(storage("0", 1 << 18), [1 << 17], [1], i) for i in range(400)}
    for name, content, raw in (("one", program(terabyte), RAW), ("many", program(many), bytes(1 << 20))):
        with pytest.raises(ValueError, match=r"overlap so much that \d+ bytes would become \d+"):
            read_torch(write_archive(tmp_path / name, content, {"0": raw}))
    with pytest.raises(ValueError, match=r"entry 'archive/data\.pkl' is compressed"):
        read_torch(write_archive(tmp_path / "x", PROGRAM, {"0": RAW}, compress_type=zipfile.ZIP_DEFLATED))


def test_archives_that_torch_does_not_write(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "x", PROGRAM, {"0": RAW}, byteorder="middle")
    with pytest.raises(ValueError, match="byteorder is b'middle'; expected little or big"):
        read_torch(path)
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr("archive/data/0", RAW)
    with pytest.raises(ValueError, match="two entries 'archive/data/0'"):
        read_torch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("text", "")
    with pytest.raises(ValueError, match=r"has 0 entries \*/data\.pkl; expected one"):
        read_torch(path)
    content = bytearray(write_archive(path, PROGRAM, {"0": RAW}).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ValueError, match="is encrypted"):
        read_torch(write_stream(path, bytes(content)))


@pytest.mark.parametrize(
    "content", [b"", b"P", b"PK\x03\x04", b"no tensors", b"\x80\x02}.", bytes(100), b"\x80\x02K\x05."]
)
def test_other_files(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"x: is (no file of torch\.save|damaged or no zip archive)"):
        read_torch(write_stream(tmp_path / "x", content))


def right_files(folder: Path) -> list[bytes]:
    return [write_archive(folder / "x", PROGRAM, {"0": RAW}).read_bytes(), stream(PROGRAM, ["0"], [(6, RAW)])]


def test_truncations_are_errors(tmp_path: Path) -> None:
    for content in right_files(tmp_path):
        for size in [*range(0, len(content), 7), *range(len(content) - 30, len(content))]:
            with pytest.raises(ValueError):
                read_torch(write_stream(tmp_path / "x", content[:size]))


@given(
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
    width=st.sampled_from([1, 4]),
    which=st.integers(0, 1),
)
def test_any_damage_is_an_error_or_harmless(
    place: float, value: int, width: int, which: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    content = bytearray(right_files(folder)[which])
    start = int(place * len(content))
    content[start : start + width] = bytes([value]) * width
    try:
        arrays = read_torch(write_stream(folder / "x", bytes(content)))
    except ValueError:
        return
    assert sum(array.nbytes for array in arrays.values()) < 1000


def test_the_place_of_a_local_header_is_checked(tmp_path: Path) -> None:
    content = bytearray(write_archive(tmp_path / "x", PROGRAM, {"0": RAW}).read_bytes())
    place = content.index(b"PK\x01\x02") + 42  # of the first entry's offset in the central directory
    for offset in (1, len(content), 0xFFFFFFF0):
        content[place : place + 4] = struct.pack("<I", offset)
        with pytest.raises(ValueError, match=r"has no header where|damaged"):
            read_torch(write_stream(tmp_path / "x", bytes(content)))
