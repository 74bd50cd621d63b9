"""Every variant of the recurrent layers against its definition (tests/recurrent_definitions.py) and against torch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import recurrent_definitions as definitions
from comparison import EPS, assert_within
from fastseq import nn

pytestmark = pytest.mark.usefixtures("backend")

# A float32 computation in another order may err differently, but not by more than this factor and a few roundings.
FACTOR, FLOOR = 8, 32 * EPS

LSTM, GRU, RNN = (nn.LSTM, definitions.lstm), (nn.GRU, definitions.gru), (nn.RNN, definitions.rnn)
SRU, SSRU = (nn.SRU, definitions.sru), (nn.SSRU, definitions.ssru)
VARIANTS = {
    "lstm projection": (LSTM, {"proj_size": 5}, {}),
    "lstm peephole": (LSTM, {"peephole": True}, {}),
    "lstm coupled": (LSTM, {"coupled": True}, {"coupled": True}),
    "lstm coupled peephole": (LSTM, {"coupled": True, "peephole": True}, {"coupled": True}),
    "lstm layer norm": (LSTM, {"layer_norm": True}, {}),
    "lstm layer norm projection": (LSTM, {"layer_norm": True, "proj_size": 3}, {}),
    "lstm clip": (LSTM, {"clip": 0.3, "peephole": True}, {"clip": 0.3}),
    "lstm cell clip": (LSTM, {"cell_clip": 0.2}, {"cell_clip": 0.2}),
    "lstm residual": (LSTM, {"residual": True}, {}),
    "lstm residual projection": (LSTM, {"residual": True, "proj_size": 5}, {}),
    "gru reset before": (GRU, {"reset_after": False}, {"reset_after": False}),
    "gru layer norm": (GRU, {"layer_norm": True}, {}),
    "gru residual": (GRU, {"residual": True}, {}),
    "rnn layer norm": (RNN, {"layer_norm": True}, {}),
    "rnn sigmoid": (RNN, {"nonlinearity": "sigmoid"}, {"nonlinearity": definitions.sigmoid}),
    "multiplicative lstm": ((nn.MultiplicativeLSTM, definitions.multiplicative_lstm), {}, {}),
    "sru": (SRU, {}, {}),
    "sru first version": (
        SRU, {"peephole": False, "activation": "tanh", "skip_scale": 1.5}, {"activation": np.tanh, "skip_scale": 1.5},
    ),
    "ssru": (SSRU, {}, {}),
    "ssru residual": (SSRU, {"residual": True}, {}),
}  # fmt: skip
LENGTHS = [4, 0, 7, 1, 7]


def shake(layer, generator):
    """Norm weights and biases that are not what they are at first."""
    state = {
        name: value + generator.uniform(-0.3, 0.3, value.shape) if name.startswith(("norm", "bias")) else value * 1.5
        for name, value in layer.state_dict().items()
    }
    layer.load_state_dict(state)
    return layer


def call(layer, x, h0, c0, lengths=None):
    """Output and both states of any layer."""
    if isinstance(layer, (nn.LSTM, nn.MultiplicativeLSTM)):
        output, (h_n, c_n) = layer(x, (h0, c0), lengths)
        return output, h_n, c_n
    if isinstance(layer, (nn.SRU, nn.SSRU)):
        output, c_n = layer(x, c0, lengths)
        return output, h0, c_n
    output, h_n = layer(x, h0, lengths)
    return output, h_n, c0


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (3, True)])
@pytest.mark.parametrize("sizes", [(7, 19), (19, 19)])
def test_layers_are_what_their_definitions_say(name, layers, bidirectional, sizes):
    (cls, cell), options, defined = VARIANTS[name]
    generator = np.random.default_rng(len(name))
    shape = {"num_layers": layers, "bidirectional": bidirectional, "batch_first": True, "seed": generator}
    layer = shake(cls(*sizes, **shape, **options), generator)
    x = generator.standard_normal((len(LENGTHS), max(LENGTHS), sizes[0])).astype(np.float32)
    count = layers * (2 if bidirectional else 1)
    h0 = generator.standard_normal((count, len(LENGTHS), layer.proj_size or 19)).astype(np.float32)
    c0 = generator.standard_normal((count, len(LENGTHS), 19)).astype(np.float32)
    sequences = [row[:n] for row, n in zip(x, LENGTHS, strict=True)]
    truth = definitions.run(layer, cell, sequences, h0, c0, np.float64, **defined)
    rough = definitions.run(layer, cell, sequences, h0, c0, np.float32, **defined)
    output, h_n, c_n = call(layer, x, h0, c0, LENGTHS)
    rows = [row[:n] for row, n in zip(output, LENGTHS, strict=True)]
    for ours, exact, single in zip([*rows, h_n, c_n], [*truth[0], *truth[1:]], [*rough[0], *rough[1:]], strict=True):
        error = np.abs(single - exact).max(initial=0)
        assert_within(ours, exact, FACTOR * error + FLOOR * np.abs(exact).max(initial=1))
    assert all(not row[n:].any() for row, n in zip(output, LENGTHS, strict=True))


ACTIVATIONS = {
    "tanh": np.tanh,
    "sigmoid": definitions.sigmoid,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "linear": lambda x: x,
    ("affine", 0.5, 0.25): lambda x: 0.5 * x + 0.25,
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    ("leaky_relu", 0.3): lambda x: np.where(x < 0, 0.3 * x, x),
    ("thresholded_relu", 0.5): lambda x: np.where(x > 0.5, x, 0),
    ("scaled_tanh", 1.7, 0.6): lambda x: 1.7 * np.tanh(0.6 * x),
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    ("hard_sigmoid", 1 / 6, 0.5): lambda x: np.clip(x / 6 + 0.5, 0, 1),
    ("elu", 0.7): lambda x: np.where(x < 0, 0.7 * np.expm1(x), x),
    "selu": lambda x: 1.0507009873554805 * np.where(x < 0, 1.6732632423543772 * np.expm1(x), x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softplus": lambda x: np.logaddexp(x, 0),
    "silu": lambda x: x * definitions.sigmoid(x),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "exponential": np.exp,
}


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_activations(activation):
    """An RNN whose only weight is 1 shows its activation."""
    layer = nn.RNN(37, 37, nonlinearity=activation, bias=False)
    layer.load_state_dict({"weight_ih_l0": np.eye(37), "weight_hh_l0": np.zeros((37, 37))})
    x = np.linspace(-9, 9, 4 * 37, dtype=np.float32).reshape(4, 1, 37)
    output, _ = layer(x)
    exact = ACTIVATIONS[activation](x.astype(np.float64))
    # Each function is within 4 ulp or, where it subtracts, of the numbers it subtracts, which are at most 2 or |x|.
    assert_within(output, exact, 4 * EPS * np.maximum(np.abs(exact), 2))
    special = np.full((1, 1, 37), np.nan, np.float32)
    assert np.isnan(layer(special)[0]).all()


def test_reverse_layers_are_forward_layers_of_reversed_sequences():
    generator = np.random.default_rng(5)
    forward, backward = (nn.GRU(5, 9, num_layers=2, batch_first=True, reverse=r, seed=0) for r in (False, True))
    x = generator.standard_normal((3, 6, 5)).astype(np.float32)
    lengths = [6, 2, 0]
    flipped = x.copy()
    for row, n in zip(flipped, lengths, strict=True):
        row[:n] = row[:n][::-1]
    output, h_n = backward(x, None, lengths)
    expected, expected_h = forward(flipped, None, lengths)
    for row, wanted, n in zip(output, expected, lengths, strict=True):
        assert np.array_equal(row[:n], wanted[:n][::-1])
    assert np.array_equal(h_n, expected_h)
    assert np.array_equal(backward(x)[0], forward(x[:, ::-1])[0][:, ::-1])
