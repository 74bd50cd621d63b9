"""ONNX nodes with all their attributes against ONNX Runtime."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from fastseq import nn  # noqa: E402

pytestmark = pytest.mark.usefixtures("backend")

STEPS, BATCH, INPUT, HIDDEN = 6, 3, 4, 11
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
OUTPUTS = {"RNN": ["Y", "Y_h"], "GRU": ["Y", "Y_h"], "LSTM": ["Y", "Y_h", "Y_c"]}


def both(op_type, without=(), **attributes):
    """Outputs of our node and of ONNX Runtime's."""
    generator = np.random.default_rng(7)
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = GATES[op_type] * HIDDEN
    shapes = {
        "X": (STEPS, BATCH, INPUT), "W": (directions, rows, INPUT), "R": (directions, rows, HIDDEN),
        "B": (directions, 2 * rows),
        "sequence_lens": (BATCH,), "initial_h": (directions, BATCH, HIDDEN), "initial_c": (directions, BATCH, HIDDEN),
        "P": (directions, 3 * HIDDEN),
    }  # fmt: skip
    if op_type != "LSTM":
        del shapes["initial_c"], shapes["P"]
    values = {name: generator.uniform(-0.8, 0.8, shape).astype(np.float32) for name, shape in shapes.items()}
    values["X"] *= 2
    values["sequence_lens"] = np.array([STEPS, 2, 4], np.int32)
    values = {name: value for name, value in values.items() if name not in without}
    inputs = [name if name in values else "" for name in shapes]
    node = helper.make_node(op_type, inputs, OUTPUTS[op_type], hidden_size=HIDDEN, **attributes)
    dynamic = [name for name in ("X", "sequence_lens", "initial_h", "initial_c") if name in values]
    types = {name: TensorProto.INT32 if name == "sequence_lens" else TensorProto.FLOAT for name in dynamic}
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items() if name not in dynamic]
    graph = helper.make_graph(
        [node],
        "node",
        [helper.make_tensor_value_info(name, types[name], shapes[name]) for name in dynamic],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in OUTPUTS[op_type]],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {name: values[name] for name in dynamic}
    return nn.from_onnx(node, graph.initializer)(**given), session.run(None, given)


def assert_same(op_type, **options):
    ours, theirs = both(op_type, **options)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        # ONNX Runtime's tanh and sigmoid are good to 1e-6 or so; states add six steps of that.
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op_type", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(
    "without",
    [
        (),
        ("P",),
        ("B", "sequence_lens"),
        ("initial_h", "P"),
        ("initial_c", "sequence_lens"),
        ("initial_h", "initial_c"),
    ],
)
def test_directions_and_inputs(op_type, direction, without):
    assert_same(op_type, direction=direction, without=without)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_clip_of_rnn(direction):
    assert_same("RNN", direction=direction, clip=0.3)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("linear_before_reset", [0, 1])
@pytest.mark.parametrize("clip", [None, 0.4])
def test_options_of_gru(direction, linear_before_reset, clip):
    options = {} if clip is None else {"clip": clip}
    assert_same("GRU", direction=direction, linear_before_reset=linear_before_reset, **options)


@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
@pytest.mark.parametrize(("input_forget", "clip"), [*itertools.product([0, 1], [None, 0.4])])
@pytest.mark.parametrize("without", [(), ("P",)])
def test_options_of_lstm(direction, input_forget, clip, without):
    options = {} if clip is None else {"clip": clip}
    assert_same("LSTM", direction=direction, input_forget=input_forget, without=without, **options)


@pytest.mark.parametrize(
    ("activation", "alpha", "beta"),
    [
        ("Relu", [], []), ("Tanh", [], []), ("Sigmoid", [], []), ("Affine", [0.7], [0.1]), ("LeakyRelu", [0.2], []),
        ("ThresholdedRelu", [0.3], []), ("ScaledTanh", [1.5], [0.5]), ("HardSigmoid", [0.3], [0.4]),
        ("HardSigmoid", [], []), ("Elu", [0.6], []), ("Softsign", [], []), ("Softplus", [], []),
    ],
)  # fmt: skip
def test_activations(activation, alpha, beta):
    options = {"activation_alpha": alpha} if alpha else {}
    options |= {"activation_beta": beta} if beta else {}
    assert_same("RNN", activations=[activation], **options)
    assert_same("GRU", activations=["Sigmoid", activation], linear_before_reset=1, **options)
    assert_same("LSTM", activations=["Sigmoid", "Tanh", activation], **options)


def test_activations_of_two_directions():
    names = ["HardSigmoid", "LeakyRelu", "Tanh", "Sigmoid", "Affine", "Softsign"]
    assert_same("LSTM", direction="bidirectional", activations=names, activation_alpha=[0.25, 0.1, 0.9],
                activation_beta=[0.45, 0.05])  # fmt: skip
    assert_same("RNN", direction="bidirectional", activations=["Relu", "Tanh"])
    assert_same("RNN", direction="bidirectional", activations=["Relu", "Relu"])
