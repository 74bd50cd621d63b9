"""Dense layers with bfloat16 and int8 weights: the same integers everywhere, within the bounds of their rounding."""

from __future__ import annotations

import numpy as np
import pytest

import fastseq
from comparison import EPS, assert_within, product_bound
from conftest import needs_native
from fastseq import _backend, functional, nn, reference

SHAPES = [(1, 1, 1), (2, 3, 5), (4, 16, 33), (7, 65, 130), (33, 130, 64), (3, 0, 4), (0, 5, 4)]


def problem(rows: int, size: int, out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(rows + 7 * size + 11 * out)
    return tuple(generator.standard_normal(shape).astype(np.float32) for shape in ((rows, size), (out, size), (out,)))  # type: ignore[return-value]


def to_bfloat16(weight: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch")
    return torch.tensor(weight).bfloat16().float().numpy()


@needs_native
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_backends_quantise_to_the_same_integers(shape):
    x, *_ = problem(*shape)
    x[:1] *= 1e-30
    native, numpy = _backend.get("native").quantize_rows(x), reference.quantize_rows(x)
    for a, b in zip(native, numpy, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@needs_native
@pytest.mark.parametrize("compute_type", ["bfloat16", "int8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_backends_compute_the_same_products(shape, compute_type):
    x, weight, bias = problem(*shape)
    results = []
    for name in ("native", "numpy"):
        with fastseq.use_backend(name):
            results.append(functional.linear(x, weight, bias, compute_type=compute_type))
    if compute_type == "int8":  # exact sums, and the same two roundings behind them
        np.testing.assert_array_equal(*results)
    else:
        assert_within(*results, 2 * product_bound(x, weight, bias))


@needs_native
def test_every_instruction_set_gives_the_same_bits():
    core = _backend.get("native")
    x, weight, bias = problem(9, 200, 70)
    before = core.config()["isa"]
    try:
        for compute_type in ("bfloat16", "int8"):
            results = []
            for isa in core.config()["available_isas"]:
                core.use_isa(isa)
                results.append(core.linear(x, weight, bias, compute_type))
            for result in results:
                np.testing.assert_array_equal(result, results[0])
    finally:
        core.use_isa(before)


@pytest.mark.parametrize("compute_type", ["bfloat16", "int8"])
def test_a_row_does_not_depend_on_its_batch(backend, compute_type):
    x, weight, bias = problem(23, 130, 65)
    layer = nn.Linear(130, 65, compute_type=compute_type)
    layer.load_state_dict({"weight": weight, "bias": bias})
    together = layer(x)
    if backend == "native" or compute_type == "int8":
        np.testing.assert_array_equal(np.stack([layer(row) for row in x]), together)
    else:  # BLAS promises nothing
        assert_within(np.stack([layer(row) for row in x]), together, 2 * product_bound(x, weight, bias))


def test_bfloat16_is_float32_with_rounded_weights(backend):
    x, weight, bias = problem(5, 66, 40)
    np.testing.assert_array_equal(
        functional.linear(x, weight, bias, compute_type="bfloat16"), functional.linear(x, to_bfloat16(weight), bias)
    )


@pytest.mark.parametrize("shape", SHAPES[:5], ids=str)
def test_int8_is_within_the_bound_of_its_steps(backend, shape):
    x, weight, bias = problem(*shape)
    # |x - x'| <= sx / 2 and |w - w'| <= sw / 2, so |x w - x' w'| <= sx |w| / 2 + sw |x| / 2 + sx sw / 4 each.
    sx = np.abs(x).max(axis=1, keepdims=True) / 127.0
    sw = np.abs(weight).max(axis=1) / 127.0
    bound = sx / 2 * np.abs(weight).sum(axis=1) + sw / 2 * np.abs(x).sum(axis=1, keepdims=True)
    bound += x.shape[1] * sx * sw / 4
    exact = x.astype(np.float64) @ weight.astype(np.float64).T + bias
    actual = functional.linear(x, weight, bias, compute_type="int8")
    assert_within(actual, exact, bound * (1 + 8 * EPS) + 4 * EPS * np.abs(exact))
    # The bound notices a weight that is off by as much as a step.
    wrong = weight.copy()
    wrong[:, 0] += np.sign(x[0, 0]) * 3 * bound.max() / max(abs(x[0, 0]), 1e-3)
    with pytest.raises(AssertionError):
        assert_within(functional.linear(x, wrong, bias, compute_type="int8"), exact, bound)


def test_whole_numbers_with_scale_one_are_exact(backend):
    generator = np.random.default_rng(1)
    x, weight = (generator.integers(-127, 128, (n, 500)).astype(np.float32) for n in (6, 40))
    x[:, 0] = weight[:, 0] = 127
    np.testing.assert_array_equal(functional.linear(x, weight, compute_type="int8"), x @ weight.T)


def test_what_is_not_finite_stays_in_its_row(backend):
    x, weight, bias = problem(6, 40, 9)
    expected = functional.linear(x, weight, bias, compute_type="int8")
    x[2, 3], x[4, 0] = np.nan, -np.inf
    actual = functional.linear(x, weight, bias, compute_type="int8")
    assert np.isnan(actual[[2, 4]]).all()
    np.testing.assert_array_equal(actual[[0, 1, 3, 5]], expected[[0, 1, 3, 5]])


def test_quantize_rows_says_what_it_wants(backend):
    q, scales = functional.quantize_rows(np.array([[[0, 0], [1e-40, 0]], [[-2, 1], [np.nan, 1]]]))
    assert q.dtype == np.int8 and q.shape == (2, 2, 2) and scales.shape == (2, 2)
    np.testing.assert_array_equal(q, [[[0, 0], [0, 0]], [[-127, 64], [0, 0]]])
    np.testing.assert_array_equal(scales, np.array([[0, 0], [np.float32(2) / np.float32(127), np.nan]], np.float32))
    with pytest.raises(ValueError, match=r"quantize_rows: input has shape \(\); expected \(\*, I\)"):
        functional.quantize_rows(1.0)


@pytest.mark.parametrize("make", [lambda t: nn.Linear(2, 2, compute_type=t), lambda t: functional.linear(
    np.ones((1, 2)), np.ones((2, 2)), compute_type=t)], ids=["Linear", "linear"])  # fmt: skip
def test_an_unknown_compute_type_is_named(make):
    with pytest.raises(ValueError, match="compute_type is 'int4'; expected 'float32' or 'bfloat16' or 'int8'"):
        make("int4")


def test_int8_refuses_sums_that_could_overflow():
    with pytest.raises(ValueError, match="I is 200000; compute_type 'int8' takes at most 133144"):
        functional.linear(np.ones((1, 200_000)), np.ones((1, 200_000)), compute_type="int8")


def test_a_layer_keeps_its_parameters_and_says_its_type():
    layer = nn.Linear(3, 2, compute_type="int8", seed=0)
    assert layer.weight.dtype == np.float32
    assert repr(layer) == "Linear(3, 2, compute_type='int8')"
    torch = pytest.importorskip("torch")
    assert nn.Linear.from_torch(torch.nn.Linear(3, 2), compute_type="bfloat16").compute_type == "bfloat16"
