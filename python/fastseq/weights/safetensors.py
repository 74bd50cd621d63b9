"""Safetensors files: a length, a JSON header with each tensor's type, shape and place, and the numbers.

Format: https://huggingface.co/docs/safetensors. The `safetensors` package validates the file; the numbers are read
here, because its NumPy side has no bfloat16.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fastseq.weights.stored import NUMBERS, FileContent, StoredTensor, map_file, place_tensor, read_floats

__all__ = ["map_safetensors", "open_safetensors", "read_safetensors", "write_safetensors"]


def open_safetensors(path: str | os.PathLike[str]) -> dict[str, StoredTensor]:
    """Describe every tensor of a file; no number is read.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict of str to StoredTensor

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or a tensor is of an unknown type; the message names the file and the tensors.
    """
    name = os.fspath(path)
    header, content, data = map_safetensors(name)
    header.pop("__metadata__", None)
    wrong = [
        f"tensor {tensor} is {entry['dtype']}" for tensor, entry in header.items() if entry["dtype"] not in NUMBERS
    ]
    if wrong:
        raise ValueError(f"{name}: {', '.join(wrong)}; expected one of {', '.join(NUMBERS)}")
    tensors = {}
    for tensor, entry in header.items():
        try:
            tensors[tensor] = _place(content, data, entry)
        except ValueError as error:
            raise ValueError(f"{name}: tensor {tensor}: {error}") from None
    return tensors


def map_safetensors(name: str) -> tuple[dict[str, Any], FileContent, int]:
    """Return the validated header of a file, the mapped file, and where its numbers begin."""
    try:
        with safe_open(name, framework="numpy"):
            pass  # opening it validates the header: types, shapes, places without gaps, size of the file
    except SafetensorError as error:
        raise ValueError(f"{name} is damaged or no safetensors file: {error}") from None
    content = map_file(name)
    data = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:data])
    return header, content, data


def _place(content: FileContent, data: int, entry: dict[str, Any]) -> StoredTensor:
    begin, end = entry["data_offsets"]
    return place_tensor(entry["dtype"], tuple(entry["shape"]), None, content, (data + begin, data + end))


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, NDArray[np.float32]]:
    """Read every tensor of a file of floats as float32.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict of str to float32 array
        float16 and bfloat16 are widened, which is exact; float64 is rounded.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or a tensor is of another type; the message names the file and the tensors.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     write_safetensors(path, {"bias": np.array([0.5, -2.0], np.float16)})
    ...     read_safetensors(path)
    {'bias': array([ 0.5, -2. ], dtype=float32)}
    """
    return read_floats(path, open_safetensors(path))


def write_safetensors(path: str | os.PathLike[str], tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write tensors to a file.

    Parameters
    ----------
    path : str or path
    tensors : mapping of str to array
    """
    save_file({name: np.asarray(array, order="C") for name, array in tensors.items()}, os.fspath(path))
