"""Recurrent layers: chunk after chunk is the whole, and a sequence does not depend on its company."""

from __future__ import annotations

import numpy as np
import pytest

import fastseq
from conftest import needs_native
from fastseq import nn

LAYERS = {
    "rnn": lambda **o: nn.RNN(13, 21, nonlinearity="relu", **o),
    "lstm": lambda **o: nn.LSTM(13, 21, **o),
    "gru": lambda **o: nn.GRU(13, 21, **o),
    "projection": lambda **o: nn.LSTM(13, 21, proj_size=8, **o),
    "peephole": lambda **o: nn.LSTM(13, 21, peephole=True, coupled=True, cell_clip=0.5, **o),
    "layer norm": lambda **o: nn.LSTM(13, 21, layer_norm=True, **o),
    "reset before": lambda **o: nn.GRU(13, 21, reset_after=False, **o),
    "multiplicative": lambda **o: nn.MultiplicativeLSTM(13, 21, **o),
    "sru": lambda **o: nn.SRU(13, 21, **o),
    "ssru": lambda **o: nn.SSRU(13, 21, **o),
}
layers = pytest.mark.parametrize("name", LAYERS)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def states_of(last):
    return list(last) if isinstance(last, tuple) else [last]


@needs_native
@layers
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("residual", [True, False])
def test_chunk_after_chunk_is_the_whole(name, batch_first, residual):
    layer = LAYERS[name](num_layers=3, batch_first=batch_first, residual=residual, seed=1)
    x = random(24, 2, 13)
    whole, last = layer(x.swapaxes(0, 1) if batch_first else x)
    for cuts in ([1] * 24, [1, 7, 1, 15], [23, 1]):
        state, outputs = None, []
        for chunk in np.split(x, np.cumsum(cuts)[:-1]):
            output, state = layer(np.ascontiguousarray(chunk.swapaxes(0, 1)) if batch_first else chunk, state)
            outputs.append(output)
        assert np.array_equal(np.concatenate(outputs, axis=1 if batch_first else 0), whole)
        for ours, wanted in zip(states_of(state), states_of(last), strict=True):
            assert np.array_equal(ours, wanted)


@needs_native
@layers
def test_a_sequence_does_not_depend_on_its_batch_or_the_threads(name):
    layer = LAYERS[name](num_layers=2, bidirectional=True, batch_first=True, seed=2)
    x, lengths = random(9, 40, 13), [40, 3, 17, 0, 1, 40, 39, 8, 2]
    before = fastseq.get_num_threads()
    output, last = layer(x, lengths=lengths)
    try:
        for threads in (1, 3):
            fastseq.set_num_threads(threads)
            again, _ = layer(x, lengths=lengths)
            assert np.array_equal(again, output)
            for b, n in enumerate(lengths):
                alone, states = layer(x[b : b + 1, :n])
                assert np.array_equal(alone[0], output[b, :n])
                for ours, wanted in zip(states_of(states), states_of(last), strict=True):
                    assert np.array_equal(ours[:, 0], wanted[:, b])
    finally:
        fastseq.set_num_threads(before)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("residual", [True, False])
def test_the_short_way_of_one_step_gives_what_the_long_way_gives(backend, name, batch_first, residual):
    layer = LAYERS[name](num_layers=2, batch_first=batch_first, residual=residual, seed=3)
    x = random(3, 1, 13) if batch_first else random(1, 3, 13)
    state = random(2, 3, 21, seed=1), random(2, 3, 21, seed=2)
    hx = state if name == "lstm" else state[0]
    for first in (hx, None):
        output, last = layer(x, first)
        short, state_after = layer(x, first)  # weights are packed now
        # A list goes the long way.
        long, wanted = layer(x.tolist(), None if first is None else tuple(s.tolist() for s in state) if name == "lstm"
                             else state[0].tolist())  # fmt: skip
        assert np.array_equal(short, output)
        assert short.shape == long.shape
        assert short.dtype == np.float32
        if backend == "native":
            assert np.array_equal(short, long)
        for ours, same, other in zip(*map(states_of, (state_after, last, wanted)), strict=True):
            assert np.array_equal(ours, same)
            assert ours.shape == other.shape
            assert backend == "numpy" or np.array_equal(ours, other)
    assert np.array_equal(state[0], random(2, 3, 21, seed=1))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dtype", ["i8", "u1", "f2", "f8", ">f4"])
def test_a_step_is_computed_in_float32_whatever_its_input_is(dtype):
    layer = nn.LSTM(13, 21, seed=0)
    x = (10 * random(1, 1, 13)).round().clip(0, 9)
    wanted = layer(x)[0]
    for _ in range(2):
        output = layer(x.astype(dtype))[0]
        assert output.dtype == np.float32
        assert np.allclose(output, wanted, rtol=1e-6)  # of BLAS, which may add in another order for another shape


@pytest.mark.usefixtures("backend")
def test_wrong_steps_are_refused_with_the_messages_of_the_long_way():
    lstm, gru = nn.LSTM(13, 21, seed=0), nn.GRU(13, 21, seed=0)
    x, h = random(1, 1, 13), random(1, 1, 21)
    lstm(x, (h, h))
    gru(x, h)
    for value, error, message in (
        ((h, h[:, :, :20]), ValueError, r"LSTM: c0 has shape \(1, 1, 20\); expected .* = \(1, 1, 21\)"),
        ((h[0], h), ValueError, r"LSTM: h0 has shape \(1, 21\)"),
        ((h, h, h), ValueError, "LSTM: hx has 3 items; expected a pair"),
        (h, TypeError, "LSTM: hx is ndarray; expected a pair"),
        ((h, None), None, ""),
        ((h.astype(complex), h), TypeError, "LSTM: h0 has dtype complex128"),
    ):
        if error is None:
            lstm(x, value)
            continue
        with pytest.raises(error, match=message):
            lstm(x, value)
    with pytest.raises(ValueError, match=r"LSTM: input has shape \(1, 1, 12\); expected \(T, B, I\) with I = 13"):
        lstm(x[:, :, :12], (h, h))
    with pytest.raises(ValueError, match=r"GRU: hx has shape \(1, 2, 21\)"):
        gru(x, np.repeat(h, 2, axis=1))
    with pytest.raises(TypeError, match="GRU: input has dtype <U1; expected floating-point numbers"):
        gru("x", h)
    with pytest.raises(ValueError, match=r"GRU: lengths\[0\] is 2; expected 0 to 1"):
        gru(x, h, lengths=[2])


def test_loading_weights_changes_the_steps():
    layer, other = nn.LSTM(13, 21, seed=0), nn.LSTM(13, 21, seed=1)
    x = random(1, 1, 13)
    assert not np.array_equal(layer(x)[0], other(x)[0])
    layer.load_state_dict(other.state_dict())
    for _ in range(2):
        assert np.array_equal(layer(x)[0], other(x)[0])
