"""The plain subset of HDF5 that Keras writes: groups of contiguous arrays of numbers.

HDF5 can do more than hold numbers: links into other files, data that lies in other files, filters that are loaded as
plugins. None of it is followed here; a file that has any of it is refused.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.weights.stored import widen_bfloat16

__all__ = ["Group", "read_hdf5"]

_DEEPEST, _MOST_OBJECTS, _MOST_DIMENSIONS = 32, 100_000, 8


@dataclass
class Group:
    """One group of a file.

    Attributes
    ----------
    arrays : dict of str to array
    groups : dict of str to Group
    label : str
        The attribute `name`, or nothing.
    """

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    label: str = ""


def read_hdf5(content: bytes, where: str | os.PathLike[str]) -> Group:
    """Read all arrays of an HDF5 file.

    Parameters
    ----------
    content : bytes
        Of the file.
    where : str or path
        What errors call it.

    Returns
    -------
    Group
        The root. Floats as float32, other numbers in their own type.

    Raises
    ------
    ImportError
        If h5py is missing; the message says how to get it.
    ValueError
        If the file is damaged, or has something else than groups and plain arrays of numbers.
    """
    try:
        import h5py
    except ImportError:
        raise ImportError("reading HDF5 files needs h5py: pip install 'fastseq-cpu[keras]'") from None
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return _Reader(h5py, len(content)).group(file, "", 0)
    except ValueError as error:
        raise ValueError(f"{os.fspath(where)}: {error}") from None
    except (OSError, KeyError, RuntimeError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(f"{os.fspath(where)}: damaged or no HDF5 file: {str(error)[:200]}") from None


class _Reader:
    """Walks one file; `budget` bounds what its arrays may hold together."""

    def __init__(self, h5py: Any, budget: int) -> None:
        self.h5py = h5py
        self.budget = budget
        self.objects = 0

    def group(self, group: Any, path: str, depth: int) -> Group:
        result = Group(label=self.label(group))
        if depth > _DEEPEST:
            raise ValueError(f"groups are nested deeper than {_DEEPEST}")
        for name in group:
            self.objects += 1
            if self.objects > _MOST_OBJECTS:
                raise ValueError(f"it has more than {_MOST_OBJECTS} objects")
            inner = f"{path}/{name}"
            if not isinstance(group.get(name, getlink=True), self.h5py.HardLink):
                raise ValueError(f"{inner[:200]} is a link to somewhere else, which is refused")
            item = group[name]
            if isinstance(item, self.h5py.Group):
                result.groups[name] = self.group(item, inner, depth + 1)
            elif isinstance(item, self.h5py.Dataset):
                result.arrays[name] = self.array(item, inner)
            else:
                raise ValueError(f"{inner[:200]} is a {type(item).__name__}; expected a group or an array")
        return result

    def label(self, group: Any) -> str:
        value = group.attrs.get("name", "")
        return value if isinstance(value, str) else ""

    def array(self, item: Any, path: str) -> NDArray[Any]:
        path = path[:200]
        bfloat16 = item.dtype == np.dtype("V2") and item.attrs.get("dtype") == "bfloat16"  # HDF5 has no such type
        if item.shape is None or len(item.shape) > _MOST_DIMENSIONS or not (item.dtype.kind in "fiub" or bfloat16):
            raise ValueError(f"{path} has shape {item.shape} and type {item.dtype}; expected an array of numbers")
        if item.chunks is not None or item.external or item.is_virtual:
            raise ValueError(f"{path} is stored in chunks or elsewhere; expected a plain array, as Keras writes")
        size = item.size * item.dtype.itemsize
        self.budget -= size
        if self.budget < 0:
            raise ValueError(f"{path} has {size} bytes, more than the file has")
        values: NDArray[Any] = np.asarray(item[()])
        if bfloat16:
            return widen_bfloat16(values.view(np.uint16))
        return np.asarray(values, np.float32, order="C") if item.dtype.kind == "f" else np.asarray(values)
