"""Operations that Keras records in a functional model where layers compute masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseq.nn.keras.source import LayerSource, UnsupportedError
from fastseq.nn.keras.values import Value
from fastseq.nn.module import Module

__all__ = ["Operation"]

_FUNCTIONS: dict[str, Any] = {
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "LogicalOr": np.logical_or,
    "LogicalAnd": np.logical_and,
    "LogicalNot": np.logical_not,
    "ZerosLike": np.zeros_like,
    "OnesLike": np.ones_like,
    "ConvertToTensor": np.asarray,
}
_WITH_AXIS: dict[str, Any] = {"Any": np.any, "All": np.all, "ExpandDims": np.expand_dims, "Concatenate": np.concatenate}


class Operation(Module):
    """One function of arrays."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        self.options: dict[str, Any] = {}
        function = _FUNCTIONS.get(source.kind)
        if function is None and source.kind in _WITH_AXIS:
            function = _WITH_AXIS[source.kind]
            axis = source.config.get("axis", -1)
            if type(axis) is not int:
                raise UnsupportedError(f"axis of operation {source.name!r} ({source.kind}) is {axis!r}")
            self.options["axis"] = axis
            if source.kind in ("Any", "All"):
                self.options["keepdims"] = bool(source.config.get("keepdims", False))
        if source.kind == "ConvertToTensor":
            source.option("dtype", None, None)
        if function is None:
            known = ", ".join([*_FUNCTIONS, *_WITH_AXIS])
            raise UnsupportedError(f"operation {source.name!r} is a {source.kind}; of these only {known} work")
        self.name, self.function = source.name, function
        self.count = 2 if source.kind in ("Equal", "NotEqual", "LogicalOr", "LogicalAnd") else 1

    def __call__(self, *arguments: Any) -> tuple[Value, ...]:
        """The function of the arrays."""
        if len(arguments) != self.count:
            raise ValueError(f"operation {self.name!r} is called with {len(arguments)} arrays; expected {self.count}")
        return (Value(self.function(*map(_array, arguments), **self.options)),)


def _array(argument: Any) -> Any:
    if isinstance(argument, (list, tuple)):
        return [_array(item) for item in argument]
    return np.asarray(argument.array if isinstance(argument, Value) else argument)
