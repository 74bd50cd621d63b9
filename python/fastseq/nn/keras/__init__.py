"""Layers and models of Keras 3, from its files or from live objects; Keras itself is not needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastseq import _checks
from fastseq.nn.keras.graph import build
from fastseq.nn.keras.recurrent import Recurrent, States, carried
from fastseq.nn.keras.source import LayerSource, from_file, from_live
from fastseq.nn.keras.values import Value
from fastseq.nn.module import Module
from fastseq.weights.keras_file import read_keras

__all__ = ["KerasModel", "from_keras"]


class KerasModel(Module):
    """A layer or model of Keras; `from_keras` makes it."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        self.name = source.name
        self.kind = source.kind
        self._add("model", build(source, compute_type))

    def __call__(self, inputs: Any, mask: Any = None, lengths: Any = None, **options: Any) -> Any:
        """Run the layer or model as Keras does with ``training=False``.

        Parameters
        ----------
        inputs : array_like, or list or dict of them
            As the layer or model of Keras takes them; batches are the first axis.
        mask : (B, T) array_like of bool, optional
            Steps of the input that count; layers with masks of their own (`Embedding`, `Masking`) do not need it. For
            several inputs a list of masks.
        lengths : (B,) array_like of int, optional
            The same for steps that count from the first on.
        **options
            Of a single layer: `initial_state`, `return_attention_scores`, `use_causal_mask`.

        Returns
        -------
        float32 array, or a list or dict of them
            As Keras returns them.

        Raises
        ------
        TypeError, ValueError
            If an input has the wrong type or shape.
        """
        values = _values(inputs, mask, lengths)
        outputs = self.model(values, **{name: option for name, option in options.items() if option is not None})
        return self._arrays(outputs)

    def stream(self, inputs: Any, state: Any = None, mask: Any = None, lengths: Any = None) -> tuple[Any, list[States]]:
        """Run the model on the next part of its sequences: layers with ``stateful=True`` go on from a state.

        Keras keeps that state in the layers; here it is an argument and a result, so that one model serves many
        streams. A call of the model itself begins at zeros, as Keras does behind ``reset_states()``.

        Parameters
        ----------
        inputs, mask, lengths
            As in a call.
        state : list of lists of (B, units) arrays, optional
            What the call for the part before returned; zeros by default.

        Returns
        -------
        outputs
            As a call returns them.
        state : list of lists of (B, units) arrays
            Of each stateful layer, in the order of the model: h, and c of an LSTM.

        Raises
        ------
        TypeError, ValueError
            If the model has no stateful layer, or an input or the state has the wrong type or shape.
        """
        layers = [layer for layer in _descendants(self) if isinstance(layer, Recurrent) and layer.stateful]
        if not layers:
            raise ValueError(f"stream: {self._arguments()} has no layer with stateful=True")
        kept: dict[Module, States] = {}
        if state is not None:
            if not isinstance(state, (list, tuple)) or len(state) != len(layers):
                given = f"{len(state)} entries" if isinstance(state, (list, tuple)) else f"type {type(state).__name__}"
                raise ValueError(
                    f"stream: state has {given}; expected a list with one for each of {len(layers)} layers"
                )
            kept |= dict(zip(layers, state, strict=True))
        token = carried.set(kept)
        try:
            outputs = self(inputs, mask, lengths)
        finally:
            carried.reset(token)
        return outputs, [kept[layer] for layer in layers]

    def _arrays(self, outputs: tuple[Value, ...]) -> Any:
        arrays = [np.ascontiguousarray(value.array) for value in outputs]
        names = getattr(self.model, "names", None)
        if names is not None:
            return dict(zip(names, arrays, strict=True))
        return arrays[0] if len(arrays) == 1 else arrays

    def _arguments(self) -> str:
        return f"{self.kind} {self.name!r}"


def _descendants(module: Module) -> Iterator[Module]:
    for child in module._children.values():
        yield child
        yield from _descendants(child)


def from_keras(source: Any, config: Any = None, compute_type: str = "float32") -> KerasModel:
    """Take over a layer or model of Keras 3.

    Parameters
    ----------
    source : str, path, keras.Layer or keras.Model
        A `.keras` file, a `.weights.h5` file with `config`, or a live object with its weights.
    config : dict or str, optional
        For a `.weights.h5` file: what `model.to_json()` returns.
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        Of the weights of dense and recurrent layers; see `fastseq.functional.linear`.

    Returns
    -------
    KerasModel
        Call it as the original. Works: sequential and functional models of SimpleRNN, LSTM, GRU, Bidirectional, RNN
        with their cells, Embedding, Dense, Masking, Attention, AdditiveAttention, TimeDistributed, Activation,
        LayerNormalization, global pooling over time, Concatenate, Add, Multiply, Average, and what does nothing after
        training.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If h5py is missing, which files need.
    TypeError
        If `source` is something else.
    ValueError
        If the file is damaged, or a layer, an activation or an option is not supported; the message names all of them.

    Examples
    --------
    >>> from_keras("no-such-file.keras")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no-such-file.keras'
    """
    if not isinstance(source, (str, os.PathLike)):
        return KerasModel(from_live(source), compute_type)
    file = read_keras(source, config)
    try:
        return KerasModel(from_file(file.config, file.weights), compute_type)
    except ValueError as error:
        raise type(error)(f"{file.path}: {error}") from None


def _values(inputs: Any, mask: Any, lengths: Any) -> Any:
    """Arrays as values; a list or dictionary stays one."""
    if isinstance(inputs, dict):
        return {name: _values(item, None, None) for name, item in inputs.items()}
    if isinstance(inputs, (list, tuple)) and any(hasattr(item, "shape") for item in inputs):
        masks = mask if isinstance(mask, (list, tuple)) else [None] * len(inputs)
        if len(masks) != len(inputs):
            raise ValueError(
                f"from_keras: mask has {len(masks)} entries; expected one for each of {len(inputs)} inputs"
            )
        return [_values(item, one, None) for item, one in zip(inputs, masks, strict=True)]
    array = np.asarray(inputs)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"from_keras: inputs have type {array.dtype}; expected numbers")
    if array.ndim == 0:
        raise ValueError("from_keras: inputs have shape (); expected (B, ...)")
    if lengths is not None:
        if mask is not None or array.ndim < 2:
            raise ValueError("from_keras: lengths need inputs (B, T, ...) and no mask")
        counts = _checks.lengths("from_keras", lengths, array.shape[0], array.shape[1])
        mask = np.arange(array.shape[1]) < counts[:, None]
    if mask is not None:
        mask = np.asarray(mask)
        if mask.dtype != np.bool_ or mask.shape != array.shape[:2]:
            wanted = f"(B, T) = {array.shape[:2]} of bool"
            raise ValueError(f"from_keras: mask has shape {mask.shape} and type {mask.dtype}; expected {wanted}")
    return Value(array, mask)
