"""Training checkpoints: dictionaries with tensors, options and more, saved by `torch.save`.

Besides what tensor files may have, their pickles name `argparse.Namespace`, which becomes a plain record of its
attributes, and use small numbers as keys (states of optimisers).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastseq.weights.pickle_machine import GlobalName, PickleMachine
from fastseq.weights.stored import StoredTensor
from fastseq.weights.torch_file import SavedValue, read_saved
from fastseq.weights.torch_names import TorchNames

__all__ = ["Checkpoint", "Record", "open_checkpoint"]

_RECORDS = {("argparse", "Namespace")}
_LARGEST_KEY = 1 << 20  # numbers below it cannot be chosen so that many share a place in a table


@dataclass
class Record:
    """An object as its attributes; none of its code exists here."""

    attributes: dict[str, Any] = field(default_factory=dict)


class _Names(TorchNames):
    """Tensors and records."""

    def check_global(self, name: GlobalName) -> None:
        if (name.module, name.name) not in _RECORDS:
            super().check_global(name)


class _Machine(PickleMachine):
    """Builds records, too."""

    def key(self, value: Any) -> Any:
        if type(value) is int and 0 <= value < _LARGEST_KEY:
            return value
        return super().key(value)


def _new_object(machine: PickleMachine) -> None:
    arguments, name = machine.pop(), machine.pop()
    known = isinstance(name, GlobalName) and (name.module, name.name) in _RECORDS
    if not known or arguments != ():
        raise ValueError(f"a new {str(name)[:100]!r} is refused: checkpoints do not need it")
    machine.stack.append(Record())


def _build(machine: PickleMachine) -> None:
    state = machine.pop()
    target = machine.top(dict, Record)
    if isinstance(target, Record):
        if type(state) is not dict or not all(type(key) is str for key in state):
            raise ValueError("the attributes of a record are no dictionary")
        target.attributes.update(state)


_Machine.actions = {**PickleMachine.actions, b"\x81": _new_object, b"b": _build}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, its tensors still in the file.

    Attributes
    ----------
    path : str
    values : dict
        What was saved; a `Record` for each namespace.
    """

    path: str
    values: dict[str, Any]
    saved: SavedValue

    def tensors(self, name: str) -> dict[str, StoredTensor]:
        """Describe the tensors of one of its dictionaries.

        Raises
        ------
        ValueError
            If it is missing or has anything but tensors; the message names the file and the dictionary.
        """
        try:
            if not isinstance(self.values.get(name), dict):
                raise ValueError("is no dictionary of tensors")
            return self.saved.tensors(self.values[name])
        except ValueError as error:
            raise ValueError(f"{self.path}: {name}: {error}") from None

    def options(self, name: str) -> Mapping[str, Any]:
        """Return the attributes of a namespace, or the dictionary that stands in its place."""
        value = self.values.get(name)
        if isinstance(value, Record):
            return value.attributes
        if isinstance(value, dict):
            return value
        raise ValueError(f"{self.path}: {name} is a {type(value).__name__}; expected options")


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint without PyTorch and without running anything in it; no tensor is read yet.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Checkpoint

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is something else, or names anything but tensors and namespaces; the message names the
        file and what is wrong.

    Examples
    --------
    >>> open_checkpoint("no-such-file.pt")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no-such-file.pt'
    """
    try:
        saved = read_saved(path, _Machine, _Names)
        if not isinstance(saved.value, dict) or not all(type(key) is str for key in saved.value):
            raise ValueError(f"holds a {type(saved.value).__name__}; expected a dictionary with names")
        return Checkpoint(os.fspath(path), saved.value, saved)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
