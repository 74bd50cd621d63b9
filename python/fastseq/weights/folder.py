"""Folders of weights as they are published: one file or several with an index, safetensors or of `torch.save`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastseq.weights.safetensors import open_safetensors
from fastseq.weights.stored import StoredTensor, read_all

__all__ = ["WEIGHT_FILES", "find_weights", "open_weights", "read_weights"]

_Open = Callable[[Path], dict[str, StoredTensor]]


def _open_torch(path: Path) -> dict[str, StoredTensor]:
    from fastseq.weights.torch_file import open_torch  # with its unpickler, which safetensors do without

    return open_torch(path)


_READERS: dict[str, _Open] = {
    "model.safetensors": open_safetensors,
    "model.safetensors.index.json": open_safetensors,
    "pytorch_model.bin": _open_torch,
    "pytorch_model.bin.index.json": _open_torch,
}
WEIGHT_FILES = tuple(_READERS)
_MOST_NAMED = 20


def find_weights(folder: str | os.PathLike[str]) -> Path | None:
    """Return the file or index of a folder that `read_weights` reads: the first in `WEIGHT_FILES` that is there."""
    return next((path for name in WEIGHT_FILES if (path := Path(folder) / name).is_file()), None)


def read_weights(folder: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read the weights of a model folder in any published form; nothing in the folder is run.

    Parameters
    ----------
    folder : str or path
        What it has first of `model.safetensors`, `model.safetensors.index.json` with its shards, `pytorch_model.bin`,
        `pytorch_model.bin.index.json` with its shards.

    Returns
    -------
    dict of str to array
        In C order: floats as float32, integers and booleans in their own type. Names of one and the same tensor
        (tied weights) have the same array.

    Raises
    ------
    FileNotFoundError
        If the folder, all of these files or a shard is missing.
    ValueError
        If a file is damaged, a tensor is not where the index says, or a shard is outside the folder; the message
        names the file.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from fastseq.weights import write_safetensors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_safetensors(f"{folder}/model.safetensors", {"bias": np.array([0.5, -2.0], np.float16)})
    ...     read_weights(folder)
    {'bias': array([ 0.5, -2. ], dtype=float32)}
    """
    return read_all(open_weights(folder))


def open_weights(folder: str | os.PathLike[str]) -> dict[str, StoredTensor]:
    """Describe the weights of a model folder; no number is read. See `read_weights`."""
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"no model folder {os.fspath(folder)!r}")
    path = find_weights(folder)
    if path is None:
        raise FileNotFoundError(f"model folder {os.fspath(folder)!r} has none of {', '.join(WEIGHT_FILES)}")
    reader = _READERS[path.name]
    return _open_shards(path, reader) if path.suffix == ".json" else reader(path)


def _open_shards(index: Path, reader: _Open) -> dict[str, StoredTensor]:
    shard_of = _read_index(index)
    shards = sorted(set(shard_of.values()))
    missing = [shard for shard in shards if not (index.parent / shard).is_file()]
    if missing:
        raise FileNotFoundError(f"model folder {str(index.parent)!r} has no {_some(missing)}, which {index.name} names")
    found = {shard: reader(index.parent / shard) for shard in shards}
    lost = [f"tensor {name} is not in {shard}" for name, shard in shard_of.items() if name not in found[shard]]
    if lost:
        raise ValueError(f"{index}: {_some(lost)}")
    return {name: found[shard][name] for name, shard in shard_of.items()}


def _read_index(path: Path) -> dict[str, str]:
    """Return the file of each tensor."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    shard_of = values.get("weight_map") if isinstance(values, dict) else None
    if not isinstance(shard_of, dict) or not shard_of:
        raise ValueError(f'{path} has no tensors; expected {{"weight_map": {{tensor: file, ...}}}}')
    wrong = [f"tensor {name} in {str(shard)[:100]!r}" for name, shard in shard_of.items() if not _is_inside(shard)]
    if wrong:
        raise ValueError(f"{path}: {_some(wrong)}; expected files in the folder")
    return shard_of


def _is_inside(shard: object) -> bool:
    """Whether this is a relative path without steps upwards. Links are followed: caches of models are made of them."""
    if not isinstance(shard, str) or re.search(r"[\\:\0]", shard):
        return False
    return all(part not in ("", ".", "..") for part in shard.split("/"))


def _some(items: list[str]) -> str:
    more = f" and {len(items) - _MOST_NAMED} more" if len(items) > _MOST_NAMED else ""
    return ", ".join(items[:_MOST_NAMED]) + more
