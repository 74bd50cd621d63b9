"""Where the tensors of a model come from: names in the published weights, and how they become ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.models.stack import Shapes
from fastseq.weights import StoredTensor

__all__ = ["Computed", "Part", "Source", "Sources", "Stored", "attention", "is_copy", "linear", "norm"]

Array: TypeAlias = NDArray[np.float32]


class Source(Protocol):
    """How one of our tensors is made of stored ones."""

    def stored_shapes(self, shape: tuple[int, ...]) -> Shapes:
        """Return the names of the tensors it is made of, with the shapes that they must have for it to have `shape`."""

    def build(self, stored: list[Array]) -> Array:
        """Make it of the stored tensors, in the order of `stored_shapes`."""


Sources: TypeAlias = dict[str, Source]


class Stored:
    """Stored tensors one below the other, each turned around before if `transposed`."""

    def __init__(self, *names: str, transposed: bool = False) -> None:
        self.names = names
        self.transposed = transposed

    def stored_shapes(self, shape: tuple[int, ...]) -> Shapes:
        """Return the equal parts of the shape."""
        part = (shape[0] // len(self.names), *shape[1:])
        return dict.fromkeys(self.names, part[::-1] if self.transposed else part)

    def build(self, stored: list[Array]) -> Array:
        """Join the parts."""
        parts = [array.T for array in stored] if self.transposed else stored
        return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts))


@dataclass(frozen=True)
class Part:
    """One of some equal parts, counted from 0, of a stored tensor that has them one below the other."""

    name: str
    part: int
    parts: int

    def stored_shapes(self, shape: tuple[int, ...]) -> Shapes:
        """Return the shape of all parts together."""
        return {self.name: (shape[0] * self.parts, *shape[1:])}

    def build(self, stored: list[Array]) -> Array:
        """Take the part."""
        size = len(stored[0]) // self.parts
        return np.ascontiguousarray(stored[0][self.part * size : (self.part + 1) * size])


@dataclass(frozen=True)
class Computed:
    """What a function makes of stored tensors of given shapes, or of nothing."""

    function: Callable[..., Array]
    stored: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def stored_shapes(self, shape: tuple[int, ...]) -> Shapes:
        """Return the given shapes."""
        return dict(self.stored)

    def build(self, stored: list[Array]) -> Array:
        """Call the function."""
        return np.ascontiguousarray(self.function(*stored), np.float32)


def is_copy(stored: Mapping[str, StoredTensor], name: str, of: str) -> bool:
    """Return whether a stored tensor is there, and has the numbers of another one that is there."""
    return name in stored and of in stored and (name == of or stored[name].equals(stored[of]))


def linear(ours: str, theirs: str, bias: bool = True) -> Sources:
    """Return the sources of a dense layer or a norm."""
    kinds = ("weight", "bias") if bias else ("weight",)
    return {f"{ours}.{kind}": Stored(f"{theirs}.{kind}") for kind in kinds}


norm = linear


def attention(ours: str, theirs: Sequence[str], bias: bool = True) -> Sources:
    """Return the sources of a multi-head attention: query, key, value and output are stored apart."""
    *projections, output = theirs
    sources: Sources = linear(f"{ours}.out_proj", output, bias)
    for kind in ("weight", "bias") if bias else ("weight",):
        sources[f"{ours}.in_proj_{kind}"] = Stored(*(f"{name}.{kind}" for name in projections))
    return sources
