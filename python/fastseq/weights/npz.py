"""NumPy archives (`.npz`): arrays in a zip, as they lie. Format: `numpy/lib/format.py` of NumPy."""

from __future__ import annotations

import ast
import math
import os
import re
import struct
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_npz"]

_MOST_HEADER_BYTES = 4096
_LENGTHS = {(1, 0): "<H", (2, 0): "<I"}  # of the header, by version


def read_npz(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read all arrays of an archive; no pickled object is accepted and nothing is decompressed.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict of str to array
        Floats as float32, other numbers in their own type.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or has something else than arrays of numbers; the message names the file and the array.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/model.npz", bias=np.array([0.5, -2.0]))
    ...     read_npz(f"{folder}/model.npz")
    {'bias': array([ 0.5, -2. ], dtype=float32)}
    """
    where = os.fspath(path)
    with open(path, "rb") as file:
        try:
            return _read_archive(file)
        except (zipfile.BadZipFile, OSError, NotImplementedError, struct.error, EOFError, RuntimeError) as error:
            raise ValueError(f"{where}: is damaged or no zip archive: {error}") from None
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{where}: {error}") from None


def _read_archive(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"the archive has two arrays {name[:100]!r}")
            if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                raise ValueError(f"array {name[:100]!r} is compressed; expected plain data")
            content = archive.read(entry)
            try:
                arrays[name] = _read(content)
            except ValueError as error:
                raise ValueError(f"array {name[:100]!r}: {error}") from None
    return arrays


def _read(content: bytes) -> NDArray[Any]:
    fields, begin = _header(content)
    type_name, columns_first, shape = (fields.get(name) for name in ("descr", "fortran_order", "shape"))
    if not isinstance(type_name, str) or not re.fullmatch(r"[<>|=]?[fiub][1248]", type_name):
        raise ValueError(f"its type is {str(type_name)[:100]}; expected numbers")
    if not isinstance(shape, tuple) or len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"its shape is {str(shape)[:100]}; expected a tuple of sizes")
    kind = np.dtype(type_name)
    size = math.prod(shape) * kind.itemsize
    if size != len(content) - begin:
        raise ValueError(f"it has {len(content) - begin} bytes for shape {str(shape)[:100]}; expected {size}")
    flat: NDArray[Any] = np.frombuffer(content, kind, offset=begin)
    array = flat.reshape(shape, order="F" if columns_first else "C")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, as in torch
        return np.ascontiguousarray(array, np.float32 if kind.kind == "f" else kind.newbyteorder("=")).reshape(shape)


def _header(content: bytes) -> tuple[dict[Any, Any], int]:
    """What stands before the numbers, as `numpy.lib.format` says: a mark, its length, and a dictionary; and its end."""
    mark, version = content[:6], tuple(content[6:8])
    if mark != b"\x93NUMPY" or version not in _LENGTHS:
        raise ValueError(f"it begins with {content[:8]!r}; expected an array of format 1.0 or 2.0")
    try:
        [length] = struct.unpack_from(_LENGTHS[version], content, 8)
        begin = 8 + struct.calcsize(_LENGTHS[version]) + length
        if length > _MOST_HEADER_BYTES or begin > len(content):
            raise ValueError(f"it has {length} bytes")
        fields = ast.literal_eval(content[begin - length : begin].decode("latin-1").strip())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, struct.error) as error:
        raise ValueError(f"its header is damaged: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError("its header is damaged: it is no dictionary")
    return fields, begin
