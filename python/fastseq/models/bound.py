"""The tensors of a model bound to stored ones: all checked at once, each read when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq.models.families.sources import Sources, Stored
from fastseq.weights import StoredTensor

__all__ = ["BoundTensors", "ShapedConfig"]

_MOST_NAMED = 50
_FLOATS = "F32, F16, BF16, F64"


class ShapedConfig(Protocol):
    """What a configuration says about tensors."""

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model must have, by name."""

    def optional_tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model may have."""


class BoundTensors(Mapping[str, NDArray[np.float32]]):
    """Our tensors by name, made of stored ones.

    An array is good until the next one is asked for, if it is to be the only one in memory: it may be a part of the
    mapped file, whose pages are let go then.

    Parameters
    ----------
    config
        Says which tensors there are.
    stored : mapping of str to StoredTensor
    sources : dict of str to Source, optional
        By default every tensor is stored under its own name.
    prefix : str, default ""
        What names of stored tensors may begin with in addition.
    ignored : collection of str
        Regular expressions of stored tensors that are not needed.
    infinite : collection of str
        Our names of tensors that may have -inf.

    Raises
    ------
    ValueError
        Naming every stored tensor that is missing, not expected, of another shape or no floats.
    """

    def __init__(
        self,
        config: ShapedConfig,
        stored: Mapping[str, StoredTensor],
        sources: Sources | None = None,
        *,
        prefix: str = "",
        ignored: Collection[str] = (),
        infinite: Collection[str] = (),
    ) -> None:
        self._stored = {plain_name(name, prefix): tensor for name, tensor in stored.items()}
        self._full_names = {plain_name(name, prefix): name for name in stored}
        optional = {name: shape for name, shape in config.optional_tensor_shapes().items() if name in self._stored}
        self._shapes = config.tensor_shapes() | optional
        self._sources: Sources = sources if sources is not None else {name: Stored(name) for name in self._shapes}
        self._infinite = infinite
        self._last: list[StoredTensor] = []
        self._check(ignored)

    def _check(self, ignored: Collection[str]) -> None:
        wanted: dict[str, tuple[int, ...]] = {}
        for name, shape in self._shapes.items():
            wanted |= self._sources[name].stored_shapes(shape)
        problems = [f"tensor {name} is missing" for name in wanted if name not in self._stored]
        pattern = re.compile("|".join(ignored) or r"(?!)")
        for name, tensor in self._stored.items():
            full = self._full_names[name]
            if name not in wanted:
                if not pattern.fullmatch(name):
                    problems.append(f"tensor {full} is not expected")
            elif not tensor.is_float:
                problems.append(f"tensor {full} is {tensor.numbers}; expected {_FLOATS}")
            elif tensor.shape != wanted[name]:
                problems.append(f"tensor {full} has shape {tensor.shape}; expected {wanted[name]}")
        if problems:
            more = [f"and {len(problems) - _MOST_NAMED} more"] if len(problems) > _MOST_NAMED else []
            raise ValueError("; ".join(problems[:_MOST_NAMED] + more))

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        self._let_go()
        source = self._sources[name]
        names = list(source.stored_shapes(self._shapes[name]))
        self._last = [self._stored[theirs] for theirs in names]
        arrays = [tensor.view() for tensor in self._last]
        for theirs, array in zip(names, arrays, strict=True):
            if not _is_finite(array, name in self._infinite):
                raise ValueError(f"tensor {self._full_names[theirs]} has NaN or infinite numbers")
        return source.build(arrays)

    def _let_go(self) -> None:
        for tensor in self._last:
            tensor.let_go()
        self._last = []

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def read_all(self) -> dict[str, NDArray[np.float32]]:
        """Return copies of all."""
        return {name: np.array(self[name], order="C") for name in self}


def plain_name(name: str, prefix: str) -> str:
    """Return the name of a stored tensor without prefix, and as newer versions of transformers have it."""
    name = name.removeprefix(prefix)
    if name.endswith(("LayerNorm.gamma", "LayerNorm.beta")):  # of the first BERT
        name = name.removesuffix("gamma").removesuffix("beta") + ("weight" if name.endswith("gamma") else "bias")
    return name


def _is_finite(array: NDArray[Any], may_be_minus_infinite: bool) -> bool:
    if _backend.active().all_finite(array):
        return True
    return may_be_minus_infinite and bool((np.isfinite(array) | np.isneginf(array)).all())
