"""Layers of Keras without a state: embeddings, dense layers, masks, sums, pooling."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from fastseq.nn.dense import Embedding as FastEmbedding
from fastseq.nn.dense import Linear
from fastseq.nn.keras.source import LayerSource, UnsupportedError
from fastseq.nn.keras.values import Value, activation_of
from fastseq.nn.module import Module
from fastseq.nn.norm import LayerNorm

__all__ = ["Activation", "Dense", "Embedding", "Masking", "Merge", "Normalization", "Pooling", "Same", "distributed"]


class Same(Module):
    """What does nothing when a model is not trained: dropout, noise, regularisation."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()

    def __call__(self, value: Value) -> tuple[Value, ...]:
        """The value itself."""
        return (value,)


class Activation(Module):
    """A function of each number."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        self.function = activation_of(source)

    def __call__(self, value: Value) -> tuple[Value, ...]:
        """The function of all numbers."""
        return (Value(self.function(value.floats()), value.mask),)


class Dense(Module):
    """activation(x kernel + bias)."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        self.function = activation_of(source)
        bias = bool(source.option("use_bias", True))
        units = source.option("units", None)
        kernel, *rest = source.arrays((None, units), *([(units,)] if bias else []))
        linear = Linear(kernel.shape[0], kernel.shape[1], bias=bias, compute_type=compute_type)
        linear.load_state_dict({"weight": kernel.T} | ({"bias": rest[0]} if bias else {}))
        self._add("linear", linear)

    def __call__(self, value: Value) -> tuple[Value, ...]:
        """Shape (..., units)."""
        return (Value(self.function(self.linear(value.floats())), value.mask),)


class Embedding(Module):
    """Rows of a table; with `mask_zero` id 0 does not count."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        self.mask_zero = bool(source.option("mask_zero", False))
        (table,) = source.arrays((None, None))
        embedding = FastEmbedding(*table.shape)
        embedding.load_state_dict({"weight": table})
        self._add("embedding", embedding)

    def __call__(self, value: Value) -> tuple[Value, ...]:
        """Ids (B, T) to (B, T, E)."""
        ids = np.asarray(value.array)
        if ids.dtype.kind == "f" and np.array_equal(ids, np.trunc(ids)):  # Keras takes ids in floats, too
            ids = ids.astype(np.int64)
        return (Value(self.embedding(ids), ids != 0 if self.mask_zero else None),)


class Masking(Module):
    """Steps in which every feature is `mask_value` do not count."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        self.mask_value = np.float32(source.option("mask_value", 0.0))

    def __call__(self, value: Value) -> tuple[Value, ...]:
        """The value with zeros in the masked steps, and the mask."""
        x = value.floats()
        mask = (x != self.mask_value).any(axis=-1)
        return (Value(x * mask[..., None], mask),)


class Normalization(Module):
    """LayerNormalization over the features."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        axis = source.config.get("axis", -1)
        scale, center = bool(source.option("scale", True)), bool(source.option("center", True))
        if source.config.get("rms_scaling"):
            raise UnsupportedError(
                f"layer {source.name!r} (LayerNormalization) has rms_scaling, which is not supported"
            )
        arrays = source.arrays(*[(None,)] * (scale + center))
        self.axis, self.name = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis, source.name
        if not arrays:
            raise UnsupportedError(f"layer {source.name!r} (LayerNormalization) has neither scale nor center")
        size = arrays[0].shape[0]
        norm = LayerNorm(size, eps=float(source.option("epsilon", 1e-3)))
        gamma = arrays[0] if scale else np.ones(size, np.float32)
        norm.load_state_dict({"weight": gamma, "bias": arrays[-1] if center else np.zeros(size, np.float32)})
        self._add("norm", norm)

    def __call__(self, value: Value) -> tuple[Value, ...]:
        """Each row with mean 0 and variance 1, times gamma, plus beta."""
        x = value.floats()
        if self.axis not in (-1, x.ndim - 1):
            raise UnsupportedError(
                f"axis of layer {self.name!r} (LayerNormalization) is {self.axis}; only the last works"
            )
        return (Value(self.norm(x), value.mask),)


class Pooling(Module):
    """GlobalMaxPooling1D, which sees masked steps too as in Keras, and GlobalAveragePooling1D, which does not."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        source.option("data_format", "channels_last", "channels_last")
        self.keepdims = bool(source.option("keepdims", False))
        self.maximum = source.kind == "GlobalMaxPooling1D"

    def __call__(self, value: Value) -> tuple[Value, ...]:
        """(B, T, D) to (B, D)."""
        x = value.floats()
        if x.ndim != 3 or x.shape[1] == 0:
            raise ValueError(f"global pooling reads shape {x.shape}; expected (B, T, D) with a step at least")
        if self.maximum:
            return (Value(x.max(axis=1, keepdims=self.keepdims)),)
        if value.mask is None:
            return (Value(x.sum(axis=1, keepdims=self.keepdims) / np.float32(x.shape[1])),)
        kept = np.where(value.mask[:, :, None], x, np.float32(0))
        count = value.mask.sum(axis=1, dtype=np.float32)
        with np.errstate(invalid="ignore"):  # nothing counts: NaN, as in Keras
            mean = kept.sum(axis=1) / count[:, None]
        return (Value(mean[:, None] if self.keepdims else mean),)


class Merge(Module):
    """Concatenate along the features, Add, Multiply, Average."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        self.kind, self.name = source.kind, source.name
        self.axis = source.config.get("axis", -1)

    def __call__(self, values: Any) -> tuple[Value, ...]:
        """One value of several."""
        if not isinstance(values, (list, tuple)) or not values:
            raise ValueError(f"layer {self.name!r} ({self.kind}) reads a list of arrays")
        arrays, masks = [value.floats() for value in values], [value.mask for value in values]
        known = [mask for mask in masks if mask is not None]
        if self.kind == "Concatenate":
            if self.axis not in (-1, arrays[0].ndim - 1):
                raise UnsupportedError(f"axis of layer {self.name!r} (Concatenate) is {self.axis}; only the last works")
            return (Value(np.concatenate(arrays, axis=-1), reduce(np.logical_and, known) if known else None),)
        total = reduce(np.multiply if self.kind == "Multiply" else np.add, arrays)
        if self.kind == "Average":
            total = total / np.float32(len(arrays))
        return (Value(total, reduce(np.logical_or, known) if len(known) == len(masks) else None),)


def distributed(source: LayerSource, compute_type: str) -> Module:
    """TimeDistributed of a layer that treats all steps alike anyway."""
    kinds: dict[str, Any] = {"Dense": Dense, "Activation": Activation, "LayerNormalization": Normalization}
    kind = source.inner[0].kind if source.inner else "nothing"
    if kind not in kinds:
        raise UnsupportedError(f"layer {source.name!r} (TimeDistributed) holds {kind}; only {', '.join(kinds)} work")
    layer: Module = kinds[kind](source.inner[0], compute_type)
    return layer
