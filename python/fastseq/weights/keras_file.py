"""Files of Keras 3: `.keras` (a zip of a configuration and weights) and `.weights.h5`.

Formats: `keras/src/saving/saving_lib.py`. Nothing in a file is run: configurations are read as data.
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastseq.weights.hdf5 import Group, read_hdf5

__all__ = ["KerasFile", "read_keras"]

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MOST_CONFIG_BYTES = 1 << 26


@dataclass(frozen=True)
class KerasFile:
    """What a file of Keras holds.

    Attributes
    ----------
    config : dict
        `class_name` and `config` of the model, as `model.to_json()` has them.
    weights : Group
        Arrays by layer.
    path : str
    """

    config: dict[str, Any]
    weights: Group
    path: str


def read_keras(path: str | os.PathLike[str], config: Any = None) -> KerasFile:
    """Read a model that Keras 3 saved, without Keras.

    Parameters
    ----------
    path : str or path
        A `.keras` file of `model.save`, or a `.weights.h5` file of `model.save_weights`.
    config : dict or str, optional
        For a `.weights.h5` file, which has none: what `model.to_json()` returns.

    Returns
    -------
    KerasFile

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If h5py is missing.
    ValueError
        If the file is damaged or is something else; the message names it.

    Examples
    --------
    >>> read_keras("no-such-file.keras")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no-such-file.keras'
    """
    name = os.fspath(path)
    content = Path(path).read_bytes()
    if content[:4] != b"PK\x03\x04":
        if config is None:
            raise ValueError(f"{name}: is no .keras archive; weights alone need config=, what model.to_json() returns")
        return KerasFile(_parse(config, "config"), read_hdf5(content, path), name)
    if config is not None:
        raise ValueError(f"{name}: has its own configuration; config is for files of weights alone")
    text, weights = (_entry(path, entry) for entry in (_CONFIG, _WEIGHTS))
    if len(text) > _MOST_CONFIG_BYTES:
        raise ValueError(f"{name}: {_CONFIG} has {len(text)} bytes; expected at most {_MOST_CONFIG_BYTES}")
    return KerasFile(_parse(text, f"{name}: {_CONFIG}"), read_hdf5(weights, f"{name}: {_WEIGHTS}"), name)


def _entry(path: str | os.PathLike[str], name: str) -> bytes:
    """Read an entry that is stored as it is; nothing is decompressed."""
    where = os.fspath(path)
    try:
        with zipfile.ZipFile(path) as archive:
            found = [entry for entry in archive.infolist() if entry.filename == name]
            if len(found) != 1:
                raise ValueError(f"{where}: the archive has {len(found)} entries {name}; expected one")
            if found[0].compress_type != zipfile.ZIP_STORED or found[0].file_size != found[0].compress_size:
                raise ValueError(f"{where}: entry {name} is compressed; expected plain data, as Keras writes")
            return archive.read(found[0])
    except (zipfile.BadZipFile, NotImplementedError, struct.error, OverflowError, OSError, EOFError) as error:
        raise ValueError(f"{where}: is damaged: {error}") from None
    except RuntimeError as error:  # a password is wanted
        raise ValueError(f"{where}: {error}") from None


def _parse(config: Any, where: str) -> dict[str, Any]:
    if isinstance(config, (str, bytes)):
        try:
            config = json.loads(config)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} is no JSON: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise ValueError(f'{where} is no configuration of a model; expected {{"class_name": ..., "config": ...}}')
    return config
