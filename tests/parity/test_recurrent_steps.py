"""A recurrent layer is its cell, step by step: the same bits as a Python loop over the cell function.

With the bounds of the cells in test_kernels_reference.py this bounds whole layers, however long the sequences.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import needs_native
from fastseq import _backend

pytestmark = needs_native

CELLS = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}


def cell_step(backend, cell, x, h, c, weights):
    if cell == "lstm":
        return backend.lstm_cell(x, h, c, *weights)
    if cell == "gru":
        return backend.gru_cell(x, h, *weights), None
    return backend.rnn_cell(x, h, *weights, cell.removeprefix("rnn_")), None


def by_steps(backend, cell, weights, bidirectional, sequences, h0, c0):
    """Outputs of each sequence and all last states, one sequence and one step at a time."""
    directions = 2 if bidirectional else 1
    h_n, c_n = h0.copy(), c0.copy()
    for layer in range(len(weights) // directions):
        after = []
        for b, sequence in enumerate(sequences):
            halves = []
            for d in range(directions):
                i = layer * directions + d
                h, c = h_n[i, b : b + 1], c_n[i, b : b + 1]
                states = []
                for x in sequence[::-1] if d else sequence:
                    h, c = cell_step(backend, cell, x[None], h, c, weights[i])
                    states.append(h[0])
                h_n[i, b] = h[0]
                if cell == "lstm":
                    c_n[i, b] = c[0]
                empty = np.empty((0, h0.shape[2]), h0.dtype)
                halves.append(np.stack(states[::-1] if d else states) if states else empty)
            after.append(np.concatenate(halves, axis=1))
        sequences = after
    return sequences, h_n, c_n


@st.composite
def layers(draw):
    cell = draw(st.sampled_from(sorted(CELLS)))
    input_size, hidden_size = draw(st.sampled_from([1, 5, 16, 17])), draw(st.sampled_from([1, 7, 16, 33]))
    directions, num_layers = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    lengths = draw(st.lists(st.integers(0, 9), max_size=5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def normal(*shape):
        return generator.standard_normal(shape).astype(np.float32)

    weights = []
    for i in range(num_layers * directions):
        size = input_size if i < directions else directions * hidden_size
        rows = CELLS[cell] * hidden_size
        scale = np.float32(hidden_size**-0.5)
        biases = (normal(rows), normal(rows)) if draw(st.booleans()) else (None, None)
        weights.append((normal(rows, size) * scale, normal(rows, hidden_size) * scale, *biases))
    sequences = [normal(n, input_size) for n in lengths]
    states = normal(2, num_layers * directions, len(lengths), hidden_size)
    return cell, weights, directions == 2, sequences, states[0], states[1]


def run_layer(backend, cell, weights, bidirectional, sequences, h0, c0):
    offsets = np.cumsum([0, *map(len, sequences)])
    size = weights[0][0].shape[1]
    tokens = np.concatenate([np.empty((0, size), h0.dtype), *sequences])
    layer = backend.Recurrent(cell, weights, bidirectional)
    output, h_n, c_n = layer.forward(tokens, offsets, h0, c0 if cell == "lstm" else None)
    return np.split(output, offsets[1:-1]) if sequences else [], h_n, c_n


@given(layers())
def test_native_layers_are_their_cells_bit_for_bit(case):
    cell, *_ = case
    native = _backend.get("native")
    expected, expected_h, expected_c = by_steps(native, *case)
    outputs, h_n, c_n = run_layer(native, *case)
    assert all(np.array_equal(a, b) for a, b in zip(outputs, expected, strict=True))
    assert np.array_equal(h_n, expected_h)
    assert (c_n is None) == (cell != "lstm")
    assert c_n is None or np.array_equal(c_n, expected_c)


@given(layers())
def test_reference_layers_are_their_cells_in_float64(case):
    cell, weights, bidirectional, sequences, h0, c0 = case
    weights = [tuple(None if w is None else w.astype(np.float64) for w in layer) for layer in weights]
    double = cell, weights, bidirectional, [s.astype(np.float64) for s in sequences], h0.astype("f8"), c0.astype("f8")
    numpy = _backend.get("numpy")
    expected, expected_h, expected_c = by_steps(numpy, *double)
    outputs, h_n, c_n = run_layer(numpy, *double)
    # Products of several rows are summed in another order than those of one; steps may multiply that by some hundred.
    for actual, wanted in zip([*outputs, h_n], [*expected, expected_h], strict=True):
        assert actual.dtype == np.float64
        assert actual == pytest.approx(wanted, rel=1e-9, abs=1e-10)
    assert c_n is None or c_n == pytest.approx(expected_c, rel=1e-9, abs=1e-10)
