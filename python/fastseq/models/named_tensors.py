"""Tensors of another toolkit, taken by its names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["NamedTensors"]

_MOST_NAMED = 50


class NamedTensors:
    """Takes tensors by name; what is missing is named at the end, all at once, and what nobody took as well."""

    def __init__(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self.tensors = tensors
        self.left = set(tensors)
        self.missing: list[str] = []

    def __call__(self, name: str) -> NDArray[np.float32]:
        """Return a tensor; one that stands for it if it is missing."""
        self.left.discard(name)
        if name not in self.tensors:
            self.missing.append(name)
            return np.zeros((1, 1), np.float32)
        return self.tensors[name]

    def layers(self, pattern: str) -> int:
        """Return how many layers have a tensor, counted from 0."""
        return next(i for i in range(len(self.tensors) + 1) if pattern.format(i) not in self.tensors)

    def finish(self) -> None:
        """Raise ValueError if tensors were missing, or nobody took them."""
        problems = [f"tensor {name} is missing" for name in self.missing]
        problems += [f"tensor {name} is not expected" for name in sorted(self.left)]
        if problems:
            raise ValueError("; ".join(problems[:_MOST_NAMED]))
