"""Tensors as they lie in a file: which numbers, from where, in which strides; each is read when it is asked for.

Every reader describes its tensors this way. The file is mapped, so a tensor that is not read costs nothing, and reading
one needs memory for the result only. No description reaches outside its storage: that is checked when it is made.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["NUMBERS", "FileContent", "StoredTensor", "item_size", "map_file", "place_tensor", "read_all", "read_floats"]

FileContent: TypeAlias = "mmap.mmap | bytes"

# What is stored, by the names of safetensors, and what it is read as. A BF16 is the upper half of a float32; true is
# any byte but 0.
NUMBERS: dict[str, tuple[np.dtype[Any], np.dtype[Any]]] = {
    "F32": (np.dtype("<f4"), np.dtype(np.float32)),
    "F16": (np.dtype("<f2"), np.dtype(np.float32)),
    "BF16": (np.dtype("<u2"), np.dtype(np.float32)),
    "F64": (np.dtype("<f8"), np.dtype(np.float32)),
    "I64": (np.dtype("<i8"), np.dtype(np.int64)),
    "I32": (np.dtype("<i4"), np.dtype(np.int32)),
    "I16": (np.dtype("<i2"), np.dtype(np.int16)),
    "I8": (np.dtype("i1"), np.dtype(np.int8)),
    "U64": (np.dtype("<u8"), np.dtype(np.uint64)),
    "U32": (np.dtype("<u4"), np.dtype(np.uint32)),
    "U16": (np.dtype("<u2"), np.dtype(np.uint16)),
    "U8": (np.dtype("u1"), np.dtype(np.uint8)),
    "BOOL": (np.dtype("u1"), np.dtype(np.bool_)),
}
_FLOATS = ", ".join(name for name, (_, result) in NUMBERS.items() if result == np.float32)
_COMPARED = 1 << 20  # elements that are compared at once
_MOST_DIMENSIONS = 32  # of an array in every NumPy
_MOST_ELEMENTS = 1 << 56  # keeps sizes in bytes within a machine word, also those of empty tensors


def item_size(numbers: str) -> int:
    """Bytes of one stored number."""
    return NUMBERS[numbers][0].itemsize


def widen_bfloat16(halves: NDArray[Any]) -> NDArray[np.float32]:
    """Return the numbers of which these 16-bit integers are the upper halves."""
    bits = np.empty(halves.shape, np.uint32)
    np.left_shift(halves, 16, out=bits, dtype=np.uint32)
    return bits.view(np.float32)


def map_file(path: str | os.PathLike[str]) -> FileContent:
    """Return the content of a file, which the system reads as it is used."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """One tensor in a mapped file; `place_tensor` makes it.

    Attributes
    ----------
    numbers : str
        The type of the stored numbers, one of `NUMBERS`.
    shape : tuple of int
    strides : tuple of int
        In elements.
    content : bytes or mmap
        The file.
    offset : int
        Of the first element, in bytes from the start of the file.
    big_endian : bool
    """

    numbers: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    content: FileContent
    offset: int
    big_endian: bool

    @property
    def is_float(self) -> bool:
        """Whether it is read as float32."""
        return NUMBERS[self.numbers][1] == np.float32

    @property
    def stored_bytes(self) -> int:
        """Size of its elements as stored, each place in the shape counted."""
        return math.prod(self.shape) * item_size(self.numbers)

    def read(self) -> NDArray[Any]:
        """Return the numbers as a new array in C order: floats as float32, others in their own type."""
        stored, result = NUMBERS[self.numbers]
        array: NDArray[Any]
        if 0 in self.shape:  # its offset may be the end of the file
            return np.zeros(self.shape, result)
        stored = stored.newbyteorder(">") if self.big_endian else stored
        strides = tuple(stride * stored.itemsize for stride in self.strides)
        view: NDArray[Any] = np.ndarray(self.shape, stored, self.content, self.offset, strides)
        if self.numbers == "BF16":
            return widen_bfloat16(view)
        array = np.empty(self.shape, result)
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, as in torch
            array[...] = view
        return array

    def view(self) -> NDArray[Any]:
        """Return the numbers where they are, if they are stored as `read` returns them, or what `read` returns.

        The array cannot be written to. It is a part of the mapped file: its numbers are read from there when they are
        looked at.
        """
        stored, result = NUMBERS[self.numbers]
        in_order = tuple(s if n > 1 else 0 for s, n in zip(_c_strides(self.shape), self.shape, strict=True))
        here = stored == result and not self.big_endian and self.offset % stored.itemsize == 0
        if not here or 0 in self.shape or self.strides != in_order or not stored.isnative:
            return self.read()
        array: NDArray[Any] = np.ndarray(self.shape, result, self.content, self.offset)
        array.flags.writeable = False
        return array

    def equals(self, other: StoredTensor) -> bool:
        """Return whether another tensor has the same shape and the same numbers.

        Two names of one place in a file are told without reading; else both are read by parts, up to the first that
        differs.
        """
        if self.shape != other.shape or 0 in self.shape:
            return self.shape == other.shape
        if self.content is other.content and self._place() == other._place():
            return True
        return all(np.array_equal(one, two) for one, two in zip(self._parts(), other._parts(), strict=True))

    def _place(self) -> tuple[object, ...]:
        return self.numbers, self.strides, self.offset, self.big_endian

    def _parts(self) -> Iterator[NDArray[Any]]:
        """Read some rows after the other."""
        if not self.shape:
            yield self.read()
            return
        rows, step = self.shape[0], max(1, _COMPARED * self.shape[0] // math.prod(self.shape))
        for first in range(0, rows, step):
            offset = self.offset + first * self.strides[0] * item_size(self.numbers)
            part = replace(self, shape=(min(step, rows - first), *self.shape[1:]), offset=offset)
            yield part.read()
            part.let_go()

    def let_go(self) -> None:
        """Tell the system that the numbers are not needed in memory for now; reading them again is fine."""
        if not isinstance(self.content, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
            return
        begin = -(-self.offset // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (self.offset + self.stored_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
        if end > begin:
            self.content.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def place_tensor(
    numbers: str,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    content: FileContent,
    storage: tuple[int, int],
    first: int = 0,
    big_endian: bool = False,
) -> StoredTensor:
    """Describe a tensor within a storage.

    Parameters
    ----------
    numbers, shape, content, big_endian
        See `StoredTensor`.
    strides : tuple of int, optional
        In elements; those of C order by default.
    storage : pair of int
        The bytes of the file that belong to the storage: first, and one past the last.
    first : int, default 0
        The element of the storage that the tensor begins with.

    Raises
    ------
    ValueError
        If an element is outside the storage, or the shape is beyond what an array can have.
    """
    if len(shape) > _MOST_DIMENSIONS or math.prod(max(n, 1) for n in shape) > _MOST_ELEMENTS:
        raise ValueError(f"shape {str(shape)[:100]} is larger than an array can be")
    if strides is None:
        strides = _c_strides(shape)
    if len(strides) != len(shape):
        raise ValueError(f"shape {shape} has {len(shape)} dimensions, strides {strides} have {len(strides)}")
    start, end = storage
    size = (end - start) // item_size(numbers)
    last = first + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if first < 0 or min(shape, default=0) < 0 or min(strides, default=0) < 0:
        raise ValueError(f"shape {shape}, strides {strides} and offset {first} cannot be negative")
    if not 0 <= start <= end <= len(content) or (0 not in shape and last >= size):
        raise ValueError(f"shape {shape}, strides {strides} and offset {first} reach outside a storage of {size}")
    strides = tuple(stride if n > 1 else 0 for n, stride in zip(shape, strides, strict=True))  # others are not used
    return StoredTensor(numbers, shape, strides, content, start + first * item_size(numbers), big_endian)


def _c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """In elements."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def read_all(tensors: Mapping[str, StoredTensor]) -> dict[str, NDArray[Any]]:
    """Read tensors one after the other. Names of one and the same tensor get one array."""
    arrays: dict[StoredTensor, NDArray[Any]] = {}
    for tensor in tensors.values():
        if tensor not in arrays:
            arrays[tensor] = tensor.read()
    return {name: arrays[tensor] for name, tensor in tensors.items()}


def read_floats(path: str | os.PathLike[str], tensors: Mapping[str, StoredTensor]) -> dict[str, NDArray[np.float32]]:
    """Read tensors that must be floats.

    Raises
    ------
    ValueError
        If some are not; it names the file and each of them, and nothing has been read.
    """
    wrong = [f"tensor {name} is {tensor.numbers}" for name, tensor in tensors.items() if not tensor.is_float]
    if wrong:
        raise ValueError(f"{os.fspath(path)}: {', '.join(wrong)}; expected {_FLOATS}")
    return read_all(tensors)
