"""Models in the form that they compute with, in a file that the next load maps.

Tables are stored as they are, the weights of dense and recurrent layers packed for the vectors of one processor and in
the model's compute type. Where the vectors are others, or another type is asked for, the weights are unpacked, which is
exact, and packed again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend, _checks
from fastseq._layout import packed_type
from fastseq.models.bound import ShapedConfig
from fastseq.models.described import describe, describe_defaults
from fastseq.models.generation import GenerationDefaults
from fastseq.models.packed_layout import Part
from fastseq.weights import WEIGHT_FILES
from fastseq.weights.parts import open_parts, write_parts

__all__ = ["PACKED_FILE", "PackedTensors", "open_packed", "save_packed"]

PACKED_FILE = "packed.safetensors"
VERSION = 1  # of the layouts, too: a new one gets a new number
_MOST_NAMED = 20
# What else a folder may have that its texts, searches and pooling are read from.
_TEXT_SUFFIXES = (".json", ".txt", ".model", ".spm", ".bpe", ".vocab")


def save_packed(
    path: str | os.PathLike[str],
    kind: str,
    config: Any,
    compute_type: str,
    weights: Mapping[str, Any],
    defaults: GenerationDefaults | None,
    source: Path | None,
) -> Path:
    """Write the folder of a model.

    Parameters
    ----------
    path : str or path
    kind : str
        Which configuration it is.
    config
    compute_type : str
    weights : mapping
        Where they lie, as the native backend says.
    defaults : GenerationDefaults, optional
    source : Path, optional
        The folder that the model came from: its tokenizer comes along.

    Raises
    ------
    ValueError
        If the folder has weights of another form.
    """
    folder = Path(path)
    others = [name for name in WEIGHT_FILES if (folder / name).exists()]
    if others:
        raise ValueError(f"folder {str(folder)!r} has {', '.join(others)}; expected one without other weights")
    entries: dict[str, Any] = {}
    parts: dict[str, NDArray[Any]] = {}
    shapes = config.tensor_shapes() | config.optional_tensor_shapes()
    for name, array in (weights["vectors"] | weights["tables"]).items():
        entries[name] = {"shape": list(shapes[name])}
        parts[name] = array
    for name, rows in weights["packed"].items():
        described = []
        for i, values in enumerate(rows):
            fields = {field: values[field] for field in ("first_row", "rows", "gates", "width")}
            part = Part.read(packed_type(name, compute_type), values["columns"], fields)
            arrays = {"data": values["data"]}
            if part.compute_type == "int8":
                arrays |= {"scales": values["scales"], "sums": part.sums(values["data"])}
            parts |= {f"{name}/{i}/{array}": numbers for array, numbers in arrays.items()}
            described.append(fields)
        entries[name] = {"shape": list(shapes[name]), "packed": described}
    description = {
        "version": VERSION,
        "kind": kind,
        "config": describe(config),
        "compute_type": compute_type,
        "isa": _backend.get("native").packing()["isa"],
        "tensors": entries,
    }
    if defaults is not None:
        description["generation"] = describe_defaults(defaults)
    folder.mkdir(parents=True, exist_ok=True)
    if source is not None and source.is_dir() and source.resolve() != folder.resolve():
        _copy_texts(source, folder)
    write_parts(folder / PACKED_FILE, description, parts)
    return folder


def _copy_texts(source: Path, folder: Path) -> None:
    import shutil  # with all its archives, only to save a model

    for path in source.iterdir():
        if path.is_file() and path.suffix in _TEXT_SUFFIXES and path.name not in WEIGHT_FILES:
            shutil.copyfile(path, folder / path.name)
        elif (path / "config.json").is_file() and (source / "modules.json").is_file():  # pooling and what follows it
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)


def open_packed(path: Path) -> tuple[dict[str, Any], Mapping[str, NDArray[np.uint8]]]:
    """Return what a file says about its model, and its parts.

    Raises
    ------
    ValueError
        If the file is damaged or of another version.
    """
    description, parts = open_parts(path)
    if description.get("version") != VERSION:
        version = str(description.get("version"))[:60]
        raise ValueError(f"{path}: version is {version}; this fastseq reads {VERSION}: save the model again")
    try:
        _checks.compute_type(str(path), description.get("compute_type"))
    except TypeError as error:
        raise ValueError(str(error)) from None
    return description, parts


class PackedTensors(Mapping[str, Any]):
    """The tensors of a model in a file of parts, for its native class: used where they lie if packed as wanted.

    Parameters
    ----------
    config
        Says which tensors there are.
    description : mapping
    parts : mapping of str to uint8 array
    compute_type : str
        What is wanted.
    native : bool
        Whether the native backend is to use them.

    Raises
    ------
    ValueError
        Naming every tensor that is missing, not expected or of another shape or size.
    """

    def __init__(
        self,
        config: ShapedConfig,
        description: Mapping[str, Any],
        parts: Mapping[str, NDArray[np.uint8]],
        compute_type: str,
        native: bool,
    ) -> None:
        entries = description.get("tensors")
        self._entries: dict[str, Any] = entries if isinstance(entries, dict) else {}
        self._parts = parts
        self._type: str = description["compute_type"]
        required, optional = config.tensor_shapes(), config.optional_tensor_shapes()
        self._shapes = required | {name: shape for name, shape in optional.items() if name in self._entries}
        self._packed: dict[str, list[Part]] = {}
        problems = [f"tensor {name} is not expected" for name in self._entries if name not in self._shapes]
        for name, shape in self._shapes.items():
            try:
                self._check(name, shape)
            except ValueError as error:
                problems.append(f"tensor {name} {error}")
        if problems:
            more = f"; and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
            raise ValueError("; ".join(problems[:_MOST_NAMED]) + more)
        self._native = native
        here = _backend.get("native").packing() if native and compute_type == self._type else None
        self._as_wanted = here is not None and all(
            part.width == (part.gates * here["lanes"] if part.gates else here[part.compute_type])
            for rows in self._packed.values()
            for part in rows
        )

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        if name not in self._entries:
            raise ValueError("is missing")
        entry = self._entries[name]
        given = entry.get("shape") if isinstance(entry, dict) else None
        if given != list(shape):
            raise ValueError(f"has shape {str(given)[:60]}; expected {shape}")
        rows = entry.get("packed")
        if rows is None:
            self._expect_size(name, 4 * int(np.prod(shape, dtype=np.int64)))
            return
        if len(shape) != 2 or not isinstance(rows, list):
            raise ValueError("cannot be packed")
        kind = packed_type(name, self._type)
        self._packed[name] = [Part.read(kind, shape[1], values) for values in rows]
        next_row = 0
        for part in sorted(self._packed[name], key=lambda part: part.first_row):
            if part.first_row != next_row:
                break
            next_row += part.rows
        if next_row != shape[0]:
            raise ValueError(f"has packed rows that are not the {shape[0]} of its shape")
        for i, part in enumerate(self._packed[name]):
            for array, size in part.sizes.items():
                self._expect_size(f"{name}/{i}/{array}", size)

    def _expect_size(self, part: str, size: int) -> None:
        """Parts are filled up to whole cache lines."""
        given = len(self._parts[part]) if part in self._parts else None
        if given != size + -size % 64:
            raise ValueError(f"has {given} bytes in part {part}; expected {size + -size % 64}")

    def __getitem__(self, name: str) -> Any:
        if name not in self._packed:
            table = self._table(name)
            return {"table": table} if self._native else table
        return self._where_it_is(name) if self._as_wanted else self._unpacked(name)

    def _table(self, name: str) -> NDArray[np.float32]:
        shape = self._shapes[name]
        return self._parts[name].view(np.float32)[: int(np.prod(shape, dtype=np.int64))].reshape(shape)

    def _arrays(self, name: str, i: int, part: Part) -> dict[str, Any]:
        return {array: self._parts[f"{name}/{i}/{array}"][:size] for array, size in part.sizes.items()}

    def _where_it_is(self, name: str) -> dict[str, Any]:
        packed = []
        for i, part in enumerate(self._packed[name]):
            arrays = self._arrays(name, i, part)
            if part.compute_type == "int8":
                arrays |= {"scales": arrays["scales"].view(np.float32), "sums": arrays["sums"].view(np.int32)}
            packed.append(vars(part) | arrays)
        return {"shape": self._shapes[name], "packed": packed}

    def _unpacked(self, name: str) -> Any:
        order = sorted(enumerate(self._packed[name]), key=lambda pair: pair[1].first_row)
        pieces = [part.unpack(self._arrays(name, i, part)) for i, part in order]
        if packed_type(name, self._type) == "int8":
            values, scales = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
            return values, scales
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def read_all(self) -> dict[str, Any]:
        """Return all, unpacked."""
        return {name: self._unpacked(name) if name in self._packed else self._table(name) for name in self}
