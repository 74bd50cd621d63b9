"""Wrong arguments: the message names the argument, what was given and what was expected."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

from fastseq import functional, nn

pytestmark = pytest.mark.usefixtures("backend")


def zeros(*shape):
    return np.zeros(shape, np.float32)


x, h = zeros(3, 4), zeros(3, 5)
q, k, v = zeros(2, 6, 4), zeros(2, 7, 4), zeros(2, 7, 3)
F = functional
LSTM = nn.LSTM(4, 5)
MHA = nn.MultiheadAttention(4, 2, batch_first=True)

VALUE_ERRORS = {
    # cells
    "rnn_cell: input has shape (); expected (B, I), or (I,) for one row": lambda: F.rnn_cell(1.0, h, x, x),
    "rnn_cell: hx has shape (5,); expected (B, H)": lambda: F.rnn_cell(x, h[0], zeros(5, 4), zeros(5, 5)),
    "rnn_cell: hx has shape (2, 5); expected (B, H) = (3, 5) with B from input": lambda: F.rnn_cell(x, h[:2], x, x),
    "rnn_cell: weight_ih has shape (5, 3); expected (H, I) = (5, 4) with H from hx, I from input": lambda: F.rnn_cell(
        x, h, zeros(5, 3), zeros(5, 5)
    ),
    "rnn_cell: nonlinearity is 'sin'; expected 'tanh' or 'relu'": lambda: F.rnn_cell(x, h, x, x, nonlinearity="sin"),
    "lstm_cell: weight_hh has shape (1024, 256); expected (4*H, H) = (2048, 512) with H from h0": lambda: F.lstm_cell(
        zeros(1, 2), (zeros(1, 512), zeros(1, 512)), zeros(2048, 2), zeros(1024, 256)
    ),
    "lstm_cell: c0 has shape (3, 4); expected (B, H) = (3, 5) as h0": lambda: F.lstm_cell(
        x, (h, x), zeros(20, 4), zeros(20, 5)
    ),
    "lstm_cell: hx has 1 items; expected a pair (h0, c0)": lambda: F.lstm_cell(x, (h,), x, x),
    "gru_cell: bias_hh has shape (5,); expected (3*H,) = (15,) with H from hx": lambda: F.gru_cell(
        x, h, zeros(15, 4), zeros(15, 5), None, zeros(5)
    ),
    # dense
    "linear: weight has shape (4,); expected (O, I)": lambda: F.linear(x, zeros(4)),
    "linear: input has shape (3, 4); expected (*, I) = (*, 5) with I from weight": lambda: F.linear(x, zeros(2, 5)),
    "linear: bias has shape (4,); expected (O,) = (2,) with O from weight": lambda: F.linear(x, zeros(2, 4), zeros(4)),
    "linear: input cannot be read as an array": lambda: F.linear([[1.0], [1.0, 2.0]], x),
    "embedding: input[0, 2] is 7; expected an id in [0, 3)": lambda: F.embedding([[0, 2, 7]], x),
    "embedding: input[1] is -1; expected an id in [0, 3)": lambda: F.embedding([0, -1], x),
    "embedding: input is 3; expected an id in [0, 3)": lambda: F.embedding(3, x),
    "embedding: input has a number of 18446744073709551615": lambda: F.embedding(np.array([2**64 - 1], np.uint64), x),
    "embedding: weight has shape (2, 7, 3); expected (V, E)": lambda: F.embedding([0], v),
    # norms and softmax
    "layer_norm: input has shape (3, 4); expected (*, 5) as normalized_shape says": lambda: F.layer_norm(x, 5),
    "layer_norm: normalized_shape is (); expected at least one size": lambda: F.layer_norm(x, ()),
    "layer_norm: weight has shape (3,); expected normalized_shape = (4,)": lambda: F.layer_norm(x, 4, zeros(3)),
    "layer_norm: eps is -1; expected at least 0": lambda: F.layer_norm(x, 4, eps=-1),
    "rms_norm: eps is nan; expected at least 0": lambda: F.rms_norm(x, 4, eps=np.nan),
    "layer_norm: eps is inf; expected at least 0 and finite": lambda: F.layer_norm(x, 4, eps=10**400),
    "softmax: dim is 2; expected -2 to 1": lambda: F.softmax(x, 2),
    "log_softmax: input has shape (); expected at least one dimension": lambda: F.log_softmax(1.0),
    "log_softmax_topk: k is 5; expected 0 to 4": lambda: F.log_softmax_topk(x, 5),
    "log_softmax_topk: add has shape (4,); expected logits.shape[:-1] = (3,)": lambda: F.log_softmax_topk(x, 1, x[0]),
    "log_softmax_topk: logits has shape (); expected (*, V)": lambda: F.log_softmax_topk(1.0, 1),
    "gelu: approximate is 'erf'; expected 'none' or 'tanh'": lambda: F.gelu(x, "erf"),
    # attention
    "scaled_dot_product_attention: key has shape (2, 7, 3); expected (..., S, D) = (..., 7, 4) with D from query, "
    "S from value": lambda: F.scaled_dot_product_attention(q, v, v),
    "scaled_dot_product_attention: query has shape (4,); expected (..., L, D)": lambda: F.scaled_dot_product_attention(
        x[0], x, x
    ),
    "scaled_dot_product_attention: leading dimensions (3,), (2,), (2,) of query, key, value do not broadcast": (
        lambda: F.scaled_dot_product_attention(zeros(3, 6, 4), k, v)
    ),
    "scaled_dot_product_attention: attn_mask has shape (6, 6); expected one that broadcasts to (..., L, S) = (2, 6": (
        lambda: F.scaled_dot_product_attention(q, k, v, zeros(6, 6))
    ),
    "scaled_dot_product_attention: attn_mask is given and is_causal is True; expected one of them": (
        lambda: F.scaled_dot_product_attention(q, k, v, zeros(6, 7), is_causal=True)
    ),
    "scaled_dot_product_attention: query, key and value have 3, 2 and 2 heads; expected as many": (
        lambda: F.scaled_dot_product_attention(zeros(3, 6, 4), k, v, enable_gqa=True)
    ),
    "scaled_dot_product_attention: scale is inf; expected a finite number": (
        lambda: F.scaled_dot_product_attention(q, k, v, scale=np.inf)
    ),
    "multiplicative_attention: key has shape (2, 7, 3); expected (B, S, Dq) = (B, S, 4) with Dq from query, as there "
    "is no weight": lambda: F.multiplicative_attention(q, v, v),
    "multiplicative_attention: weight has shape (3, 4); expected (Dq, Dk) = (4, 4) with Dq from query, Dk from key": (
        lambda: F.multiplicative_attention(q, k, v, x)
    ),
    "multiplicative_attention: value has shape (2, 6, 4); expected (B, S, Dv) = (2, 7, 4) with B, S from key": (
        lambda: F.multiplicative_attention(q, k, q)
    ),
    "multiplicative_attention: query has shape (1, 6, 4); expected (B, Q, Dq) = (2, 6, 4) with B from key": (
        lambda: F.multiplicative_attention(q[:1], k, v)
    ),
    "multiplicative_attention: lengths[1] is 8; expected 0 to 7": lambda: F.multiplicative_attention(
        q, k, v, lengths=[7, 8]
    ),
    "multiplicative_attention: lengths has shape (3,); expected (B,) = (2,)": lambda: F.multiplicative_attention(
        q, k, v, lengths=[1, 1, 1]
    ),
    "additive_attention: weight_key has shape (5, 3); expected (A, Dk) = (5, 4) with A from weight_score, Dk": (
        lambda: F.additive_attention(q, k, v, zeros(5, 4), zeros(5, 3), zeros(5))
    ),
    "additive_attention: query has shape (3, 4); expected (B, Q, Dq)": lambda: F.additive_attention(x, k, v, x, x, x),
    # layers
    "LSTM: input has shape (7, 2, 3); expected (T, B, I) with I = 4": lambda: LSTM(zeros(7, 2, 3)),
    "LSTM: input has shape (3,); expected (T, B, I), or (T, I) for one sequence": lambda: LSTM(zeros(3)),
    "LSTM: h0 has shape (2, 3, 5); expected (num_layers * directions, B, H) = (1, 3, 5)": lambda: LSTM(
        zeros(7, 3, 4), (zeros(2, 3, 5), zeros(1, 3, 5))
    ),
    "LSTM: c0 has shape (1, 5, 5); expected (num_layers * directions, H) = (1, 5)": lambda: LSTM(
        zeros(7, 4), (zeros(1, 5), zeros(1, 5, 5))
    ),
    "LSTM: lengths[2] is 8; expected 0 to 7": lambda: LSTM(zeros(7, 3, 4), lengths=[7, 0, 8]),
    "LSTM: lengths has shape (2,); expected (B,) = (3,) with B from input": lambda: LSTM(
        zeros(7, 3, 4), lengths=[7, 0]
    ),
    "LSTM: proj_size is 5; expected less than hidden_size = 5": lambda: nn.LSTM(4, 5, proj_size=5),
    "GRU: compute_type is 'int4'; expected 'float32' or 'bfloat16' or 'int8'": lambda: nn.GRU(
        4, 5, compute_type="int4"
    ),
    "quantize_rows: input has shape (); expected (*, I)": lambda: F.quantize_rows(1.0),
    "RNNCell: nonlinearity is 'gelu'; expected 'tanh' or 'relu'": lambda: nn.RNNCell(4, 5, nonlinearity="gelu"),
    "RNN: hidden_size is 0; expected at least 1": lambda: nn.RNN(4, 0),
    "RNN: dropout is 2; expected 0 to 1": lambda: nn.RNN(4, 5, dropout=2),
    "Linear: input has shape (3, 5); expected (*, I) = (*, 4)": lambda: nn.Linear(4, 2)(h),
    "Embedding: padding_idx is 3; expected -3 to 2": lambda: nn.Embedding(3, 2, padding_idx=3),
    "MultiheadAttention: embed_dim is 5; expected a multiple of num_heads = 2": lambda: nn.MultiheadAttention(5, 2),
    "MultiheadAttention: key has shape (2, 7, 3); expected (B, S, 4)": lambda: MHA(q, v, v),
    "MultiheadAttention: value has shape (7, 4); expected (B, S, 4)": lambda: MHA(q, k, zeros(7, 4)),
    "MultiheadAttention: query, key and value have (B, length) (2, 6), (2, 7) and (2, 6); expected one B": lambda: MHA(
        q, k, q
    ),
    "MultiheadAttention: attn_mask has shape (7, 6); expected (L, S) = (6, 7) or (B * num_heads, L, S) = (4, 6, 7)": (
        lambda: MHA(q, k, k, attn_mask=zeros(7, 6))
    ),
    "MultiheadAttention: key_padding_mask has shape (7,); expected (B, S) = (2, 7) with S from key": lambda: MHA(
        q, k, k, key_padding_mask=zeros(7)
    ),
    "TransformerEncoderLayer: activation is 'silu'; expected 'relu' or 'gelu'": lambda: nn.TransformerEncoderLayer(
        4, 2, activation="silu"
    ),
}

TYPE_ERRORS = {
    "relu: input has dtype complex128; expected floating-point numbers": lambda: F.relu([1j]),
    "relu: input has dtype <U1; expected floating-point numbers": lambda: F.relu(["a"]),
    "relu: input has dtype bool; expected floating-point numbers": lambda: F.relu([True]),
    "relu: input has dtype object; expected floating-point numbers": lambda: F.relu([None, 1]),
    "relu: input is NoneType; expected floating-point numbers": lambda: F.relu(None),
    "linear: weight is dict; expected floating-point numbers": lambda: F.linear(x, {}),
    "lstm_cell: hx is ndarray; expected a pair (h0, c0)": lambda: F.lstm_cell(x, h, x, x),
    "embedding: input has dtype float64; expected integers": lambda: F.embedding([1.0], x),
    "layer_norm: normalized_shape is 4.0; expected a whole number": lambda: F.layer_norm(x, 4.0),
    "layer_norm: eps is '1'; expected a number": lambda: F.layer_norm(x, 4, eps="1"),
    "RNN: dropout is True; expected a number": lambda: nn.RNN(4, 5, dropout=True),
    "RNN: nonlinearity is 3; expected a name": lambda: nn.RNN(4, 5, nonlinearity=3),
    "LSTM.load_state_dict: state is list; expected a mapping of names to arrays": lambda: LSTM.load_state_dict([x]),
    "log_softmax_topk: k is True; expected a whole number": lambda: F.log_softmax_topk(x, True),
    "scaled_dot_product_attention: attn_mask has dtype int64; expected booleans or floating-point numbers": (
        lambda: F.scaled_dot_product_attention(q, k, v, np.ones((6, 7), np.int64))
    ),
    "scaled_dot_product_attention: scale is 'a'; expected a number": lambda: F.scaled_dot_product_attention(
        q, k, v, scale="a"
    ),
    "LSTM: lengths has dtype float64; expected integers": lambda: LSTM(zeros(7, 1, 4), lengths=[7.0]),
    "LSTM: hidden_size is 5.0; expected a whole number": lambda: nn.LSTM(4, 5.0),
    "TransformerEncoder: the layer is LSTM; expected TransformerEncoderLayer": lambda: nn.TransformerEncoder(LSTM, 2),
    "LSTM.from_torch: module is LSTM; expected torch.nn.LSTM": lambda: nn.LSTM.from_torch(LSTM),
}


@pytest.mark.parametrize("message", VALUE_ERRORS)
def test_wrong_values_and_shapes(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        VALUE_ERRORS[message]()


@pytest.mark.parametrize("message", TYPE_ERRORS)
def test_wrong_types(message):
    with pytest.raises(TypeError, match=re.escape(message)):
        TYPE_ERRORS[message]()


def test_every_function_is_among_the_wrong_calls():
    tested = {message.split(":")[0] for message in [*VALUE_ERRORS, *TYPE_ERRORS]}
    elementwise = {"tanh", "sigmoid", "silu", "exp"}  # as relu
    assert set(functional.__all__) - elementwise <= tested


def test_all_problems_of_a_state_dictionary_are_named_at_once():
    layer = nn.LSTM(4, 5)
    before = layer.state_dict()
    state = {name: value for name, value in before.items() if name != "bias_hh_l0"}
    state |= {"weight_ih_l0": zeros(20, 3), "weight_ih_l1": zeros(1)}
    with pytest.raises(ValueError, match=r"^LSTM\.load_state_dict") as error:
        layer.load_state_dict(state)
    for part in (
        "bias_hh_l0 is missing",
        "weight_ih_l1 is not expected",
        "weight_ih_l0 has shape (20, 3), expected (20, 4)",
    ):
        assert part in str(error.value)
    assert layer.state_dict().keys() == before.keys()
    assert all(np.array_equal(value, before[name]) for name, value in layer.state_dict().items())


def test_loading_a_state_replaces_what_was_packed():
    layer, other = nn.TransformerEncoderLayer(4, 2, 8, seed=0), nn.TransformerEncoderLayer(4, 2, 8, seed=1)
    tokens = np.ones((3, 1, 4)) * [1, 2, 3, 5]
    assert not np.array_equal(layer(tokens), other(tokens))
    layer.load_state_dict(other.state_dict())
    assert np.array_equal(layer(tokens), other(tokens))


def test_parameters_are_read_only_copies():
    layer, weight = nn.Linear(4, 2, bias=False), np.ones((2, 4))
    layer.load_state_dict({"weight": weight})
    weight[:] = 0
    assert layer.weight.all()
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0] = 0
    with pytest.raises(AttributeError, match="Linear has no attribute 'wieght'"):
        _ = layer.wieght


@pytest.mark.parametrize("layer", [nn.GRU(4, 5, num_layers=2), nn.TransformerDecoderLayer(4, 2, 8)])
def test_copies_and_pickles_compute_the_same(layer):
    tokens = np.ones((3, 2, 4), np.float32)
    args = (tokens,) if isinstance(layer, nn.GRU) else (tokens, tokens)
    expected = layer(*args)
    for twin in (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        for ours, wanted in zip(twin(*args), expected, strict=True):
            assert np.array_equal(ours, wanted)
        assert all(not value.flags.writeable for value in twin.state_dict().values())


def test_the_copy_of_a_layer_has_parameters_of_its_own():
    layer = nn.Linear(4, 2, seed=0)
    before = layer.weight, layer(x)
    twin = copy.copy(layer)
    twin.load_state_dict({"weight": zeros(2, 4), "bias": zeros(2)})
    assert not twin(x).any()
    assert layer.weight is before[0]
    assert np.array_equal(layer(x), before[1])


def test_what_is_infinite_or_not_a_number_is_computed_without_a_warning():
    wild = np.array([[np.inf, 1, 2, 3], [3e38, 3e38, -3e38, 1], [np.nan, 1, 2, -np.inf]], np.float32)[None]
    for compute_type in ("float32", "bfloat16", "int8"):
        output = F.linear(wild, wild[0], compute_type=compute_type)
        assert not np.isfinite(output[0, 0, 0])
        for layer in (nn.RNN, nn.LSTM, nn.GRU):
            layer(4, 5, compute_type=compute_type, seed=0)(wild)
    assert np.isnan(F.scaled_dot_product_attention(wild, wild, wild)).any()
    F.additive_attention(wild, wild, wild, zeros(2, 4), zeros(2, 4), zeros(2))
    F.multiplicative_attention(wild, wild, wild)
    cells = nn.RNNCell(4, 5, seed=0), nn.LSTMCell(4, 5, seed=0), nn.GRUCell(4, 5, seed=0)
    assert all(np.isnan(cell(wild[0])[-1]).any() for cell in cells)
    nn.MultiheadAttention(4, 2)(wild, wild, wild, attn_mask=[[-np.inf]], key_padding_mask=np.full((3, 1), np.inf))


def test_empty_arguments_have_empty_results():
    assert F.linear(zeros(0, 4), zeros(2, 4)).shape == (0, 2)
    assert np.array_equal(F.linear(zeros(3, 0), zeros(2, 0), [1, 2]), [[1, 2]] * 3)
    assert F.embedding([], x).shape == (0, 4)
    assert F.softmax(zeros(3, 0)).shape == (3, 0)
    assert F.layer_norm(zeros(3, 0), 0).shape == (3, 0)
    assert [a.shape for a in F.log_softmax_topk(zeros(0, 4), 2)] == [(0, 2), (0, 2)]
    assert F.rnn_cell(zeros(0, 4), zeros(0, 5), zeros(5, 4), zeros(5, 5)).shape == (0, 5)
    assert not F.scaled_dot_product_attention(q, k[:, :0], v[:, :0]).any()
    context, weights = F.multiplicative_attention(q, k, v, lengths=[0, 7])
    assert not context[0].any()
    assert not weights[0].any()
    output, weights = MHA(q[:0], k[:0], k[:0])
    assert (output.shape, weights.shape) == ((0, 6, 4), (0, 6, 7))
