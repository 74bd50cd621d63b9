"""What the pickle of a PyTorch tensor file may name: its tensors, its storages, and a few plain values.

Names and arguments: `torch/_utils.py` and `torch/serialization.py` of PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastseq.weights.pickle_machine import GlobalName

__all__ = ["Storage", "TorchNames", "TorchTensor"]

_STORAGES = {
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "DoubleStorage": "F64",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
_MOST_DIMENSIONS = 32
_MOST = 1 << 60  # elements of a storage, its dimensions, strides and offsets: products of these stay small numbers


@dataclass(frozen=True)
class Storage:
    """Numbers in the file: their type, the key that says where they are, how many there are."""

    numbers: str
    key: str
    size: int


@dataclass(frozen=True)
class TorchTensor:
    """A view of a storage; offset and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _count(value: Any, what: str) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        given = str(value) if type(value) is int and abs(value) <= 1 << 64 else f"a {type(value).__name__}"
        raise ValueError(f"{what} is {given}; expected a whole number from 0 to 2**60")
    return value


def _counts(value: Any, what: str) -> tuple[int, ...]:
    if not isinstance(value, (tuple, list)) or len(value) > _MOST_DIMENSIONS:
        raise ValueError(f"{what} is a {type(value).__name__}; expected a tuple of at most {_MOST_DIMENSIONS} numbers")
    return tuple(_count(item, what) for item in value)


def _rebuild_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any, metadata: Any = None
) -> TorchTensor:
    if not isinstance(storage, Storage):
        raise ValueError(f"the storage of a tensor is a {type(storage).__name__}")
    if metadata:
        raise ValueError("a tensor is stored as conjugated or negated; expected its own numbers")
    sizes, steps = _counts(shape, "the shape of a tensor"), _counts(strides, "the strides of a tensor")
    return TorchTensor(storage, _count(offset, "the offset of a tensor"), sizes, steps)


def _rebuild_parameter(data: Any, requires_grad: Any, hooks: Any, state: Any = None) -> TorchTensor:
    if not isinstance(data, TorchTensor):
        raise ValueError(f"the value of a parameter is a {type(data).__name__}; expected a tensor")
    return data


def _size(sizes: Any) -> tuple[int, ...]:
    return _counts(sizes, "a torch.Size")


def _device(kind: Any, index: Any = None) -> str:
    return kind if isinstance(kind, str) else "device"


def _ordered_dict() -> dict[str, Any]:
    return {}


_CALLS: Mapping[tuple[str, str], Callable[..., object]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
    ("collections", "OrderedDict"): _ordered_dict,
}


class TorchNames:
    """The world of one pickle (see `pickle_machine.World`).

    Attributes
    ----------
    storages : dict of str to Storage
        By key, those that the pickle has named so far.
    """

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}

    def check_global(self, name: GlobalName) -> None:
        """Refuse a name that no tensor needs."""
        known = (name.module, name.name) in _CALLS or (name.module == "torch" and name.name in _STORAGES)
        if not known:
            raise ValueError(f"global {str(name)[:100]!r} is refused: tensors do not need it")

    def call(self, name: GlobalName, arguments: tuple[Any, ...]) -> object:
        """Return what the named function makes of the arguments."""
        function = _CALLS.get((name.module, name.name))
        if function is None:
            raise ValueError(f"{name} is called; it only names a type")
        try:
            return function(*arguments)
        except TypeError:
            raise ValueError(f"{name} does not take {len(arguments)} arguments") from None

    def persistent(self, description: object) -> Storage:
        """Return the storage of ('storage', type, key, device, size) with, in older files, None for no view of it."""
        if not isinstance(description, tuple) or len(description) not in (5, 6) or description[0] != "storage":
            raise ValueError("a persistent id is no description of a storage")
        _, kind, key, _, size, *view = description
        if not isinstance(kind, GlobalName) or kind.module != "torch" or kind.name not in _STORAGES:
            raise ValueError("a storage has no storage type")
        if not isinstance(key, str):
            raise ValueError(f"the key of a storage is a {type(key).__name__}; expected text")
        if view not in ([], [None]):
            raise ValueError("a storage is a view of another one, which only PyTorch before 0.4 wrote")
        storage = Storage(_STORAGES[kind.name], key, _count(size, "the size of a storage"))
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key[:100]!r} has two types or sizes")
        return storage
