"""SimpleRNN, LSTM, GRU and Bidirectional of Keras, run by fastseq's layers.

A masked step leaves the state as it is, wherever it stands (`keras/src/backend/torch/rnn.py`). So the steps that count
are moved to the front of each sequence, run ragged, and their outputs put back; what a masked step puts out is the
output before it, or zeros (`zero_output_for_mask`).

Layers with `stateful=True` go on from the states that `carried` holds, and leave their last ones there; without it they
begin at zeros, as Keras does behind `reset_states`.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, TypeAlias

import numpy as np

from fastseq._checks import Floats
from fastseq.nn.keras.source import LayerSource, UnsupportedError
from fastseq.nn.keras.values import Mask, Value
from fastseq.nn.lstm import LSTM
from fastseq.nn.module import Module
from fastseq.nn.recurrent import GRU, RNN

__all__ = ["Bidirectional", "Recurrent", "States", "carried"]

States: TypeAlias = "list[Floats]"  # h of a layer, and c of an LSTM, (B, units) each
# What stateful layers have come to in the running call.
carried: ContextVar[dict[Module, States] | None] = ContextVar("fastseq_keras_states", default=None)

_LAYERS: dict[str, Any] = {"SimpleRNN": RNN, "LSTM": LSTM, "GRU": GRU}


# By their names in Keras, with the parameters that they have there.
_ACTIVATIONS: dict[str, Any] = {
    **{name: name for name in ("tanh", "sigmoid", "relu", "relu6", "linear", "selu", "softsign", "softplus", "silu")},
    **{"swish": "silu", "gelu": "gelu", "exponential": "exponential"},
    "hard_sigmoid": ("hard_sigmoid", 1 / 6, 0.5),
    "elu": ("elu", 1.0),
    "leaky_relu": ("leaky_relu", 0.2),
}


class Recurrent(Module):
    """SimpleRNN, LSTM or GRU."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        self.stateful = source.option("stateful", False, False, True)
        self.return_sequences = bool(source.option("return_sequences", False))
        self.return_state = bool(source.option("return_state", False))
        self.go_backwards = bool(source.option("go_backwards", False))
        self.zero_output = bool(source.option("zero_output_for_mask", False))
        self.has_cell = source.kind == "LSTM"
        self._add("rnn", _load(source, compute_type))

    def __call__(self, value: Value, initial_state: Any = None) -> tuple[Value, ...]:
        """Output of all steps or the last, then the last states if the layer returns them."""
        x, mask = value.floats(), value.mask
        if x.ndim != 3:
            raise ValueError(f"a recurrent layer reads shape {x.shape}; expected (B, T, I)")
        if self.go_backwards:
            x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
        kept = carried.get() if self.stateful else None
        if kept is not None and initial_state is None:
            initial_state = kept.get(self)
        output, states = self._run(x, mask, self._first(initial_state))
        if kept is not None:
            kept[self] = states
        if self.return_sequences:
            result = Value(output, value.mask)
        else:
            result = Value(output[:, -1] if output.shape[1] else np.zeros_like(states[0]))
        return (result, *(Value(state) for state in states)) if self.return_state else (result,)

    def _first(self, initial_state: Any) -> list[Floats] | None:
        if initial_state is None:
            return None
        given = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
        states = [item.floats() if isinstance(item, Value) else np.asarray(item, np.float32) for item in given]
        if len(states) != (2 if self.has_cell else 1):
            raise ValueError(f"initial_state has {len(states)} arrays; expected {2 if self.has_cell else 1}")
        return states

    def _run(self, x: Floats, mask: Mask, first: list[Floats] | None) -> tuple[Floats, list[Floats]]:
        """Output (B, T, H) in the order in which the layer reads, and the last states (B, H)."""
        hx: Any = None
        if first is not None:
            hx = (first[0][None], first[1][None]) if self.has_cell else first[0][None]
        lengths = None
        if mask is not None:
            order = np.argsort(~mask, axis=1, kind="stable")  # the steps that count, then the others
            lengths = mask.sum(axis=1)
            x = np.take_along_axis(x, order[:, :, None], axis=1)
        output, last = self.rnn(np.ascontiguousarray(x), hx, lengths)
        states = [state[0] for state in (last if self.has_cell else (last,))]
        if mask is None:
            return output, states
        before = np.cumsum(mask, axis=1) - 1  # the last step that counts, up to each one
        silent = ~mask if self.zero_output else before < 0
        spread = np.take_along_axis(output, np.maximum(before, 0)[:, :, None], axis=1)
        return np.where(silent[:, :, None], np.float32(0), spread), states


def _activation(source: LayerSource, name: str, default: str) -> Any:
    """What fastseq's layers call an activation of Keras."""
    chosen = source.option(name, default, *_ACTIVATIONS)
    return _ACTIVATIONS[chosen]


def _load(source: LayerSource, compute_type: str) -> Any:
    """The layer of fastseq with the weights of one of Keras, which are transposed and order their gates otherwise."""
    units = source.option("units", None)
    if not isinstance(units, int) or units < 1:
        raise ValueError(f"units of layer {source.name!r} is {units!r}; expected a whole number above 0")
    bias = bool(source.option("use_bias", True))
    options: dict[str, Any] = {"batch_first": True, "bias": bias, "compute_type": compute_type}
    bias_shape: tuple[int, ...]
    inner = _activation(source, "activation", "tanh")
    if source.kind == "SimpleRNN":
        gates, bias_shape = 1, (units,)
        options["nonlinearity"] = inner
    elif source.kind == "LSTM":
        gates, bias_shape = 4, (4 * units,)
        options["activations"] = (_activation(source, "recurrent_activation", "sigmoid"), inner, inner)
    else:
        options["reset_after"] = bool(source.option("reset_after", True))
        gates, bias_shape = 3, (2, 3 * units) if options["reset_after"] else (3 * units,)
        options["activations"] = (_activation(source, "recurrent_activation", "sigmoid"), inner)
    shapes: list[tuple[int | None, ...]] = [(None, gates * units), (units, gates * units)]
    kernel, recurrent, *rest = source.arrays(*shapes, *([bias_shape] if bias else []))
    layer = _LAYERS[source.kind](kernel.shape[0], units, **options)
    state = {"weight_ih_l0": kernel.T, "weight_hh_l0": recurrent.T}
    if bias:
        both = rest[0] if rest[0].ndim == 2 else np.stack((rest[0], np.zeros_like(rest[0])))
        state |= {"bias_ih_l0": both[0], "bias_hh_l0": both[1]}
    if source.kind == "GRU":  # z, r, h there; r, z, n here
        state = {
            name: np.concatenate([array[units : 2 * units], array[:units], array[2 * units :]])
            for name, array in state.items()
        }
    layer.load_state_dict(state)
    return layer


class Bidirectional(Module):
    """A layer forwards and one backwards, and their outputs joined."""

    def __init__(self, source: LayerSource, compute_type: str) -> None:
        super().__init__()
        self.merge_mode = source.option("merge_mode", "concat", "concat", "sum", "mul", "ave", None)
        if len(source.inner) != 2 or any(layer.kind not in ("SimpleRNN", "LSTM", "GRU") for layer in source.inner):
            kinds = ", ".join(layer.kind for layer in source.inner) or "nothing"
            raise UnsupportedError(
                f"layer {source.name!r} (Bidirectional) holds {kinds}; only two recurrent layers work"
            )
        layers = [Recurrent(layer, compute_type) for layer in source.inner]
        if layers[0].go_backwards or not layers[1].go_backwards:
            raise UnsupportedError(f"layer {source.name!r} (Bidirectional): only forwards, then backwards works")
        for name, layer in zip(("forward_layer", "backward_layer"), layers, strict=True):
            layer.zero_output = layer.return_sequences  # as Keras sets it
            self._add(name, layer)

    def __call__(self, value: Value, initial_state: Any = None) -> tuple[Value, ...]:
        """Joined output, then the states of both directions if the layers return them."""
        layers = (self.forward_layer, self.backward_layer)
        half = [None, None]
        if initial_state is not None:
            initial_state = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
            middle = len(initial_state) // 2
            half = [initial_state[:middle], initial_state[middle:]]
        (forward, *states), (backward, *more) = (layer(value, first) for layer, first in zip(layers, half, strict=True))
        y, y_reverse = forward.array, backward.array
        if layers[0].return_sequences:
            y_reverse = y_reverse[:, ::-1]
        if self.merge_mode is None:
            joined = [Value(y, forward.mask), Value(np.ascontiguousarray(y_reverse), forward.mask)]
        else:
            joined = [Value(_MERGES[self.merge_mode](y, y_reverse), forward.mask)]
        return (*joined, *states, *more)


_MERGES: dict[str, Any] = {
    "concat": lambda y, reverse: np.concatenate((y, reverse), axis=-1),
    "sum": lambda y, reverse: y + reverse,
    "mul": lambda y, reverse: y * reverse,
    "ave": lambda y, reverse: (y + reverse) / np.float32(2),
}
