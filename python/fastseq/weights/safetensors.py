"""Safetensors files: a length, a JSON header with each tensor's type, shape and place, and the numbers.

Format: https://huggingface.co/docs/safetensors. The `safetensors` package validates the file; the numbers are read
here, because its NumPy side has no bfloat16.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

__all__ = ["read_safetensors", "write_safetensors"]

_STORED: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float32]]:
    """Read every tensor of a file as float32.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict of str to float32 array
        float16 and bfloat16 are widened, which is exact.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or a tensor is of another type; the message names the file and the tensors.
    """
    name = os.fspath(path)
    try:
        with safe_open(name, framework="numpy"):
            pass  # opening it validates the header: types, shapes, places without gaps, size of the file
    except SafetensorError as error:
        raise ValueError(f"{name} is damaged or no safetensors file: {error}") from None
    with open(name, "rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(header_size))
        header.pop("__metadata__", None)
        wrong = [f"{tensor} is {entry['dtype']}" for tensor, entry in header.items() if entry["dtype"] not in _STORED]
        if wrong:
            raise ValueError(f"{name}: tensor {', tensor '.join(wrong)}; expected {', '.join(_STORED)}")
        return {tensor: _read(file, 8 + header_size, tensor, entry) for tensor, entry in header.items()}


def _read(file: BinaryIO, data: int, tensor: str, entry: dict[str, Any]) -> NDArray[np.float32]:
    stored, shape = _STORED[entry["dtype"]], tuple(entry["shape"])
    size = math.prod(shape) * stored.itemsize
    file.seek(data + entry["data_offsets"][0])
    content = file.read(size)
    if len(content) != size:
        raise ValueError(f"{file.name}: tensor {tensor} ends after {len(content)} of {size} bytes")
    numbers: NDArray[Any] = np.frombuffer(content, stored)
    if entry["dtype"] == "BF16":  # the upper half of a float32
        numbers = np.left_shift(numbers, 16, dtype=np.uint32).view(np.float32)
    return numbers.astype(np.float32).reshape(shape)


def write_safetensors(path: str | os.PathLike[str], tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write tensors to a file.

    Parameters
    ----------
    path : str or path
    tensors : mapping of str to array
    """
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, os.fspath(path))
