"""Arrays and options of an `.npz` file of Marian, taken by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MarianArrays", "check_options", "size_option"]

_IMPOSSIBLE = -1e9  # the bias of the start token: its probability is 0 in float32


def size_option(options: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """Return an option that is a size; ValueError names it if it is none."""
    value = options.get(name, default)
    if type(value) is not int or not 0 < value < 1 << 20:
        raise ValueError(f"{name} is {str(value)[:60]!r}; expected a whole number above 0")
    return value


def check_options(options: Mapping[str, Any], supported: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise ValueError that names all options with values that there is no code for."""
    wrong = [
        f"{name} is {repr(options[name])[:60]}"
        for name, choices in supported.items()
        if name in options and not any(type(options[name]) is type(c) and options[name] == c for c in choices)
    ]
    if wrong:
        raise ValueError(f"options that are not supported: {', '.join(wrong)}")


class MarianArrays:
    """Takes arrays by name, matrices transposed; what is missing or of another shape is named at the end."""

    def __init__(self, arrays: dict[str, NDArray[Any]], width: int) -> None:
        self.arrays = arrays
        self.width = width
        self.left = {name for name in arrays if not name.startswith("special:")}
        self.problems: list[str] = []

    def take(self, name: str, *shape: int | None) -> NDArray[np.float32]:
        """Return an array of a shape; None stands for any length."""
        self.left.discard(name)
        array = self.arrays.get(name)
        fits = array is not None and len(array.shape) == len(shape)
        if array is None:
            self.problems.append(f"tensor {name} is missing")
        elif not fits or any(w not in (None, n) for n, w in zip(array.shape, shape, strict=True)):
            wanted = str(shape).replace("None", "*")
            self.problems.append(f"tensor {name} has shape {array.shape}; expected {wanted}")
        elif array.dtype != np.float32:
            self.problems.append(f"tensor {name} has type {array.dtype}; expected floats")
        else:
            return array
        return np.zeros([n or 1 for n in shape], np.float32)

    def linear(self, weight: str, bias: str, columns: int, rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Weight (out, in) and bias (out,)."""
        return np.ascontiguousarray(self.take(weight, columns, rows).T), self.take(bias, 1, rows)[0]

    def embeddings(self, options: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Those of the source, and of the target with zeros for the start token behind them."""
        if options.get("tied-embeddings-all") or options.get("tied-embeddings-src"):
            source = target = self.take("Wemb", None, self.width)
        else:
            source, target = (self.take(f"{side}_Wemb", None, self.width) for side in ("encoder", "decoder"))
        return source, np.concatenate((target, np.zeros((1, self.width), np.float32)))

    def output(self, name: str, target: NDArray[np.float32], tied: bool) -> dict[str, NDArray[np.float32]]:
        """The last layer, which never says the start token; no weight if it is tied to the embeddings `target`."""
        size = len(target) - 1
        bias = np.append(self.take(f"{name}_b", 1, size)[0], np.float32(_IMPOSSIBLE))
        if tied:
            return {"output.bias": bias}
        if f"{name}_Wt" in self.arrays:  # since version 1.8
            weight = self.take(f"{name}_Wt", size, self.width)
        else:
            weight = self.take(f"{name}_W", self.width, size).T
        return {"output.weight": np.concatenate((weight, np.zeros((1, self.width), np.float32))), "output.bias": bias}

    def norm(self, name: str, suffix: str) -> dict[str, NDArray[Any]]:
        """Weight and bias of a layer norm."""
        parts = {"weight": f"{name}_ln_scale{suffix}", "bias": f"{name}_ln_bias{suffix}"}
        return {kind: self.take(found, 1, self.width)[0] for kind, found in parts.items()}

    def attention(self, name: str) -> dict[str, NDArray[Any]]:
        """The tensors of torch.nn.MultiheadAttention."""
        parts = [self.linear(f"{name}_W{kind}", f"{name}_b{kind}", self.width, self.width) for kind in "qkvo"]
        weights, biases = zip(*parts, strict=True)
        return {
            "in_proj_weight": np.concatenate(weights[:3]),
            "in_proj_bias": np.concatenate(biases[:3]),
            "out_proj.weight": weights[3],
            "out_proj.bias": biases[3],
        }

    def ssru(self, name: str) -> dict[str, NDArray[Any]]:
        """The gates of an SSRU as one layer; the new state has no bias."""
        weights = [self.take(f"{name}_{kind}", self.width, self.width).T for kind in ("W", "Wf")]
        bias = self.take(f"{name}_bf", 1, self.width)[0]
        return {"weight": np.concatenate(weights), "bias": np.concatenate((np.zeros_like(bias), bias))}

    def finish(self) -> None:
        """Raise ValueError if arrays were missing or wrong, or nobody took them."""
        problems = self.problems + [f"tensor {name} is not expected" for name in sorted(self.left)]
        if problems:
            raise ValueError("; ".join(problems[:50]))
