"""What a model of Keras reads and what its last layer does to numbers, without running it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseq.nn.keras.source import LayerSource

__all__ = ["InputShape", "input_shapes", "last_layer", "probe", "take_activation", "vocabulary_size"]

InputShape = tuple[int | None, ...]
_PROBE_STEPS = 2
_MOST_PROBED = 1 << 22
_DEEPEST = 16


def input_shapes(source: LayerSource) -> list[InputShape]:
    """Return the shape of each input, None for any length, as the model was built; ValueError if it does not say it."""
    if source.kind == "Sequential" and source.inner:
        first = source.inner[0]
        return [(None, None)] if first.kind == "Embedding" else input_shapes(first)
    if "input_layers" in source.config:
        by_name = {layer.name: layer for layer in source.inner}
        named = [by_name[name] for name, _, _ in references(source.config["input_layers"]) if name in by_name]
        return [shape for layer in named for shape in input_shapes(layer)]
    shape = source.config.get("batch_shape", source.config.get("batch_input_shape"))
    if isinstance(shape, (list, tuple)) and all(n is None or (type(n) is int and n > 0) for n in shape):
        return [tuple(shape)]
    raise ValueError(
        f"layer {source.name!r} ({source.kind}) comes first and has no input shape; expected an InputLayer"
    )


def vocabulary_size(source: LayerSource) -> int | None:
    """Return the rows of the smallest embedding that reads the model's only input, or None if none does."""
    if source.kind == "Sequential":
        layers = [layer for layer in source.inner if layer.kind != "InputLayer"][:1]
    else:
        inputs = {name for name, _, _ in references(source.config.get("input_layers", []))}
        layers = [layer for layer in source.inner if inputs & {name for name, _, _ in references(layer.nodes)}]
    sizes = [
        _rows(layer) if layer.kind == "Embedding" else vocabulary_size(layer)
        for layer in layers
        if layer.inner or layer.weights
    ]
    return min((size for size in sizes if size is not None), default=None)


def _rows(layer: LayerSource) -> int | None:
    return layer.weights[0].shape[0] if layer.weights and layer.weights[0].ndim == 2 else None


def last_layer(source: LayerSource) -> LayerSource | None:
    """Return the layer whose output is the model's only one and that nothing else reads; None if there is none."""
    if source.kind == "Sequential":
        return last_layer(source.inner[-1]) if source.inner else None
    if "output_layers" not in source.config:
        return source.inner[0] if source.kind == "TimeDistributed" and source.inner else source
    outputs = references(source.config["output_layers"])
    read = {name for layer in source.inner for name, _, _ in references(layer.nodes)}
    found = [layer for layer in source.inner if len(outputs) == 1 and layer.name == outputs[0][0]]
    return last_layer(found[0]) if found and len(found[0].nodes) == 1 and found[0].name not in read else None


def take_activation(layer: LayerSource | None) -> str | None:
    """Make a layer that ends in softmax or sigmoid end before it, and return which; None if it does not."""
    name = layer.config.get("activation") if layer is not None and layer.kind in ("Dense", "Activation") else None
    if layer is None or name not in ("softmax", "sigmoid"):
        return None
    layer.config = layer.config | {"activation": "linear"}
    return str(name)


def references(structure: Any, depth: int = 0) -> list[tuple[str, int, int]]:
    """Return all (layer, call, output) in a structure of a configuration."""
    if isinstance(structure, dict):
        structure = list(structure.values())
    if not isinstance(structure, (list, tuple)) or depth > _DEEPEST:
        return []
    if len(structure) == 3 and isinstance(structure[0], str) and all(type(i) is int for i in structure[1:]):
        return [(structure[0], structure[1], structure[2])]
    return [found for item in structure for found in references(item, depth + 1)]


def probe(shapes: list[InputShape]) -> Any:
    """Return inputs of the smallest batch that the shapes allow: what does not fit is found before the first call."""
    sizes = [(1, *(n or _PROBE_STEPS for n in shape[1:])) for shape in shapes]
    if any(np.prod(size, dtype=np.float64) > _MOST_PROBED for size in sizes):
        raise ValueError(f"inputs have shapes {', '.join(map(str, shapes))}; expected less than {_MOST_PROBED} numbers")
    probes = [np.zeros(size, np.float32) for size in sizes]
    return probes[0] if len(probes) == 1 else probes
