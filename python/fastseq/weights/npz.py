"""NumPy archives (`.npz`): arrays in a zip, as they lie. Format: `numpy/lib/format.py` of NumPy."""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_npz"]

_MOST_HEADER_BYTES = 4096


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
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                if name in arrays:
                    raise ValueError(f"{where}: the archive has two arrays {name[:100]!r}")
                if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
                    raise ValueError(f"{where}: array {name[:100]!r} is compressed; expected plain data")
                try:
                    arrays[name] = _read(archive.read(entry))
                except ValueError as error:
                    raise ValueError(f"{where}: array {name[:100]!r}: {error}") from None
    except (zipfile.BadZipFile, NotImplementedError, struct.error, OverflowError, EOFError, RuntimeError) as error:
        raise ValueError(f"{where}: is damaged or no zip archive: {error}") from None
    return arrays


def _read(content: bytes) -> NDArray[Any]:
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"format {version} is not known")
        shape, columns_first, kind = readers[version](file, max_header_size=_MOST_HEADER_BYTES)
    except (TypeError, SyntaxError, RecursionError, MemoryError, struct.error) as error:
        raise ValueError(f"its header is damaged: {error}") from None
    if kind.kind not in "fiub" or kind.fields is not None:
        raise ValueError(f"its type is {kind}; expected numbers")
    size = math.prod(shape) * kind.itemsize
    begin = file.tell()
    if len(shape) > 32 or min(shape, default=0) < 0 or size != len(content) - begin:
        raise ValueError(f"it has {len(content) - begin} bytes for shape {str(shape)[:100]}; expected {size}")
    flat: NDArray[Any] = np.frombuffer(content, kind, offset=begin)
    array = flat.reshape(shape, order="F" if columns_first else "C")
    return np.ascontiguousarray(array, np.float32 if kind.kind == "f" else kind.newbyteorder("="))
