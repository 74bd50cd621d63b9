"""Every function against torch's of the same name, on both backends."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as torch_functional  # noqa: E402
from torch_truth import assert_as_torch, randn  # noqa: E402

from fastseq import functional  # noqa: E402

pytestmark = pytest.mark.usefixtures("backend")


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "silu", "gelu", "exp"])
@pytest.mark.parametrize("shape", [(), (0,), (17,), (2, 3, 5)])
def test_activations(name, shape):
    (x,) = randn(0, shape, scale=3)
    function = getattr(torch_functional, name, None) or getattr(torch, name)
    assert_as_torch(getattr(functional, name)(x), function, x)


def test_gelu_by_tanh():
    (x,) = randn(0, (100,), scale=3)
    assert_as_torch(functional.gelu(x, approximate="tanh"), torch_functional.gelu, x, approximate="tanh")


@pytest.mark.parametrize("lead", [(), (1,), (4,), (2, 3), (0,), (2, 0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(lead, bias):
    x, weight, b = randn(1, (*lead, 33), (17, 33), (17,))
    b = b if bias else None
    assert_as_torch(functional.linear(x, weight, b), torch_functional.linear, x, weight, b)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,)])
def test_embedding(shape):
    ids = torch.randint(0, 7, shape, generator=torch.Generator().manual_seed(0))
    (weight,) = randn(2, (7, 9))
    assert np.array_equal(functional.embedding(ids, weight), torch_functional.embedding(ids, weight).numpy())


@pytest.mark.parametrize("shape", [9, (9,), (3, 9)])
@pytest.mark.parametrize("affine", [True, False])
def test_norms(shape, affine):
    sizes = (shape,) if isinstance(shape, int) else shape
    x, weight, bias = randn(3, (4, 3, 9), sizes, sizes)
    weight, bias = (weight, bias) if affine else (None, None)
    assert_as_torch(functional.layer_norm(x, shape, weight, bias), torch_functional.layer_norm, x, sizes, weight, bias)
    for eps in (None, 1e-3):
        expected = (x, sizes, weight, torch.finfo(torch.float32).eps if eps is None else eps)
        assert_as_torch(functional.rms_norm(x, shape, weight, eps), torch_functional.rms_norm, *expected)


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, dim):
    (x,) = randn(4, (3, 17, 5), scale=4)
    assert_as_torch(getattr(functional, name)(x, dim), getattr(torch_functional, name), x, dim)


@pytest.mark.parametrize("k", [0, 1, 5, 40])
def test_log_softmax_topk(k):
    x, add = randn(5, (2, 3, 40), (2, 3), scale=4)
    values, indices = functional.log_softmax_topk(x, k, add)

    def best(x, add):
        top = torch.topk(torch_functional.log_softmax(x, -1), k)
        return top.values + add[..., None], top.indices

    assert np.array_equal(indices, best(x, add)[1].numpy())
    assert_as_torch(values, lambda x, add: best(x, add)[0], x, add)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("name", "gates"), [("rnn_tanh_cell", 1), ("rnn_relu_cell", 1), ("lstm_cell", 4), ("gru_cell", 3)]
)
def test_cells(name, gates, bias, batched):
    size, hidden = 11, 19
    lead = (5,) if batched else (1,)
    x, h, c, *weights = randn(
        6, (*lead, size), (*lead, hidden), (*lead, hidden), (gates * hidden, size), (gates * hidden, hidden),
        (gates * hidden,), (gates * hidden,), scale=0.5,
    )  # fmt: skip
    if not bias:
        weights[2:] = []
    state = (h, c) if name == "lstm_cell" else h
    ours = functional.rnn_cell if name.startswith("rnn") else getattr(functional, name)
    options = {"nonlinearity": name.split("_")[1]} if name.startswith("rnn") else {}
    if batched:
        actual = ours(x, state, *weights, **options)
    else:
        actual = ours(x[0], (h[0], c[0]) if name == "lstm_cell" else h[0], *weights, **options)
        actual = [a[None] for a in actual] if name == "lstm_cell" else actual[None]
    assert_as_torch(actual, getattr(torch, name), x, state, *weights)


@pytest.mark.parametrize("lead", [(), (3,), (2, 4), (2, 2, 3)])
@pytest.mark.parametrize("mask", [None, "bool", "float", "causal", "row", "broadcast"])
def test_scaled_dot_product_attention(lead, mask):
    query, key, value, numbers = randn(7, (*lead, 9, 16), (*lead, 13, 16), (*lead, 13, 8), (*lead, 9, 13))
    masks = {
        "bool": numbers > -1,
        "float": numbers,
        "row": numbers[..., :1, :] > -1,
        "broadcast": (numbers > -1)[(0,) * len(lead)],
    }
    options = {"attn_mask": masks.get(mask), "is_causal": mask == "causal"}
    actual = functional.scaled_dot_product_attention(query, key, value, **options)
    assert_as_torch(actual, torch_functional.scaled_dot_product_attention, query, key, value, **options)


@pytest.mark.parametrize("lead", [(), (2,), (3, 2)])
def test_scaled_dot_product_attention_shares_key_heads_and_takes_a_scale(lead):
    query, key, value = randn(8, (*lead, 6, 5, 8), (*lead, 2, 7, 8), (*lead, 2, 7, 8))
    options = {"scale": 0.3, "enable_gqa": True}
    actual = functional.scaled_dot_product_attention(query, key, value, **options)
    assert_as_torch(actual, torch_functional.scaled_dot_product_attention, query, key, value, **options)


def test_leading_dimensions_of_attention_broadcast():
    query, key, value = randn(8, (2, 1, 5, 8), (1, 3, 7, 8), (3, 7, 4))
    actual = functional.scaled_dot_product_attention(query, key, value)
    wide = query.expand(2, 3, 5, 8), key.expand(2, 3, 7, 8), value.expand(2, 3, 7, 4)
    assert_as_torch(actual, torch_functional.scaled_dot_product_attention, *wide)


def test_a_query_that_sees_nothing_gets_zeros():
    query, key, value = randn(9, (1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 4))
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1] = False
    actual = functional.scaled_dot_product_attention(query, key, value, mask)
    assert not actual[:, :, 1].any()
    assert_as_torch(actual, torch_functional.scaled_dot_product_attention, query, key, value, mask)
    added = torch.where(mask, 0.0, -torch.inf)
    assert np.array_equal(functional.scaled_dot_product_attention(query, key, value, added), actual)


def test_tensors_with_gradients_and_half_precision_are_accepted():
    x, weight = randn(10, (3, 8), (4, 8))
    expected = functional.linear(x, weight)
    assert np.array_equal(functional.linear(x.requires_grad_(), weight), expected)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        half = weight.to(dtype)
        assert np.array_equal(functional.linear(x, half), functional.linear(x, half.float()))
