"""Sequential and functional models of Keras: their layers one after the other, or as a graph says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastseq.nn.keras.attention import Attention
from fastseq.nn.keras.calls import Done, fill, in_order, outputs_of, read_call, take
from fastseq.nn.keras.operations import Operation
from fastseq.nn.keras.plain import (
    Activation,
    Dense,
    Embedding,
    Masking,
    Merge,
    Normalization,
    Pooling,
    Same,
    distributed,
)
from fastseq.nn.keras.recurrent import Bidirectional, Recurrent
from fastseq.nn.keras.source import LayerSource, UnsupportedError
from fastseq.nn.keras.values import Value
from fastseq.nn.module import Module

__all__ = ["build"]


def build(source: LayerSource, compute_type: str) -> Module:
    """Make the layer or model that a source describes; an error names everything that is not supported."""
    maker = Operation if source.is_operation else _KINDS.get(source.kind)
    if maker is None:
        known = ", ".join(sorted(_KINDS))
        raise UnsupportedError(f"layer {source.name!r} is a {source.kind}, which is not supported; these are: {known}")
    return maker(source, compute_type)


def _build_all(source: LayerSource, compute_type: str) -> dict[str, Module]:
    layers: dict[str, Module] = {}
    problems = []
    for inner in source.inner:
        if inner.name in layers:
            raise ValueError(f"model {source.name!r} has two layers {inner.name!r}")
        try:
            layers[inner.name] = build(inner, compute_type)
        except UnsupportedError as error:
            problems.append(str(error))
    if problems:
        raise UnsupportedError("; ".join(problems))
    return layers


class _Input(Module):
    """Checks what comes in."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        shape = source.config.get("batch_shape", source.config.get("batch_input_shape"))
        self.name = source.name
        # Keras takes batches of any size, whatever size it saw first.
        self.shape = (None, *shape[1:]) if isinstance(shape, (list, tuple)) else None

    def __call__(self, value: Value) -> tuple[Value, ...]:
        shape = value.array.shape
        wanted = self.shape
        if wanted is not None and not (
            len(wanted) == len(shape) and all(w is None or w == n for w, n in zip(wanted, shape, strict=True))
        ):
            shown = str(tuple(wanted)).replace("None", "*")
            raise ValueError(f"input {self.name!r} has shape {shape}; expected {shown}")
        return (value,)


class _Sequential(Module):
    """Each layer reads what the one before puts out."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        for name, layer in _build_all(source, compute_type).items():
            if isinstance(layer, _Input) and layer.shape is not None:  # as Keras, which looks at the rank only
                layer.shape = (None,) * len(layer.shape)
            self._add(name, layer)

    def __call__(self, value: Any) -> tuple[Value, ...]:
        outputs: tuple[Value, ...] = (value,)
        for name, layer in self._children.items():
            if len(outputs) != 1:
                raise ValueError(f"layer {name!r} would read {len(outputs)} arrays; only one works in a sequence")
            outputs = layer(outputs[0])  # type: ignore[operator]
        return outputs


class _Functional(Module):
    """Layers that are called on one another's outputs, some more than once."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        for name, layer in _build_all(source, compute_type).items():
            self._add(name, layer)
        self.inputs = outputs_of(source.config.get("input_layers"))
        self.outputs = outputs_of(source.config.get("output_layers"))
        self.names = list(source.config["output_layers"]) if _is_map(source, "output_layers") else None
        self.input_names = list(source.config["input_layers"]) if _is_map(source, "input_layers") else None
        given = {(layer, node) for layer, node, _ in self.inputs}
        calls = {
            (inner.name, i): read_call(inner, node)
            for inner in source.inner
            for i, node in enumerate(inner.nodes)
            if (inner.name, i) not in given
        }
        self.calls = in_order(calls, given, source.name)
        known = given | calls.keys()
        lost = [layer for layer, node, _ in self.outputs if (layer, node) not in known]
        lost += [layer for layer, _, _ in self.inputs if layer not in self._children]
        if lost or not self.inputs or not self.outputs:
            raise ValueError(f"model {source.name!r} has no inputs or outputs, or lacks {', '.join(lost) or 'both'}")

    def __call__(self, values: Any) -> tuple[Value, ...]:
        if self.input_names is not None and isinstance(values, dict):
            if values.keys() != set(self.input_names):
                raise ValueError(f"inputs are {', '.join(values)}; expected {', '.join(self.input_names)}")
            values = [values[name] for name in self.input_names]
        values = list(values) if isinstance(values, (list, tuple)) else [values]
        if len(values) != len(self.inputs):
            raise ValueError(f"{len(values)} inputs; the model reads {len(self.inputs)}")
        done: Done = {}
        for (name, node, _), value in zip(self.inputs, values, strict=True):
            done[name, node] = self._children[name](value)  # type: ignore[operator]
        for (name, node), (arguments, options) in self.calls:
            done[name, node] = _apply(self._children[name], fill(arguments, done), fill(options, done))
        return tuple(take(done, reference) for reference in self.outputs)


def _apply(layer: Any, arguments: list[Any], options: dict[str, Any]) -> tuple[Value, ...]:
    mask = options.pop("mask", None)
    first = arguments[0] if arguments and isinstance(arguments[0], Value) else None
    if mask is not None and not (isinstance(mask, Value) and first is not None):
        raise UnsupportedError("a mask that is no single array is not supported")
    passed = None
    if first is not None and mask is not None:
        arguments[0] = Value(first.array, mask.array.astype(bool))
    elif first is not None and len(arguments) + len(options.keys() & {"initial_state"}) > 1:
        # Keras hands the mask that comes with an input over only where a layer reads nothing else; later layers see it.
        arguments[0], passed = Value(first.array), first.mask
    result: tuple[Value, ...] = layer(*arguments, **options)
    if passed is not None and result[0].array.ndim > passed.ndim:
        result = (Value(result[0].array, passed), *result[1:])
    return result


def _is_map(source: LayerSource, key: str) -> bool:
    return isinstance(source.config.get(key), dict)


_KINDS: dict[str, Callable[[LayerSource, str], Module]] = {
    "Sequential": _Sequential,
    "Functional": _Functional,
    "Model": _Functional,
    "InputLayer": _Input,
    "SimpleRNN": Recurrent,
    "LSTM": Recurrent,
    "GRU": Recurrent,
    "Bidirectional": Bidirectional,
    "TimeDistributed": distributed,
    "Embedding": Embedding,
    "Dense": Dense,
    "Activation": Activation,
    "Masking": Masking,
    "Attention": Attention,
    "AdditiveAttention": Attention,
    "LayerNormalization": Normalization,
    "GlobalMaxPooling1D": Pooling,
    "GlobalAveragePooling1D": Pooling,
    **dict.fromkeys(("Concatenate", "Add", "Multiply", "Average"), Merge),
    **dict.fromkeys(
        ("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "ActivityRegularization", "Identity"), Same
    ),
}
