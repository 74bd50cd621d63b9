"""Arguments of the recurrent layers and of ONNX nodes that are wrong: the message names them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fastseq import nn

LSTM, GRU, RNN = nn.LSTM, nn.GRU, nn.RNN


@pytest.mark.parametrize(
    ("cls", "options", "error", "message"),
    [
        (LSTM, {"proj_size": 4}, ValueError, "LSTM: proj_size is 4; expected less than hidden_size = 4"),
        (LSTM, {"proj_size": -1}, ValueError, "LSTM: proj_size is -1; expected at least 0"),
        (LSTM, {"clip": 0}, ValueError, "LSTM: clip is 0; expected a positive number or None"),
        (LSTM, {"cell_clip": -1.0}, ValueError, "LSTM: cell_clip is -1; expected at least 0"),
        (LSTM, {"cell_clip": "x"}, TypeError, "LSTM: cell_clip is 'x'; expected a number"),
        (LSTM, {"activations": ("tanh",)}, ValueError, "LSTM: activations has 1 items; expected 3"),
        (LSTM, {"activations": "tanh"}, TypeError, "LSTM: activations is 'tanh'; expected 3 names"),
        (LSTM, {"activations": ("sigmoid", "tanh", "cosine")}, ValueError, r"LSTM: activations\[2\] is 'cosine'; exp"),
        (LSTM, {"activations": ("sigmoid", 3, "tanh")}, TypeError, r"activations\[1\] is 3; expected a name"),
        (LSTM, {"activations": ["tanh"] * 4, "bidirectional": True}, ValueError, "4 items; expected 3, or 6 for both"),
        (GRU, {"activations": (("elu", 1, 2), "tanh")}, ValueError, "'elu' has 2 parameters; expected at most 1"),
        (GRU, {"activations": (("elu", "a"), "tanh")}, TypeError, "parameter 0 of activations.0. 'elu' is 'a'"),
        (GRU, {"reset_after": False, "layer_norm": True}, ValueError, "GRU: layer_norm is True; expected False"),
        (GRU, {"reverse": True, "bidirectional": True}, ValueError, "GRU: reverse is True; expected False as bidir"),
        (GRU, {"layer_norm": True, "norm_eps": -1}, ValueError, "GRU: norm_eps is -1; expected at least 0"),
        (RNN, {"nonlinearity": "cosine"}, ValueError, "'cosine'; expected one of 'affine', 'elu'"),
        (RNN, {"nonlinearity": None}, TypeError, "is None; expected a name"),
        (RNN, {"num_layers": 0}, ValueError, "RNN: num_layers is 0; expected at least 1"),
        (nn.SRU, {"activation": "cosine"}, ValueError, "SRU: activation is 'cosine'"),
        (nn.SRU, {"skip_scale": np.inf}, ValueError, "SRU: skip_scale is inf"),
        (nn.SSRU, {"compute_type": "int3"}, ValueError, "SSRU: compute_type is 'int3'"),
        (nn.MultiplicativeLSTM, {"dropout": 2}, ValueError, "MultiplicativeLSTM: dropout is 2; expected 0 to 1"),
    ],
)
def test_wrong_options(cls, options, error, message):
    with pytest.raises(error, match=message):
        cls(3, 4, **options)


def test_wrong_states_of_variants(backend):
    with pytest.raises(ValueError, match=r"LSTM: h0 has shape \(1, 2, 4\); expected .* = \(1, 2, 3\)"):
        LSTM(3, 4, proj_size=3)(np.zeros((5, 2, 3)), (np.zeros((1, 2, 4)), np.zeros((1, 2, 4))))
    with pytest.raises(ValueError, match=r"SRU: c0 has shape \(1, 2, 3\); expected .* = \(1, 2, 4\)"):
        nn.SRU(3, 4)(np.zeros((5, 2, 3)), np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match=r"SSRU: input has shape \(5, 2, 4\)"):
        nn.SSRU(3, 4)(np.zeros((5, 2, 4)))
    with pytest.raises(ValueError, match=r"MultiplicativeLSTM: lengths\[1\] is 6; expected 0 to 5"):
        nn.MultiplicativeLSTM(3, 4)(np.zeros((5, 2, 3)), lengths=[1, 6])
    with pytest.raises(ValueError, match=r"weight_peep_l0 is missing; bias is not expected"):
        layer = LSTM(3, 4, peephole=True)
        state = dict(layer.state_dict(), bias=np.zeros(3))
        del state["weight_peep_l0"]
        layer.load_state_dict(state)


def test_what_a_layer_is_shows_in_its_name():
    layer = LSTM(3, 4, 2, proj_size=2, peephole=True, cell_clip=3.0)
    assert repr(layer) == "LSTM(3, 4, num_layers=2, proj_size=2, peephole=True, cell_clip=3.0)"
    assert repr(GRU(3, 4, reset_after=False, reverse=True)) == "GRU(3, 4, reverse=True, reset_after=False)"


def attribute(name, value):
    """What onnx.helper.make_attribute gives."""
    kinds = {int: (2, "i"), float: (1, "f"), bytes: (3, "s")}
    kind, field = kinds.get(type(value), (None, None))
    if kind is None:
        kind, field = (8, "strings") if isinstance(value[0], bytes) else (6, "floats")
    return SimpleNamespace(name=name, type=kind, **{field: value})


def node(op_type="LSTM", inputs=("X", "W", "R"), **attributes):
    return SimpleNamespace(
        op_type=op_type, input=list(inputs), attribute=[attribute(k, v) for k, v in attributes.items()]
    )


WEIGHTS = {
    "W": np.zeros((1, 16, 3)), "R": np.zeros((1, 16, 4)), "B": np.zeros((1, 32)), "P": np.zeros((1, 12)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "changed", "message"),
    [
        (node("Conv"), {}, "node.op_type is 'Conv'; expected 'RNN' or 'LSTM' or 'GRU'"),
        (node(output_sequence=1), {}, "from_onnx: LSTM: attribute 'output_sequence' is not known"),
        (node(a=1, clip=0.5, b=2), {}, "from_onnx: LSTM: attribute 'a' is not known; attribute 'b' is not known"),
        (node("GRU", input_forget=1), {}, "from_onnx: GRU: attribute 'input_forget' is not known"),
        (node(activations=[b"Sigmoid", b"Tanh", b"Cos"]), {}, r"activations\[2\] is 'Cos', which is not known"),
        (
            node(clip=b"x", layout=1.0),
            {},
            r"'clip' is of type 3; expected 1 \(f\); .*'layout' is of type 1; expected 2",
        ),
        (node(activations=[0.5]), {}, r"attribute 'activations' is of type 6; expected 8 \(strings\)"),
        (node(activations=[b"\xff", b"Tanh", b"Tanh"]), {}, r"activations\[0\] is '\ufffd', which is not known"),
        (
            node(activations=[b"Elu"] * 3, activation_alpha=[np.nan]),
            {},
            "LSTM: activation_alpha is nan; expected a f",
        ),
        (node(activations=[b"Tanh"]), {}, "activations has 1 items; expected 3"),
        (node(activation_alpha=[0.5]), {}, "activation_alpha has 1 items more than the activations take"),
        (node(direction=b"sideways"), {}, "direction is 'sideways'; expected 'forward' or 'reverse' or"),
        (node(layout=2), {}, "layout is 2; expected 0 to 1"),
        (node(clip=-1.0), {}, "clip is -1; expected at least 0"),
        (node(hidden_size=5), {}, r"W has shape \(1, 16, 3\); expected \(1, 20, 3\)|R has shape"),
        (node(direction=b"bidirectional"), {}, r"[WR] has shape \(1, 16, .\); expected \(2, 16, .\)"),
        (node(inputs=("X", "W", "R", "B")), {"B": np.zeros((1, 16))}, r"B has shape \(1, 16\); expected \(1, 32\)"),
        (node(), {"R": np.zeros((16, 4))}, r"W and R have shapes \(1, 16, 3\) and \(16, 4\); expected three"),
        (node(inputs=("X", "W", "other")), {}, "R is not among the initializers"),
        (node("RNN", inputs=("X", "W", "R", "", "", "", "c")), {}, "from_onnx: RNN: input initial_c is not one"),
    ],
)
def test_wrong_onnx_nodes(given, changed, message):
    with pytest.raises(ValueError, match=message):
        nn.from_onnx(given, WEIGHTS | changed)


def test_wrong_inputs_of_onnx_nodes(backend):
    run = nn.from_onnx(node(inputs=("X", "W", "R", "B", "", "", "", "P")), WEIGHTS)
    x = np.zeros((5, 2, 3))
    assert [y.shape for y in run(x)] == [(5, 1, 2, 4), (1, 2, 4), (1, 2, 4)]
    with pytest.raises(ValueError, match=r"ONNX LSTM: X has shape \(2, 3\); expected \(T, B, I\) with I = 3"):
        run(x[0])
    with pytest.raises(ValueError, match=r"ONNX LSTM: initial_h has shape \(2, 1, 4\); expected \(D, B, H\) = \(1, 2"):
        run(x, initial_h=np.zeros((2, 1, 4)))
    with pytest.raises(ValueError, match=r"LSTM: lengths\[0\] is 6; expected 0 to 5"):
        run(x, sequence_lens=[6, 1])
    gru = nn.from_onnx(node("GRU"), {"W": np.zeros((1, 12, 3)), "R": np.zeros((1, 12, 4))})
    with pytest.raises(ValueError, match="ONNX GRU: initial_c is given; expected None"):
        gru(x, initial_c=np.zeros((1, 2, 4)))


def test_states_that_an_onnx_model_holds_are_the_first_ones():
    h = np.ones((1, 2, 4))
    held = nn.from_onnx(node("GRU", inputs=("X", "W", "R", "", "lens", "h")),
                        {"W": np.zeros((1, 12, 3)), "R": np.zeros((1, 12, 4)), "h": h, "lens": [0, 1]})  # fmt: skip
    _, last = held(np.zeros((5, 2, 3)))
    assert last[0, 0].tolist() == [1.0] * 4
    assert last[0, 1].tolist() == [0.5] * 4
