"""Every layer against torch.nn's of the same name, on both backends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_truth import assert_as_torch, randn  # noqa: E402

from fastseq import nn  # noqa: E402

pytestmark = pytest.mark.usefixtures("backend")

RNNS = [("RNN", {"nonlinearity": "tanh"}), ("RNN", {"nonlinearity": "relu"}), ("LSTM", {}), ("GRU", {})]


def torch_module(name, *args, **kwargs):
    torch.manual_seed(1)
    return getattr(torch.nn, name)(*args, **kwargs).eval()


@pytest.mark.parametrize(("name", "options"), RNNS)
@pytest.mark.parametrize(
    ("num_layers", "bias", "batch_first", "bidirectional"),
    [*itertools.product([1, 2], [True], [True, False], [True, False]), (3, False, False, True)],
)
def test_recurrent_layers(name, options, num_layers, bias, batch_first, bidirectional):
    shape = {"num_layers": num_layers, "bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}
    module = torch_module(name, 7, 19, **shape, **options)
    layer = getattr(nn, name).from_torch(module)
    states = num_layers * (2 if bidirectional else 1)
    x, h0, c0 = randn(2, (4, 6, 7), (states, 4, 19), (states, 4, 19))
    x = x if batch_first else x.transpose(0, 1)
    hx = (h0, c0) if name == "LSTM" else h0
    assert_as_torch(layer(x, hx), module, x, hx)
    assert_as_torch(layer(x), module, x)
    one = x[0] if batch_first else x[:, 0]
    hx = (h0[:, 0], c0[:, 0]) if name == "LSTM" else h0[:, 0]
    assert_as_torch(layer(one, hx), module, one, hx)


@pytest.mark.parametrize(("name", "options"), RNNS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("lengths", [[6, 2, 5, 1], [3, 3, 6, 6]])
def test_lengths_do_what_packed_sequences_do(name, options, batch_first, lengths):
    module = torch_module(name, 7, 33, num_layers=2, bidirectional=True, batch_first=batch_first, **options)
    layer = getattr(nn, name).from_torch(module)
    x, h0, c0 = randn(3, (4, 6, 7), (4, 4, 33), (4, 4, 33))
    hx = (h0, c0) if name == "LSTM" else h0
    x = x if batch_first else x.transpose(0, 1)

    class Packed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = module

        def forward(self, x, hx):
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
            output, last = self.module(packed, hx)
            return torch.nn.utils.rnn.pad_packed_sequence(output, batch_first, total_length=6)[0], last

    garbage = x.clone()
    for b, n in enumerate(lengths):
        (garbage if batch_first else garbage.transpose(0, 1))[b, n:] = torch.nan
    assert_as_torch(layer(garbage, hx, lengths), Packed(), x, hx)


@pytest.mark.parametrize(("name", "options"), RNNS)
def test_empty_sequences_and_batches_keep_their_first_states(name, options):
    layer = getattr(nn, name)(3, 4, num_layers=2, bidirectional=True, seed=0, **options)
    h0 = np.arange(4 * 2 * 4, dtype=np.float32).reshape(4, 2, 4)
    hx = (h0, -h0) if name == "LSTM" else h0
    output, last = layer(np.ones((5, 2, 3)), hx, lengths=[0, 5])
    assert not output[:, 0].any()
    assert output[:, 1].any(axis=-1).all()
    for first, final in zip(hx, last, strict=True) if name == "LSTM" else [(hx, last)]:
        assert np.array_equal(first[:, 0], final[:, 0])
    output, last = layer(np.ones((0, 2, 3)), hx)
    assert output.shape == (0, 2, 8)
    assert np.array_equal(last, hx)
    output, last = layer(np.ones((5, 0, 3)))
    assert output.shape == (5, 0, 8)
    assert np.shape(last)[-3:] == (4, 0, 4)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    module = torch_module("Linear", 33, 17, bias=bias)
    (x,) = randn(4, (2, 5, 33))
    assert_as_torch(nn.Linear.from_torch(module)(x), module, x)


def test_embedding():
    module = torch_module("Embedding", 9, 5, padding_idx=-1)
    ids = torch.tensor([[8, 0], [3, 3]])
    layer = nn.Embedding.from_torch(module)
    assert layer.padding_idx == 8
    assert np.array_equal(layer(ids), module(ids).detach())


@pytest.mark.parametrize("affine", [True, False])
def test_norms(affine):
    (x,) = randn(5, (4, 3, 9))
    for name in ("LayerNorm", "RMSNorm"):
        for shape, options in ((9, {}), ((3, 9), {"eps": 1e-3})):
            module = torch_module(name, shape, elementwise_affine=affine, **options)
            assert_as_torch(getattr(nn, name).from_torch(module)(x), module, x)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("sizes", [{}, {"kdim": 7, "vdim": 9}])
@pytest.mark.parametrize("mask", [None, "bool", "float", "heads", "padding", "both"])
@pytest.mark.parametrize("average", [True, False])
def test_multihead_attention(batch_first, sizes, mask, average):
    module = torch_module("MultiheadAttention", 24, 4, batch_first=batch_first, **sizes)
    layer = nn.MultiheadAttention.from_torch(module)
    kdim, vdim = sizes.get("kdim", 24), sizes.get("vdim", 24)
    query, key, value, numbers, heads = randn(6, (3, 5, 24), (3, 8, kdim), (3, 8, vdim), (5, 8), (12, 5, 8))
    if not batch_first:
        query, key, value = (x.transpose(0, 1) for x in (query, key, value))
    padding = torch.arange(8) >= torch.tensor([8, 3, 5])[:, None]
    masks = {"bool": numbers > 1, "float": numbers, "heads": heads > 1, "both": numbers > 1}
    options = {
        "attn_mask": masks.get(mask),
        "key_padding_mask": padding if mask in ("padding", "both") else None,
        "average_attn_weights": average,
    }
    actual = layer(query, key, value, **options)
    assert_as_torch(actual, module, query, key, value, **options)
    without, none = layer(query, key, value, need_weights=False, **options)
    assert none is None
    assert np.array_equal(without, actual[0])


def test_multihead_attention_of_one_sequence():
    module = torch_module("MultiheadAttention", 24, 4, bias=False)
    layer = nn.MultiheadAttention.from_torch(module)
    query, key = randn(6, (5, 24), (8, 24))
    padding = torch.arange(8) >= 6
    actual = layer(query, key, key, key_padding_mask=padding)
    assert_as_torch(actual, module, query, key, key, key_padding_mask=padding)


@pytest.mark.parametrize("padded", [True, False])
def test_causal_attention_is_the_same_with_the_flag_and_with_the_mask(padded):
    layer = nn.MultiheadAttention(24, 4, batch_first=True, seed=0)
    x = randn(7, (3, 6, 24))[0].numpy()
    padding = np.arange(6) >= np.array([[6], [2], [5]]) if padded else None
    mask = ~np.tri(6, dtype=bool)
    for numbers in (False, True):
        if padded and numbers:
            padding = np.where(padding, np.float32(-np.inf), np.float32(0))
        expected = layer(x, x, x, padding, attn_mask=mask)
        for actual, wanted in zip(layer(x, x, x, padding, is_causal=True), expected, strict=True):
            assert np.array_equal(actual, wanted)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("bias", [True, False])
def test_transformer_layers(batch_first, norm_first, activation, bias):
    options = {"activation": activation, "norm_first": norm_first, "batch_first": batch_first, "bias": bias}
    encoder = torch_module("TransformerEncoderLayer", 24, 4, 40, **options)
    decoder = torch_module("TransformerDecoderLayer", 24, 4, 40, **options)
    source, target = randn(8, (3, 7, 24), (3, 5, 24))
    padding = torch.arange(7) >= torch.tensor([7, 2, 5])[:, None]
    real = ~padding.numpy()
    if not batch_first:
        source, target, real = source.transpose(0, 1), target.transpose(0, 1), real.T
    layer = nn.TransformerEncoderLayer.from_torch(encoder)
    assert_as_torch(layer(source), encoder, source)
    actual = layer(source, src_key_padding_mask=padding)
    assert_as_torch(actual, encoder, source, src_key_padding_mask=padding, where={0: real})
    causal = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    masks = {"tgt_mask": causal, "memory_key_padding_mask": padding}
    layer = nn.TransformerDecoderLayer.from_torch(decoder)
    assert_as_torch(layer(target, source, **masks), decoder, target, source, **masks)


def test_transformer_stacks():
    torch.manual_seed(2)
    options = {"batch_first": True, "dim_feedforward": 40, "norm_first": True}
    norm = torch.nn.LayerNorm(24)
    encoder = torch.nn.TransformerEncoder(
        torch.nn.TransformerEncoderLayer(24, 4, **options), 3, norm, enable_nested_tensor=False
    ).eval()
    decoder = torch.nn.TransformerDecoder(torch.nn.TransformerDecoderLayer(24, 4, **options), 2).eval()
    source, target = randn(9, (2, 7, 24), (2, 5, 24))
    assert_as_torch(nn.TransformerEncoder.from_torch(encoder)(source), encoder, source)
    assert_as_torch(nn.TransformerDecoder.from_torch(decoder)(target, source), decoder, target, source)


def test_the_layers_of_a_stack_may_differ():
    torch.manual_seed(3)
    stack = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(8, 2, 9), 2, enable_nested_tensor=False)
    stack.layers[1] = torch.nn.TransformerEncoderLayer(8, 4, 5, activation="gelu", norm_first=True)
    (source,) = randn(9, (3, 2, 8))
    assert_as_torch(nn.TransformerEncoder.from_torch(stack.eval())(source), stack, source)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "Linear", "MultiheadAttention", "TransformerEncoderLayer"])
def test_new_layers_are_initialised_with_the_names_shapes_and_ranges_of_torch(name):
    args = {"Linear": (20, 12), "MultiheadAttention": (24, 4), "TransformerEncoderLayer": (24, 4)}.get(
        name, (20, 12, 2)
    )
    ours, theirs = getattr(nn, name)(*args, seed=0).state_dict(), torch_module(name, *args).state_dict()
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        assert ours[key].shape == value.shape
        if value.numel() > 100:
            # The largest of n numbers that are evenly distributed in +-b lies within a few b / n of b.
            assert np.abs(ours[key]).max() == pytest.approx(value.abs().max().item(), rel=0.1)
            assert abs(ours[key].mean()) < 4 * ours[key].std() / ours[key].size ** 0.5
    again = getattr(nn, name)(*args, seed=0).state_dict()
    assert all(np.array_equal(ours[key], again[key]) for key in ours)


def test_other_modules_are_refused():
    with pytest.raises(TypeError, match=r"LSTM\.from_torch: module is GRU; expected torch\.nn\.LSTM"):
        nn.LSTM.from_torch(torch.nn.GRU(2, 3))
    with pytest.raises(TypeError, match=r"GRUCell\.from_torch: module is LSTMCell; expected torch\.nn\.GRUCell"):
        nn.GRUCell.from_torch(torch.nn.LSTMCell(2, 3))
    with pytest.raises(ValueError, match="max_norm is 1"):
        nn.Embedding.from_torch(torch.nn.Embedding(2, 3, max_norm=1.0))
    with pytest.raises(ValueError, match="add_bias_kv is True; only False"):
        nn.MultiheadAttention.from_torch(torch.nn.MultiheadAttention(4, 2, add_bias_kv=True))
    with pytest.raises(ValueError, match="activation is 'silu'; expected 'relu' or 'gelu'"):
        layer = torch.nn.TransformerEncoderLayer(4, 2, activation=torch.nn.functional.silu)
        nn.TransformerEncoderLayer.from_torch(layer)
