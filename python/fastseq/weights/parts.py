"""Files of named parts that are used where they lie: mapped, each on a cache line, each with a checksum.

The file is a safetensors file: every part is a row of bytes, filled up with zeros to whole cache lines, and what the
parts mean is JSON in the metadata. A file that was cut short or damaged is refused before anything is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq.weights.safetensors import map_safetensors

__all__ = ["open_parts", "write_parts"]

_LINE = 64
_KEY = "fastseq"
_MOST_NAMED = 20


def write_parts(
    path: str | os.PathLike[str], description: Mapping[str, Any], parts: Mapping[str, NDArray[Any]]
) -> None:
    """Write a file; it takes its name when it is whole.

    Parameters
    ----------
    path : str or path
    description : mapping
        What the parts mean, as JSON has it.
    parts : mapping of str to array
        Written in C order, as the processor has the numbers.
    """
    pieces = {name: np.ascontiguousarray(array).reshape(-1).view(np.uint8) for name, array in parts.items()}
    checksum = _backend.active().checksum
    values = {**description, "checksums": {name: f"{checksum(piece):016x}" for name, piece in pieces.items()}}
    header: dict[str, Any] = {"__metadata__": {_KEY: json.dumps(values)}}
    end = 0
    for name, piece in pieces.items():
        begin, end = end, end + len(piece) + -len(piece) % _LINE
        header[name] = {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % _LINE)
    path = Path(path)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for piece in pieces.values():
                file.write(piece)  # type: ignore[arg-type]
                file.write(bytes(-len(piece) % _LINE))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def open_parts(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:
    """Map a file and check it.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    description : dict
    parts : dict of str to uint8 array
        Parts of the mapped file, with the zeros at their ends; they cannot be written to.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file was cut short or damaged; the message names the file and the parts.
    """
    name = os.fspath(path)
    header, content, data = map_safetensors(name)
    metadata = header.pop("__metadata__", {})
    try:
        description = json.loads(metadata.get(_KEY, ""))
        checksums = dict(description["checksums"])
    except (KeyError, RecursionError, TypeError, ValueError):
        raise ValueError(f"{name} does not say what its parts mean") from None
    if data % _LINE or any(entry["dtype"] != "U8" or entry["data_offsets"][0] % _LINE for entry in header.values()):
        raise ValueError(f"{name} has parts that are no bytes on cache lines")
    everything = np.frombuffer(content, np.uint8)
    parts = {part: everything[data:][slice(*entry["data_offsets"])] for part, entry in header.items()}
    checksum = _backend.active().checksum
    damaged = [part for part, piece in parts.items() if checksums.pop(part, None) != f"{checksum(piece):016x}"]
    damaged += sorted(checksums)
    if damaged:
        more = f" and {len(damaged) - _MOST_NAMED} more" if len(damaged) > _MOST_NAMED else ""
        raise ValueError(f"{name} is damaged: {', '.join(damaged[:_MOST_NAMED])}{more} not as it was written")
    return description, parts
