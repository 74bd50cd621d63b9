"""NumPy archives (`.npz`): arrays in a zip, as they lie. Format: `numpy/lib/format.py` of NumPy."""

from __future__ import annotations

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
# What the dictionary says; it is not evaluated.
_TYPE = re.compile(r"""['"]descr['"]\s*:\s*['"]([^'"]*)['"]""")
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)\b""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([0-9\s,]*)\)""")


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
    header, begin = _header(content)
    found = [pattern.search(header) for pattern in (_TYPE, _ORDER, _SHAPE)]
    if None in found:
        raise ValueError(f"its header is damaged: {header[:100]!r}")
    type_name, order, sizes = (match[1] for match in found if match is not None)
    if not re.fullmatch(r"[<>|=]?[fiub][1248]", type_name):
        raise ValueError(f"its type is {type_name[:100]}; expected numbers")
    kind, shape = np.dtype(type_name), tuple(map(int, re.findall(r"[0-9]+", sizes)))
    size = math.prod(shape) * kind.itemsize
    if len(shape) > 32 or size != len(content) - begin:
        raise ValueError(f"it has {len(content) - begin} bytes for shape {str(shape)[:100]}; expected {size}")
    flat: NDArray[Any] = np.frombuffer(content, kind, offset=begin)
    array = flat.reshape(shape, order="F" if order == "True" else "C")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, as in torch
        return np.ascontiguousarray(array, np.float32 if kind.kind == "f" else kind.newbyteorder("=")).reshape(shape)


def _header(content: bytes) -> tuple[str, int]:
    """What stands before the numbers, as `numpy.lib.format` says: a mark, a length, and a dictionary; and its end."""
    mark, version = content[:6], tuple(content[6:8])
    if mark != b"\x93NUMPY" or version not in _LENGTHS:
        raise ValueError(f"it begins with {content[:8]!r}; expected an array of format 1.0 or 2.0")
    begin = 8 + struct.calcsize(_LENGTHS[version])
    length = struct.unpack(_LENGTHS[version], content[8:begin])[0] if len(content) >= begin else 0
    end = begin + length
    if not 0 < length <= _MOST_HEADER_BYTES or end > len(content):
        raise ValueError(f"its header is damaged: it has {length} bytes")
    return content[begin:end].decode("latin-1"), end
