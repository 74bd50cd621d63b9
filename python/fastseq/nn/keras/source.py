"""Layers of Keras as data: their configuration and their weights, from a file or from live objects."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastseq._checks import Floats
from fastseq.weights.hdf5 import Group

__all__ = ["LayerSource", "UnsupportedError", "from_file", "from_live"]

_CELLS = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN"}
_DEEPEST = 32


class UnsupportedError(ValueError):
    """A layer, activation or option that there is no code for."""


@dataclass
class LayerSource:
    """One layer of Keras.

    Attributes
    ----------
    kind : str
        Its class.
    name : str
    config : dict
    weights : list of array
        In the order of `layer.weights`.
    inner : list of LayerSource
        The layers of a model, or those that a wrapper holds.
    nodes : list
        `inbound_nodes` of a layer in a functional model.
    is_operation : bool
        Whether it is a plain operation that a functional model records, no layer.
    """

    kind: str
    name: str
    config: dict[str, Any]
    weights: list[Floats]
    inner: list[LayerSource] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)
    is_operation: bool = False

    def option(self, name: str, default: Any, *supported: Any) -> Any:
        """Return an option; an error that names it if it is none of the supported values."""
        value = self.config.get(name, default)
        if isinstance(value, dict):  # an object or a function of somebody's own: those of Keras are words
            named = value.get("config") if isinstance(value.get("config"), str) else value.get("class_name")
            value = f"{value.get('module')}.{named}"[:80]
        if supported and not any(value is choice or (value == choice and value is not None) for choice in supported):
            wanted = " or ".join(map(repr, supported))
            raise UnsupportedError(f"{name} of layer {self.name!r} ({self.kind}) is {value!r}; only {wanted} works")
        return value

    def arrays(self, *shapes: tuple[int | None, ...]) -> list[Floats]:
        """Return the weights, which must have these shapes; None stands for any length."""
        given = [array.shape for array in self.weights]
        fits = len(given) == len(shapes) and all(
            len(has) == len(wants) and all(w is None or h == w for h, w in zip(has, wants, strict=True))
            for has, wants in zip(given, shapes, strict=True)
        )
        if not fits:
            wanted = ", ".join(str(shape).replace("None", "*") for shape in shapes) or "none"
            found = ", ".join(map(str, given)) or "none"
            raise ValueError(f"layer {self.name!r} ({self.kind}) has weights of shapes {found}; expected {wanted}")
        wrong = [array.dtype for array in self.weights if array.dtype != np.float32]
        if wrong:
            raise ValueError(f"layer {self.name!r} ({self.kind}) has weights of type {wrong[0]}; expected floats")
        return self.weights


def from_file(config: Any, weights: Group, depth: int = 0) -> LayerSource:
    """Join a serialised layer or model with its group of weights."""
    source = _read(config, depth)
    _attach(source, weights)
    return source


def _read(config: Any, depth: int = 0) -> LayerSource:
    if depth > _DEEPEST:
        raise ValueError(f"layers are nested deeper than {_DEEPEST}")
    kind = config.get("class_name") if isinstance(config, dict) else None
    values = config.get("config") if isinstance(config, dict) else None
    if not isinstance(kind, str) or not isinstance(values, dict):
        raise ValueError(f"a layer is {str(config)[:80]!r}; expected class_name and config")
    name = str(values.get("name", kind))
    module = config.get("module")
    if not (module is None or (isinstance(module, str) and (module == "keras" or module.startswith("keras.")))):
        raise UnsupportedError(f"layer {name!r} is a {kind} of {str(module)[:80]}, which is no layer of Keras")
    nodes = config.get("inbound_nodes", [])
    source = LayerSource(kind, name, values, [], nodes=nodes if isinstance(nodes, list) else [])
    source.is_operation = str(module).startswith(("keras.src.ops.", "keras.ops."))
    if kind == "RNN":
        cell = values.get("cell")
        cell_kind = cell.get("class_name") if isinstance(cell, dict) else None
        if cell_kind not in _CELLS or not isinstance(cell, dict) or not isinstance(cell.get("config"), dict):
            raise UnsupportedError(
                f"cell of layer {name!r} (RNN) is {str(cell_kind)[:80]}; only {', '.join(_CELLS)} work"
            )
        source.kind, source.config = _CELLS[cell_kind], cell["config"] | values
    inner = values.get("layers", [])
    for key in ("layer", "backward_layer"):
        if isinstance(values.get(key), dict):
            inner = [*inner, values[key]]
    if not isinstance(inner, list):
        raise ValueError(f"layers of {name!r} is a {type(inner).__name__}; expected a list")
    source.inner = [_read(layer, depth + 1) for layer in inner]
    return source


def _attach(source: LayerSource, group: Group) -> None:
    """Give a source and what it holds their arrays.

    A model keeps its layers in `layers/`, each under the name of its class and, from the second on, a number; a group
    says the layer's own name in an attribute. Wrappers have a group for each layer they hold.
    """
    if "layers" in source.config:
        container = group.groups.get("layers", Group())
        named = {label: found for found in container.groups.values() if (label := _label(found))}
        counts: dict[str, int] = {}
        for layer in source.inner:
            if layer.is_operation:
                continue
            key = _snake_case(layer.kind)
            count = counts.get(key, 0)
            counts[key] = count + 1
            found = named.get(layer.name) or container.groups.get(f"{key}_{count}" if count else key)
            _attach(layer, found or Group())
    elif source.kind == "Bidirectional":
        for layer, name in zip(source.inner, ("forward_layer", "backward_layer"), strict=False):
            _attach(layer, group.groups.get(name, Group()))
    elif source.inner:
        _attach(source.inner[0], group.groups.get("layer", Group()))
    else:
        for part in (group, group.groups.get("cell", Group())):
            variables = part.groups.get("vars", Group()).arrays
            source.weights += [variables[str(i)] for i in range(len(variables)) if str(i) in variables]


def _label(group: Group) -> str:
    return group.groups["vars"].label if "vars" in group.groups else ""


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def from_live(layer: Any) -> LayerSource:
    """Describe a layer or model of Keras that lives in this process; Keras is not imported here."""
    if not any(base.__module__.startswith("keras.") and base.__name__ == "Layer" for base in type(layer).__mro__):
        raise TypeError(
            f"from_keras: source is a {type(layer).__name__}; expected a path, or a layer or model of Keras"
        )
    kind = type(layer)
    values = layer.get_config()
    if not isinstance(values, dict) or not kind.__module__.startswith("keras."):
        raise UnsupportedError(
            f"layer {layer.name!r} is a {kind.__name__} of {kind.__module__}, which is no layer of Keras"
        )
    source = _read({"class_name": kind.__name__, "module": "keras", "config": values})
    _attach_live(source, layer)
    return source


def _attach_live(source: LayerSource, layer: Any) -> None:
    if "layers" in source.config:
        by_name = {inner.name: inner for inner in layer.layers}
        for inner in source.inner:
            if inner.name in by_name:
                _attach_live(inner, by_name[inner.name])
    elif source.kind == "Bidirectional":
        _attach_live(source.inner[0], layer.forward_layer)
        _attach_live(source.inner[1], layer.backward_layer)
    elif source.inner:
        _attach_live(source.inner[0], layer.layer)
    else:
        source.weights = [np.array(array, np.float32) for array in layer.get_weights()]
