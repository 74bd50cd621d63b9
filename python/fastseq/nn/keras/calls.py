"""The calls of a functional model: which layer reads what, and in which order they are computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from fastseq.nn.keras.source import LayerSource, UnsupportedError
from fastseq.nn.keras.values import Value

__all__ = ["Call", "Done", "Key", "Reference", "fill", "in_order", "outputs_of", "read_call", "take"]

Reference: TypeAlias = tuple[str, int, int]  # layer, which of its calls, which of that call's outputs
Key: TypeAlias = tuple[str, int]  # layer, and which of its calls
Done: TypeAlias = dict[Key, tuple[Value, ...]]  # what calls have put out
_DEEPEST = 16
_RECURRENT = ("SimpleRNN", "LSTM", "GRU", "Bidirectional")
_MODELS = ("Functional", "Model", "Sequential")
_SEVERAL = (*_MODELS, "Concatenate", "Add", "Multiply", "Average", "Attention", "AdditiveAttention")
_OPTIONS = {
    **{kind: {"mask", "initial_state"} for kind in _RECURRENT},
    **{kind: {"mask", "return_attention_scores", "use_causal_mask"} for kind in ("Attention", "AdditiveAttention")},
}


def outputs_of(structure: Any) -> list[Reference]:
    """References of a structure: one, a list or a dictionary of them."""
    if isinstance(structure, dict):
        structure = list(structure.values())
    if not isinstance(structure, (list, tuple)):
        raise ValueError(f"inputs or outputs of a model are {str(structure)[:80]!r}; expected a list")
    if len(structure) == 3 and isinstance(structure[0], str):
        return [_reference(structure)]
    return [_reference(item) for item in structure]


def _reference(item: Any) -> Reference:
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

    def __init__(self, reference: Reference) -> None:
        self.reference = reference


Call: TypeAlias = tuple[list[Any], dict[str, Any]]


def read_call(layer: LayerSource, node: Any) -> Call:
    """Positional and named arguments of one call, with slots for what other layers put out."""
    arguments = node.get("args") if isinstance(node, dict) else None
    options = node.get("kwargs", {}) if isinstance(node, dict) else None
    if not isinstance(arguments, (list, tuple)) or not isinstance(options, dict):
        raise ValueError(f"a call of layer {layer.name!r} is {str(node)[:80]!r}; expected args and kwargs")
    named = {key: value for key, value in options.items() if key != "training" and value is not None}
    known = _OPTIONS.get(layer.kind, {"mask"})
    if unknown := sorted(named.keys() - known):
        raise UnsupportedError(f"layer {layer.name!r} ({layer.kind}) is called with {', '.join(unknown)[:80]}")
    call = _slots(list(arguments)), _slots(named)
    if not (_are_numbers(call[0]) if layer.is_operation else _fits(layer.kind, *call)):
        raise ValueError(f"layer {layer.name!r} ({layer.kind}) is called with {str(arguments)[:80]}; expected arrays")
    return call


def _fits(kind: str, arguments: list[Any], options: dict[str, Any]) -> bool:
    """Whether a layer is called with outputs of others, and with a list or dictionary of them only if it reads one."""
    first, *rest = arguments or [None]
    right = _is_array(first) or (kind in _SEVERAL and _are_arrays(first))
    states = [*rest, *(options[name] for name in ("initial_state",) if name in options)]
    flags = all(type(value) is bool for name, value in options.items() if name.startswith(("return_", "use_")))
    few = len(rest) <= (1 if kind in _RECURRENT else 0)
    return right and few and flags and all(_is_array(state) or _are_arrays(state) for state in states)


def _is_array(argument: Any) -> bool:
    return isinstance(argument, _Slot)


def _are_arrays(argument: Any) -> bool:
    items = list(argument.values()) if isinstance(argument, dict) else argument
    return isinstance(items, list) and len(items) > 0 and all(map(_is_array, items))


def _are_numbers(argument: Any) -> bool:
    if isinstance(argument, list):
        return all(map(_are_numbers, argument))
    return isinstance(argument, (_Slot, bool, int, float))


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


def _references(template: Any) -> Iterator[Reference]:
    if isinstance(template, _Slot):
        yield template.reference
    for item in template.values() if isinstance(template, dict) else template if isinstance(template, list) else ():
        yield from _references(item)


def fill(template: Any, done: Done) -> Any:
    """Return arguments with what other calls have put out in the places for it."""
    if isinstance(template, _Slot):
        return take(done, template.reference)
    if isinstance(template, dict):
        return {key: fill(value, done) for key, value in template.items()}
    return [fill(value, done) for value in template] if isinstance(template, list) else template


def take(done: Done, reference: Reference) -> Value:
    """Return one output of one call."""
    name, node, output = reference
    outputs = done[name, node]
    if output >= len(outputs):
        raise ValueError(f"output {output} of layer {name!r} is used; it has {len(outputs)}")
    return outputs[output]


def in_order(calls: dict[Key, Call], given: set[Key], model: str) -> list[tuple[Key, Call]]:
    """Calls, each behind those whose outputs it reads."""
    needs = {key: {(layer, node) for layer, node, _ in _references(list(call))} for key, call in calls.items()}
    ordered: list[tuple[Key, Call]] = []
    done = set(given)
    while len(ordered) < len(calls):
        ready = [key for key in calls if key not in done and needs[key] <= done]
        if not ready:
            waiting = ", ".join(dict.fromkeys(name for name, _ in calls if (name, _) not in done))
            raise ValueError(f"model {model!r}: layers {waiting[:200]} read something that does not exist")
        ordered += [(key, calls[key]) for key in ready]
        done.update(ready)
    return ordered
