"""Sequential and functional models of Keras: their layers one after the other, or as a graph says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from fastseq.nn.keras.attention import Attention
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

_Reference: TypeAlias = tuple[str, int, int]  # layer, which of its calls, which of that call's outputs
_DEEPEST = 16


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
        self.inputs = _flat(source.config.get("input_layers"))
        self.outputs = _flat(source.config.get("output_layers"))
        self.names = list(source.config["output_layers"]) if _is_map(source, "output_layers") else None
        self.input_names = list(source.config["input_layers"]) if _is_map(source, "input_layers") else None
        given = {(layer, node) for layer, node, _ in self.inputs}
        calls = {
            (inner.name, i): _call(inner, node)
            for inner in source.inner
            for i, node in enumerate(inner.nodes)
            if (inner.name, i) not in given
        }
        self.calls = _in_order(calls, given, source.name)
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
        done: dict[tuple[str, int], tuple[Value, ...]] = {}
        for (name, node, _), value in zip(self.inputs, values, strict=True):
            done[name, node] = self._children[name](value)  # type: ignore[operator]
        for (name, node), (arguments, options) in self.calls:
            done[name, node] = _apply(self._children[name], _fill(arguments, done), _fill(options, done))
        return tuple(_take(done, reference) for reference in self.outputs)


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


def _flat(structure: Any) -> list[_Reference]:
    """References of a structure: one, a list or a dictionary of them."""
    if isinstance(structure, dict):
        structure = list(structure.values())
    if not isinstance(structure, (list, tuple)):
        raise ValueError(f"inputs or outputs of a model are {str(structure)[:80]!r}; expected a list")
    if len(structure) == 3 and isinstance(structure[0], str):
        return [_reference(structure)]
    return [_reference(item) for item in structure]


def _reference(item: Any) -> _Reference:
    if (
        isinstance(item, (list, tuple))
        and len(item) == 3
        and isinstance(item[0], str)
        and all(type(i) is int and i >= 0 for i in item[1:])
    ):
        return item[0], item[1], item[2]
    raise ValueError(f"{str(item)[:80]!r} refers to no output of a layer")


class _Slot:
    """Where the output of another call goes."""

    def __init__(self, reference: _Reference) -> None:
        self.reference = reference


_Call: TypeAlias = tuple[list[Any], dict[str, Any]]


def _call(layer: LayerSource, node: Any) -> _Call:
    """Positional and named arguments of one call, with slots for what other layers put out."""
    arguments = node.get("args") if isinstance(node, dict) else None
    options = node.get("kwargs", {}) if isinstance(node, dict) else None
    if not isinstance(arguments, (list, tuple)) or not isinstance(options, dict):
        raise ValueError(f"a call of layer {layer.name!r} is {str(node)[:80]!r}; expected args and kwargs")
    named = {key: value for key, value in options.items() if key != "training" and value is not None}
    known = {"mask", "initial_state", "return_attention_scores", "use_causal_mask"}
    if unknown := sorted(named.keys() - known):
        raise UnsupportedError(f"layer {layer.name!r} ({layer.kind}) is called with {', '.join(unknown)[:80]}")
    return _slots(list(arguments)), _slots(named)


def _slots(template: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"the arguments of a layer are nested deeper than {_DEEPEST}")
    if isinstance(template, dict):
        if template.get("class_name") == "__keras_tensor__":
            config = template.get("config")
            return _Slot(_reference(config.get("keras_history") if isinstance(config, dict) else None))
        return {key: _slots(value, depth + 1) for key, value in template.items()}
    # Files have lists, live configurations tuples, too.
    return [_slots(value, depth + 1) for value in template] if isinstance(template, (list, tuple)) else template


def _references(template: Any) -> Iterator[_Reference]:
    if isinstance(template, _Slot):
        yield template.reference
    for item in template.values() if isinstance(template, dict) else template if isinstance(template, list) else ():
        yield from _references(item)


def _fill(template: Any, done: dict[tuple[str, int], tuple[Value, ...]]) -> Any:
    if isinstance(template, _Slot):
        return _take(done, template.reference)
    if isinstance(template, dict):
        return {key: _fill(value, done) for key, value in template.items()}
    return [_fill(value, done) for value in template] if isinstance(template, list) else template


def _take(done: dict[tuple[str, int], tuple[Value, ...]], reference: _Reference) -> Value:
    name, node, output = reference
    outputs = done[name, node]
    if output >= len(outputs):
        raise ValueError(f"output {output} of layer {name!r} is used; it has {len(outputs)}")
    return outputs[output]


def _in_order(
    calls: dict[tuple[str, int], _Call], given: set[tuple[str, int]], model: str
) -> list[tuple[tuple[str, int], _Call]]:
    """Calls, each behind those whose outputs it reads."""
    needs = {key: {(layer, node) for layer, node, _ in _references(list(call))} for key, call in calls.items()}
    ordered: list[tuple[tuple[str, int], _Call]] = []
    done = set(given)
    while len(ordered) < len(calls):
        ready = [key for key in calls if key not in done and needs[key] <= done]
        if not ready:
            waiting = ", ".join(dict.fromkeys(name for name, _ in calls if (name, _) not in done))
            raise ValueError(f"model {model!r}: layers {waiting[:200]} read something that does not exist")
        ordered += [(key, calls[key]) for key in ready]
        done.update(ready)
    return ordered


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
