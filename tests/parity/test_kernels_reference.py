"""Every native function against its NumPy reference computed in float64, within derived bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comparison import EPS, FUNCTION, TINY, assert_within, gates_bound, product_bound
from conftest import needs_native
from fastseq import functional, reference
from fastseq._backend import get, has_native
from fastseq.reference import activations

pytestmark = needs_native
native = get("native") if has_native() else None

# On and beside the edges of vectors and tiles.
SIZES = [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100]
sizes = st.sampled_from(SIZES)
rows = st.integers(0, 9)
seeds = st.integers(0, 2**32 - 1)


def normal(seed, *shapes, scale=1.0):
    """Arrays of normally distributed float32 numbers; an int for a seed, a generator to go on with."""
    generator = np.random.default_rng(seed)
    return [(generator.standard_normal(shape) * scale).astype(np.float32) for shape in shapes]


def doubles(*arrays):
    return [None if a is None else a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]


@given(seeds, rows, sizes, sizes, st.booleans())
@example(0, 3, 1, 600, True)  # two blocks of k
@example(1, 3, 0, 5, True)
@example(2, 3, 5, 0, True)
def test_linear(seed, n, out_features, in_features, with_bias):
    x, weight, bias = normal(seed, (n, in_features), (out_features, in_features), out_features)
    bias = bias if with_bias else None
    expected = reference.linear(*doubles(x, weight, bias))
    tolerance = product_bound(x, weight, bias)
    assert_within(native.linear(x, weight, bias), expected, tolerance)
    assert_within(native.Linear(weight, bias).forward(x), expected, tolerance)


def test_the_comparison_notices_one_wrong_element():
    x, weight, bias = normal(3, (5, 33), (17, 33), 17)
    expected, tolerance = reference.linear(*doubles(x, weight, bias)), product_bound(x, weight, bias)
    actual = native.linear(x, weight, bias)
    actual[4, 16] += 3 * tolerance[4, 16]
    with pytest.raises(AssertionError, match="error"):
        assert_within(actual, expected, tolerance)
    actual[4, 16] = np.nan
    with pytest.raises(AssertionError):
        assert_within(actual, expected, tolerance)


def cell_arguments(seed, gates, n, input_size, hidden_size, with_bias):
    h, g = hidden_size, gates * hidden_size
    x, hx, cx, *weights = normal(seed, (n, input_size), (n, h), (n, h), (g, input_size), (g, h), g, g)
    if not with_bias:
        weights[2:] = None, None
    return x, hx, cx, weights


@given(seeds, rows, sizes, sizes, st.booleans(), st.sampled_from(["tanh", "relu"]))
def test_rnn_cell(seed, n, input_size, hidden_size, with_bias, nonlinearity):
    x, hx, _, weights = cell_arguments(seed, 1, n, input_size, hidden_size, with_bias)
    expected = reference.rnn_cell(*doubles(x, hx, *weights), nonlinearity)
    # Both activations have slopes of at most 1.
    assert_within(native.rnn_cell(x, hx, *weights, nonlinearity), expected, gates_bound(x, hx, *weights) + FUNCTION)


@given(seeds, rows, sizes, sizes, st.booleans())
def test_lstm_cell(seed, n, input_size, hidden_size, with_bias):
    x, hx, cx, weights = cell_arguments(seed, 4, n, input_size, hidden_size, with_bias)
    h, c = reference.lstm_cell(*doubles(x, hx, cx, *weights))
    # Sigmoid has slope 1/4, tanh 1; |sigmoid|, |tanh| <= 1. gate: worst of a unit's four gates.
    gate = gates_bound(x, hx, *weights).reshape(n, 4, hidden_size).max(axis=1)
    sigmoid = gate / 4 + FUNCTION
    tolerance_c = np.abs(cx) * sigmoid + sigmoid + (gate + FUNCTION) + 4 * EPS * (np.abs(cx) + 1)
    tolerance_h = tolerance_c + sigmoid + FUNCTION + 4 * EPS
    actual_h, actual_c = native.lstm_cell(x, hx, cx, *weights)
    assert_within(actual_c, c, tolerance_c)
    assert_within(actual_h, h, tolerance_h)


@given(seeds, rows, sizes, sizes, st.booleans())
def test_gru_cell(seed, n, input_size, hidden_size, with_bias):
    x, hx, _, weights = cell_arguments(seed, 3, n, input_size, hidden_size, with_bias)
    expected = reference.gru_cell(*doubles(x, hx, *weights))
    gate = gates_bound(x, hx, *weights).reshape(n, 3, hidden_size).max(axis=1)
    sigmoid = gate / 4 + FUNCTION
    # n = tanh(x_n + r h_n): an error of r counts |h_n| times. h' = n + z (h - n).
    magnitude = np.abs(reference.linear(*doubles(hx, *weights[1::2])))[:, 2 * hidden_size :]
    tolerance_n = gate + sigmoid * magnitude + FUNCTION + 4 * EPS * (1 + magnitude)
    tolerance = 2 * tolerance_n + sigmoid * (np.abs(hx) + 1) + 8 * EPS * (np.abs(hx) + 1)
    assert_within(native.gru_cell(x, hx, *weights), expected, tolerance)


@given(seeds, rows, sizes, st.floats(-20, 20))
def test_softmax_and_log_softmax(seed, n, size, shift):
    (x,) = normal(seed, (n, size), scale=4)
    x += np.float32(shift)
    (exact,) = doubles(x)
    # x - max is rounded once, by at most EPS times its magnitude, which exp turns into a relative error.
    spread = np.abs(exact - exact.max(axis=1, keepdims=True))
    worst = spread.max(axis=1, keepdims=True)
    relative = (size + 4) * EPS + EPS * worst + 2 * FUNCTION
    expected = reference.softmax(exact)
    assert_within(native.softmax(x), expected, relative * expected + TINY)
    expected = reference.log_softmax(exact)
    assert_within(native.log_softmax(x), expected, relative + 2 * EPS * (np.abs(exact) + np.abs(expected) + 20))


@given(seeds, st.integers(1, 5), sizes, st.integers(0, 12), st.booleans())
def test_log_softmax_topk_has_the_values_and_the_order(seed, n, size, k, with_add):
    k = min(k, size)
    generator = np.random.default_rng(seed)
    # Few distinct values, so that there are ties.
    x = generator.integers(-4, 4, (n, size)).astype(np.float32)
    add = generator.standard_normal(n).astype(np.float32) if with_add else None
    expected, expected_indices = reference.log_softmax_topk(*doubles(x), k, *doubles(add))
    values, indices = native.log_softmax_topk(x, k, add)
    assert np.array_equal(indices, expected_indices)
    assert_within(values, expected, (size + 20) * EPS * (np.abs(expected) + 10))


def test_rows_without_a_softmax_are_nan_in_both():
    rows = np.array([[0, np.nan, 1], [0, np.inf, 1], [-np.inf] * 3, [-np.inf, 0, -np.inf]], np.float32)
    for name in ("softmax", "log_softmax"):
        expected = getattr(reference, name)(rows)
        assert_within(getattr(native, name)(rows), expected, 0)
        assert np.isnan(expected).all(axis=1).tolist() == [True, True, True, False]
    values, indices = native.log_softmax_topk(rows, 3, None)
    assert_within(values, reference.log_softmax_topk(rows, 3, None)[0], 0)
    assert np.isnan(values).all(axis=1).tolist() == [True, True, True, False]
    assert sorted(indices[3].tolist()) == [0, 1, 2]


@given(seeds, rows, sizes, st.booleans(), st.booleans())
def test_norms(seed, n, size, with_weight, with_bias):
    x, weight, bias = normal(seed, (n, size), size, size, scale=2)
    weight, bias = weight if with_weight else None, bias if with_bias else None
    exact, w, b = doubles(x, weight, bias)
    gain = 1.0 if w is None else np.abs(w)
    offset = 0.0 if b is None else np.abs(b)
    # The mean is off by at most size EPS mean|x|, which weighs 1 / deviation; the deviation by a relative size EPS.
    deviation = np.sqrt(exact.var(axis=1, keepdims=True) + 1e-5)
    scale = np.abs(exact).max(axis=1, keepdims=True) / deviation if n else deviation
    tolerance = (size + 8) * EPS * gain * (scale + 1) * 3 + 2 * EPS * offset
    assert_within(native.layer_norm(x, weight, bias, 1e-5), reference.layer_norm(exact, w, b, 1e-5), tolerance)
    expected = reference.rms_norm(exact, w, 1e-6)
    assert_within(native.rms_norm(x, weight, 1e-6), expected, (size + 8) * EPS * np.abs(expected) + TINY)


@given(seeds, st.sampled_from([*SIZES, 0]), st.sampled_from([0.1, 1.0, 10.0, 60.0]))
def test_activations(seed, size, scale):
    (x,) = normal(seed, size, scale=scale)
    (exact,) = doubles(x)
    for name in ("relu", "tanh", "sigmoid", "silu", "exp"):
        expected = getattr(reference, name)(exact)
        # Flushing sigmoid to 0 below -86.98 costs silu at most 60 times 9e-39 here.
        expected[np.abs(expected) > np.finfo(np.float32).max] = np.inf
        tolerance = 2 * FUNCTION * np.where(np.isinf(expected), 0, np.abs(expected)) + 200 * TINY
        assert_within(getattr(native, name)(x), expected, tolerance)
    for approximate in ("none", "tanh"):
        expected = reference.gelu(exact, approximate)
        # x Phi(x): Phi is off by 2e-7 or by what rounding of the argument of tanh makes of it.
        assert_within(native.gelu(x, approximate), expected, 8 * EPS * np.abs(x) + TINY)


def test_the_error_function_of_the_reference_is_exact_in_double():
    x = np.concatenate([np.linspace(-7, 7, 2001), np.linspace(-0.5, 0.5, 501), [1e-300, np.inf, -np.inf]])
    exact = np.array([math.erf(value) for value in x.tolist()])
    assert_within(activations.erf(x), exact, 3e-16)


def test_activations_of_special_values():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 89.0, -200.0, 1e-30], np.float32)
    for name in ("relu", "tanh", "sigmoid", "silu", "exp", "gelu"):
        assert_within(getattr(native, name)(x), getattr(reference, name)(x), 2e-7)


@given(seeds, st.integers(1, 70), sizes, rows)
def test_embedding(seed, vocab_size, size, n):
    (weight,) = normal(seed, (vocab_size, size))
    ids = np.random.default_rng(seed).integers(0, vocab_size, n)
    assert np.array_equal(native.embedding(ids, weight), reference.embedding(ids, weight))


def attention_bound(query, key, value, scale):
    """Error bound of softmax attention; scores are off by (D + 4) EPS sum |q||k| scale, the weights relatively so."""
    magnitude = np.abs(query) @ np.abs(key).swapaxes(-1, -2) * scale
    if magnitude.size == 0:
        return 0.0
    score = (query.shape[-1] + 4) * EPS * magnitude.max() + EPS * 2 * magnitude.max()
    return (2 * score + (2 * key.shape[-2] + 16) * EPS + 4 * FUNCTION) * np.abs(value).max()


@st.composite
def attention_cases(draw):
    batch, key_heads, group = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    return {
        "seed": draw(seeds),
        "heads": (batch, key_heads * group, key_heads),
        "lengths": (draw(st.sampled_from([0, *SIZES])), draw(st.sampled_from([0, *SIZES, 130]))),
        "size": draw(sizes),
        "value_size": draw(sizes),
        "mask": draw(st.sampled_from([None, "bool", "float"])),
        "mask_full": draw(st.tuples(*[st.booleans()] * 4)),
        "is_causal": draw(st.booleans()),
    }  # fmt: skip


@given(attention_cases())
def test_scaled_dot_product_attention(case):
    batch, heads, key_heads = case["heads"]
    queries, keys = case["lengths"]
    shapes = (batch, heads, queries, case["size"]), *((batch, key_heads, keys, case[s]) for s in ("size", "value_size"))
    query, key, value = normal(case["seed"], *shapes)
    mask = None
    if case["mask"] is not None and not case["is_causal"]:
        full = (batch, heads, queries, keys)
        shape = [n if keep else 1 for n, keep in zip(full, case["mask_full"], strict=True)]
        (mask,) = normal(case["seed"] + 1, shape)
        if case["mask"] == "bool":
            mask = mask > 0
        else:
            mask[mask < -1] = -np.inf
    scale = case["size"] ** -0.5
    expected = reference.scaled_dot_product_attention(*doubles(query, key, value, mask), case["is_causal"], scale)
    repeated = np.repeat(key, heads // key_heads, axis=1)
    actual = native.scaled_dot_product_attention(query, key, value, mask, case["is_causal"], scale)
    # Adding a mask of at most 6 rounds the score once more, relative to it.
    assert_within(
        actual, expected, attention_bound(query, repeated, value, scale) + 16 * EPS * np.abs(value).max(initial=0)
    )


@given(seeds, st.integers(1, 3), st.integers(0, 3), st.sampled_from([0, 1, 15, 17, 40]), sizes, sizes, st.booleans())
def test_additive_and_multiplicative_attention(seed, batch, queries, keys, size, value_size, ragged):
    query_size, key_size = 5, 9
    query, key, value, w_query, w_key, weight, bias, bilinear = normal(
        seed, (batch, queries, query_size), (batch, keys, key_size), (batch, keys, value_size), (size, query_size),
        (size, key_size), size, size, (query_size, key_size), scale=0.5,
    )  # fmt: skip
    lengths = np.random.default_rng(seed).integers(0, keys + 1, batch) if ragged else None
    if lengths is not None:
        for b, n in enumerate(lengths):
            key[b, n:] = value[b, n:] = np.nan  # what lies behind the lengths is not read
    largest = max(np.nanmax(np.abs(value), initial=0), 1)
    q, k = np.nan_to_num(np.abs(query)), np.nan_to_num(np.abs(key))
    projected = (query_size + 3) * EPS * (q @ np.abs(w_query).T).max(initial=0)
    projected += (key_size + 3) * EPS * (k @ np.abs(w_key).T + np.abs(bias)).max(initial=0)
    # Each term of the score: tanh is off by what its argument is and by FUNCTION; then the sum of `size` terms.
    score = np.abs(weight).sum() * (projected + FUNCTION + (size + 2) * EPS)
    weights_error = 2 * score + (keys + 16) * EPS + 4 * FUNCTION
    arguments = query, key, value, w_query, w_key, weight, bias, lengths
    context, weights = native.additive_attention(*arguments)
    expected_context, expected_weights = reference.additive_attention(*doubles(*arguments))
    assert_within(weights, expected_weights, weights_error)
    assert_within(context, expected_context, 2 * weights_error * largest)
    score = (query_size + key_size + 4) * EPS * (q @ np.abs(bilinear) @ k.swapaxes(1, 2)).max(initial=0)
    weights_error = 2 * score + (keys + 16) * EPS + 4 * FUNCTION
    arguments = query, key, value, bilinear, lengths
    context, weights = native.multiplicative_attention(*arguments)
    expected_context, expected_weights = reference.multiplicative_attention(*doubles(*arguments))
    assert_within(weights, expected_weights, weights_error)
    assert_within(context, expected_context, 2 * weights_error * largest)


@pytest.mark.parametrize("offset", [1, 2, 3])
@pytest.mark.parametrize("size", [7, 16, 33])
def test_unaligned_and_strided_arguments_give_the_same_bits(offset, size):
    x, weight = normal(5, (6, size), (9, size))
    buffer = np.zeros(x.nbytes + offset, np.uint8)
    unaligned = np.ndarray(x.shape, np.float32, buffer, offset)
    unaligned[:] = x
    strided = np.repeat(x, 2, axis=1)[:, ::2]
    fortran = np.asfortranarray(x)
    read_only = x.copy()
    read_only.flags.writeable = False
    expected = functional.linear(x, weight)
    for other in (unaligned, strided, fortran, read_only, x.astype(np.float64), x.astype(">f4"), x.tolist()):
        assert np.array_equal(functional.linear(other, weight), expected)
        assert np.array_equal(functional.softmax(other), functional.softmax(x))
