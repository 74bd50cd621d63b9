"""What flows between layers: arrays with a mask of the steps that count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq import functional
from fastseq._checks import Floats
from fastseq.nn.keras.source import LayerSource

__all__ = ["Mask", "Value", "activation_of"]

Mask: TypeAlias = "NDArray[np.bool_] | None"

# By their names in Keras; `gelu` is the exact one there, too.
_ACTIVATIONS: dict[str, Any] = {
    "linear": lambda x: x,
    "relu": functional.relu,
    "tanh": functional.tanh,
    "sigmoid": functional.sigmoid,
    "silu": functional.silu,
    "swish": functional.silu,
    "gelu": functional.gelu,
    "exponential": functional.exp,
    "softmax": functional.softmax,
    "log_softmax": functional.log_softmax,
}


@dataclass
class Value:
    """An array (B, T, ...) and which of its steps count, (B, T); None: all."""

    array: Any
    mask: Mask = None

    def floats(self) -> Floats:
        """Return the array as float32."""
        return np.ascontiguousarray(self.array, np.float32)


def activation_of(source: LayerSource, name: str = "activation") -> Any:
    """Return the function that a layer names."""
    chosen = source.option(name, "linear", *_ACTIVATIONS, None)
    return _ACTIVATIONS["linear" if chosen is None else chosen]
