"""ONNX's recurrent operators: RNN, LSTM and GRU nodes with their weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastseq._checks import Floats, choice, floats, integer, number, shaped_floats
from fastseq.nn.gates import Activation, parse_activation
from fastseq.nn.lstm import LSTM
from fastseq.nn.recurrent import GRU, RNN
from fastseq.nn.recurrent_layer import RecurrentLayer

__all__ = ["OnnxRecurrent", "from_onnx"]

_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
# Each attribute, and the field of AttributeProto with its value.
_ATTRIBUTES = {
    "activation_alpha": "floats", "activation_beta": "floats", "activations": "strings", "clip": "f",
    "direction": "s", "hidden_size": "i", "layout": "i",
}  # fmt: skip
_OWN_ATTRIBUTES = {"LSTM": {"input_forget": "i"}, "GRU": {"linear_before_reset": "i"}}
_STATES = ("sequence_lens", "initial_h", "initial_c")
_DIRECTIONS = ("forward", "reverse", "bidirectional")
# Blocks of ONNX's weights (LSTM i o f c, GRU z r h) in the order of ours (i f g o, r z n).
_BLOCKS = {"RNN": [0], "LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2]}
_DEFAULTS = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
# Our name of each activation, and which of alpha and beta it takes from the attributes.
_ACTIVATIONS = {
    "relu": ("relu", ""),
    "tanh": ("tanh", ""),
    "sigmoid": ("sigmoid", ""),
    "affine": ("affine", "ab"),
    "leakyrelu": ("leaky_relu", "a"),
    "thresholdedrelu": ("thresholded_relu", "a"),
    "scaledtanh": ("scaled_tanh", "ab"),
    "hardsigmoid": ("hard_sigmoid", "ab"),
    "elu": ("elu", "a"),
    "softsign": ("softsign", ""),
    "softplus": ("softplus", ""),
}
_TYPES = {"f": 1, "i": 2, "s": 3, "floats": 6, "ints": 7, "strings": 8}  # AttributeProto.type of each field


class OnnxRecurrent:
    """An ONNX recurrent node: called with the node's inputs, it returns the node's outputs.

    Attributes
    ----------
    layer : RNN, LSTM or GRU
        The same with the conventions of this package; its input is `X`.
    op_type : str
    layout : int
    """

    def __init__(self, op_type: str, layer: RecurrentLayer, layout: int, given: Mapping[str, Any]) -> None:
        self.op_type = op_type
        self.layer: Any = layer
        self.layout = layout
        self._given = dict(given)  # inputs that the model holds, beside the weights

    def __call__(
        self, X: Any, sequence_lens: Any = None, initial_h: Any = None, initial_c: Any = None
    ) -> tuple[Floats, ...]:
        """Read sequences.

        Parameters
        ----------
        X : (T, B, I), with layout 1 (B, T, I) array_like
        sequence_lens : (B,) array_like of int, optional
        initial_h, initial_c : (directions, B, H), with layout 1 (B, directions, H) array_like, optional
            `initial_c` for an LSTM only. Where None is given, what the model holds counts, or zero.

        Returns
        -------
        Y : (T, directions, B, H), with layout 1 (B, T, directions, H)
        Y_h : (directions, B, H), with layout 1 (B, directions, H)
        Y_c : shape of Y_h
            Of an LSTM only.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        where = f"ONNX {self.op_type}"
        x = floats(where, "X", X)
        if x.ndim != 3 or x.shape[2] != self.layer.input_size:
            wanted = f"({'B, T' if self.layout else 'T, B'}, I) with I = {self.layer.input_size}"
            raise ValueError(f"{where}: X has shape {x.shape}; expected {wanted}")
        if initial_c is not None and self.op_type != "LSTM":
            raise ValueError(f"{where}: initial_c is given; expected None")
        directions = 2 if self.layer.bidirectional else 1
        batch, hidden = x.shape[0 if self.layout else 1], self.layer.hidden_size
        states: list[Any] = []
        for name, value in (("initial_h", initial_h), ("initial_c", initial_c)):
            state = self._given.get(name) if value is None else value
            if state is not None:
                shape = (batch, directions, hidden) if self.layout else (directions, batch, hidden)
                state = shaped_floats(where, name, state, shape, "(B, D, H)" if self.layout else "(D, B, H)")
                state = state.swapaxes(0, 1) if self.layout else state
            states.append(state)
        h0, c0 = states
        hx: Any = h0
        if self.op_type == "LSTM" and (h0 is not None or c0 is not None):
            zero = np.zeros((directions, batch, hidden), np.float32)
            hx = (zero if h0 is None else h0, zero if c0 is None else c0)
        lengths = self._given.get("sequence_lens") if sequence_lens is None else sequence_lens
        output, last = self.layer(x, hx, lengths)
        output = output.reshape(*output.shape[:2], directions, hidden)
        finals = last if self.op_type == "LSTM" else (last,)
        if self.layout:
            return output, *(state.swapaxes(0, 1) for state in finals)
        return output.swapaxes(1, 2), *finals


def from_onnx(node: Any, initializers: Mapping[str, Any] | Iterable[Any]) -> OnnxRecurrent:
    """Take over an ONNX RNN, LSTM or GRU node.

    Parameters
    ----------
    node : onnx.NodeProto
    initializers : mapping of str to array_like, or iterable of onnx.TensorProto
        The weights by the names of the node's inputs, for example ``graph.initializer``; for tensors onnx has to be
        installed. W and R, B and P where the node has them, have to be among them; `sequence_lens`, `initial_h` and
        `initial_c` may be.

    Returns
    -------
    OnnxRecurrent
        Called with the inputs that the model does not hold.

    Raises
    ------
    TypeError
        If a weight holds no real numbers.
    ValueError
        If the node is another operator, attributes or an activation are not known, or a weight is missing or has
        another shape; the message names all of them.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace as Node  # what onnx.helper.make_node gives
    >>> node = Node(op_type="RNN", input=["X", "W", "R"], attribute=[])
    >>> rnn = from_onnx(node, {"W": np.ones((1, 4, 3)), "R": np.zeros((1, 4, 4))})
    >>> Y, Y_h = rnn(np.zeros((5, 2, 3)))
    >>> Y.shape, Y_h.shape
    ((5, 1, 2, 4), (1, 2, 4))
    """
    op_type = choice("from_onnx", "node.op_type", getattr(node, "op_type", None), tuple(_BLOCKS))
    where = f"from_onnx: {op_type}"
    attributes = _read_attributes(where, op_type, node)
    inputs = {key: name for key, name in zip(_INPUTS, node.input, strict=False) if name}
    if op_type != "LSTM" and (extra := sorted(inputs.keys() & {"initial_c", "P"})):
        raise ValueError(f"{where}: input {', '.join(extra)} is not one of the operator's")
    weights = _read_weights(where, inputs, initializers)
    direction = choice(where, "direction", attributes.get("direction", "forward"), _DIRECTIONS)
    directions = 2 if direction == "bidirectional" else 1
    layout = integer(where, "layout", attributes.get("layout", 0), 0, 1)
    shape = {name: weights[name].shape for name in ("W", "R")}
    gates = len(_BLOCKS[op_type])
    if any(len(s) != 3 for s in shape.values()):
        raise ValueError(f"{where}: W and R have shapes {shape['W']} and {shape['R']}; expected three dimensions")
    hidden = integer(where, "hidden_size", attributes.get("hidden_size", shape["R"][2]), 1)
    expected = {
        "W": (directions, gates * hidden, shape["W"][2]),
        "R": (directions, gates * hidden, hidden),
        "B": (directions, 2 * gates * hidden),
        "P": (directions, 3 * hidden),
    }
    for name in expected.keys() & weights.keys():
        if weights[name].shape != expected[name]:
            raise ValueError(f"{where}: {name} has shape {weights[name].shape}; expected {expected[name]}")

    options: dict[str, Any] = {"clip": attributes.get("clip") or None}
    activations = _read_activations(where, attributes, _DEFAULTS[op_type] * directions)
    coupled = bool(integer(where, "input_forget", attributes.get("input_forget", 0), 0, 1))
    layers: dict[str, Any] = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}
    if op_type == "RNN":
        plain = all(a == activations[0] for a in activations) and activations[0].name in ("tanh", "relu")
        options["nonlinearity"] = activations[0].name if plain else activations
    else:
        options["activations"] = activations
    if op_type == "GRU":
        before = integer(where, "linear_before_reset", attributes.get("linear_before_reset", 0), 0, 1)
        options["reset_after"] = bool(before)
    if op_type == "LSTM":
        options |= {"coupled": coupled, "peephole": "P" in weights}
    layer = layers[op_type](
        shape["W"][2],
        hidden,
        bias="B" in weights,
        batch_first=bool(layout),
        bidirectional=directions == 2,
        reverse=direction == "reverse",
        **options,
    )
    layer.load_state_dict(_state(op_type, weights, hidden, coupled))
    given: dict[str, Any] = {name: weights[name] for name in _STATES if name in weights}
    return OnnxRecurrent(op_type, layer, layout, given)


def _read_attributes(where: str, op_type: str, node: Any) -> dict[str, Any]:
    known = _ATTRIBUTES | _OWN_ATTRIBUTES.get(op_type, {})
    problems = [f"attribute {a.name!r} is not known" for a in node.attribute if a.name not in known]
    problems += [
        f"attribute {a.name!r} is of type {a.type}; expected {_TYPES[known[a.name]]} ({known[a.name]})"
        for a in node.attribute
        if a.name in known and a.type != _TYPES[known[a.name]]
    ]
    if problems:
        raise ValueError(f"{where}: {'; '.join(problems)}")
    values = {attribute.name: getattr(attribute, known[attribute.name]) for attribute in node.attribute}
    return {name: _decoded(value) for name, value in values.items()}


def _decoded(value: Any) -> Any:
    """Text for the bytes of an attribute; numbers as they are."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, (int, float)) else [_decoded(item) for item in value]


def _read_weights(where: str, inputs: dict[str, str], initializers: Any) -> dict[str, Any]:
    """Inputs of the node that the model holds, by their names in the operator."""
    if not isinstance(initializers, Mapping):
        initializers = {tensor.name: tensor for tensor in initializers}
    weights = {}
    for key, name in inputs.items():
        if name in initializers:
            value = initializers[name]
            if hasattr(value, "raw_data"):
                from onnx import numpy_helper

                value = numpy_helper.to_array(value)
            weights[key] = value if key == "sequence_lens" else floats(where, key, value)
    needed = [key for key in ("W", "R", "B", "P") if key in inputs or key in ("W", "R")]
    if missing := [key for key in needed if key not in weights]:
        raise ValueError(f"{where}: {', '.join(missing)} is not among the initializers")
    return weights


def _read_activations(where: str, attributes: dict[str, Any], defaults: Sequence[str]) -> list[Activation]:
    names = attributes.get("activations") or defaults
    if len(names) != len(defaults):
        raise ValueError(f"{where}: activations has {len(names)} items; expected {len(defaults)}")
    left = {"a": list(attributes.get("activation_alpha", ())), "b": list(attributes.get("activation_beta", ()))}
    result = []
    for i, name in enumerate(names):
        if name.lower() not in _ACTIVATIONS:
            raise ValueError(f"{where}: activations[{i}] is {name!r}, which is not known")
        ours, takes = _ACTIVATIONS[name.lower()]
        default = parse_activation(where, "activations", ours)
        # Each function takes the next value from the list of each of its parameters.
        alpha, beta = (
            number(where, name, left[key].pop(0)) if key in takes and left[key] else unchanged
            for key, name, unchanged in (
                ("a", "activation_alpha", default.alpha), ("b", "activation_beta", default.beta)
            )
        )  # fmt: skip
        result.append(Activation(default.name, alpha, beta))
    for key, name in (("a", "activation_alpha"), ("b", "activation_beta")):
        if left[key]:
            raise ValueError(f"{where}: {name} has {len(left[key])} items more than the activations take")
    return result


def _state(op_type: str, weights: dict[str, Any], hidden: int, coupled: bool) -> dict[str, Floats]:
    """Parameters of the layer."""
    blocks, peepholes = _BLOCKS[op_type], [0, 2, 1]
    if coupled:  # without f
        blocks, peepholes = [0, 3, 1], [0, 1]

    def reorder(array: Floats, order: list[int]) -> Floats:
        return np.concatenate([array[i * hidden : (i + 1) * hidden] for i in order])

    state = {}
    for d, suffix in enumerate(("l0", "l0_reverse")[: len(weights["W"])]):
        state[f"weight_ih_{suffix}"] = reorder(weights["W"][d], blocks)
        state[f"weight_hh_{suffix}"] = reorder(weights["R"][d], blocks)
        if "B" in weights:
            b_ih, b_hh = np.split(weights["B"][d], 2)
            state |= {f"bias_ih_{suffix}": reorder(b_ih, blocks), f"bias_hh_{suffix}": reorder(b_hh, blocks)}
        if "P" in weights:
            state[f"weight_peep_{suffix}"] = reorder(weights["P"][d], peepholes)
    return state
