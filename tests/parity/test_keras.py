"""Layers and models of Keras against Keras itself, live and from its files.

Both compute in float32. A chain of some dozen roundings of numbers around 1 is off by less than 1e-5.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from torch_keras import RNG, assert_same, built, keras, randomise

from fastseq import nn

layers = keras.layers
pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # of Keras, about its variables
]
KINDS = ["SimpleRNN", "LSTM", "GRU"]
FLAGS = list(itertools.product([False, True], repeat=3))
# Not only prefixes: holes, nothing at the start, nothing at all.
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0]], bool)
X = RNG.normal(size=(4, 6, 5)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("return_sequences", "return_state", "go_backwards"), FLAGS)
def test_recurrent_layers(kind: str, return_sequences: bool, return_state: bool, go_backwards: bool) -> None:
    options = {"return_sequences": return_sequences, "return_state": return_state, "go_backwards": go_backwards}
    layer = built(getattr(layers, kind)(7, **options), X)
    mine = nn.from_keras(layer)
    assert_same(mine(X), layer(X))
    assert_same(mine(X, mask=MASK), layer(X, mask=MASK))
    states = [RNG.normal(size=(4, 7)).astype(np.float32) for _ in range(2 if kind == "LSTM" else 1)]
    assert_same(mine(X, mask=MASK, initial_state=states), layer(X, mask=MASK, initial_state=states))


@pytest.mark.parametrize("kind", KINDS)
def test_layers_without_bias_and_zeros_in_masked_steps(kind: str) -> None:
    layer = built(getattr(layers, kind)(3, use_bias=False, return_sequences=True, zero_output_for_mask=True), X)
    assert_same(nn.from_keras(layer)(X, mask=MASK), layer(X, mask=MASK))


def test_the_gru_that_resets_before_the_product() -> None:
    layer = built(layers.GRU(6, reset_after=False, return_sequences=True), X)
    assert_same(nn.from_keras(layer)(X, mask=MASK), layer(X, mask=MASK))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "activation",
    ["relu", "relu6", "linear", "elu", "selu", "softsign", "softplus", "silu", "gelu", "hard_sigmoid", "leaky_relu"],
)
def test_activations_of_recurrent_layers(kind: str, activation: str) -> None:
    gates = {} if kind == "SimpleRNN" else {"recurrent_activation": "hard_sigmoid"}
    layer = built(getattr(layers, kind)(4, activation=activation, return_sequences=True, **gates), X)
    assert_same(nn.from_keras(layer)(X[:, :3]), layer(X[:, :3]))


def test_lengths_are_masks_of_prefixes() -> None:
    layer = built(layers.LSTM(3, return_sequences=True), X)
    mask = np.arange(6) < np.array([6, 3, 1, 0])[:, None]
    assert_same(nn.from_keras(layer)(X, lengths=[6, 3, 1, 0]), layer(X, mask=mask))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_bidirectional(kind: str, merge: str | None, return_sequences: bool) -> None:
    inner = getattr(layers, kind)(4, return_sequences=return_sequences, return_state=True)
    layer = built(layers.Bidirectional(inner, merge_mode=merge), X)
    mine = nn.from_keras(layer)
    assert_same(mine(X), layer(X))
    assert_same(mine(X, mask=MASK), layer(X, mask=MASK))


def test_a_cell_in_an_rnn_layer() -> None:
    layer = built(layers.RNN(layers.GRUCell(4), return_sequences=True), X)
    assert_same(nn.from_keras(layer)(X, mask=MASK), layer(X, mask=MASK))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Attention(),
        lambda: layers.Attention(use_scale=True),
        lambda: layers.Attention(score_mode="concat"),
        lambda: layers.Attention(score_mode="concat", use_scale=True),
        lambda: layers.AdditiveAttention(),
        lambda: layers.AdditiveAttention(use_scale=False),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_attention(make: Any, masked: bool) -> None:
    query, key = X[:3, :4], RNG.normal(size=(3, 6, 5)).astype(np.float32)
    value = RNG.normal(size=(3, 6, 2)).astype(np.float32)
    layer = built(make(), [query, value, key])
    mask = [MASK[1:, :4], MASK[:3]] if masked else None
    mine = nn.from_keras(layer)
    padded = None if mask is None else [*mask, None]
    expected = layer([query, value, key], mask=mask, return_attention_scores=True)
    assert_same(mine([query, value, key], mask=padded, return_attention_scores=True), expected)
    assert_same(nn.from_keras(layer)([query, key], mask=mask), layer([query, key], mask=mask))
    if mask is not None:  # a query without any key is where Keras differs: see docs/keras.md
        mask[1] = mask[1] | (np.arange(6) == 0)
    causal = {"mask": mask, "use_causal_mask": True, "return_attention_scores": True}
    for mine, theirs in zip(nn.from_keras(layer)([query, key], **causal), layer([query, key], **causal), strict=True):
        assert_same(mine, theirs)


@pytest.mark.parametrize(
    "activation",
    ["linear", "relu", "tanh", "sigmoid", "silu", "swish", "gelu", "exponential", "softmax", "log_softmax", None],
)
def test_dense_layers_and_their_activations(activation: str | None) -> None:
    layer = built(layers.Dense(4, activation=activation), X)
    assert_same(nn.from_keras(layer)(X), layer(X))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Dense(3, use_bias=False),
        lambda: layers.Activation("tanh"),
        lambda: layers.Dropout(0.5),
        lambda: layers.LayerNormalization(),
        lambda: layers.LayerNormalization(center=False, epsilon=0.1),
        lambda: layers.TimeDistributed(layers.Dense(3, activation="relu")),
        lambda: layers.GlobalMaxPooling1D(),
        lambda: layers.GlobalAveragePooling1D(keepdims=True),
        lambda: layers.Masking(0.5),
    ],
)
def test_other_layers(make: Any) -> None:
    layer = built(make(), X)
    x = np.where(MASK[..., None], X, np.float32(0.5))
    assert_same(nn.from_keras(layer)(x), layer(x))


IDS = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8], [9, 0, 2, 0, 0], [0, 0, 3, 4, 5]])


def classifier() -> Any:
    return keras.Sequential(
        [
            keras.Input((None,)),
            layers.Embedding(10, 4, mask_zero=True, name="words"),
            layers.SpatialDropout1D(0.2),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True, dropout=0.1)),
            layers.LSTM(5, return_sequences=True, name="upper"),
            layers.Bidirectional(layers.GRU(2)),
            layers.Dense(4, activation="relu"),
            layers.Dense(2, activation="softmax"),
        ]
    )


def pooled() -> Any:
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Embedding(10, 4, mask_zero=True),
            layers.GRU(3, return_sequences=True),
            layers.GlobalAveragePooling1D(),
            keras.Sequential([layers.Dense(3, activation="tanh"), layers.Dense(1)]),
        ]
    )


def translator() -> Any:
    """Encoder, decoder, attention: two inputs, two outputs, a shared layer, states from one layer to another."""
    source, target = keras.Input((None,), name="source"), keras.Input((None,), name="target")
    embedding = layers.Embedding(10, 4, mask_zero=True)
    memory, h, c = layers.LSTM(6, return_sequences=True, return_state=True)(embedding(source))
    states = layers.LSTM(6, return_sequences=True)(embedding(target), initial_state=[h, c])
    context, weights = layers.AdditiveAttention()([states, memory], return_attention_scores=True)
    joined = layers.Concatenate()([states, context])
    summed = layers.Add()([joined, layers.Dense(12)(joined)])
    return keras.Model([source, target], {"logits": layers.Dense(10)(summed), "weights": weights})


def masked() -> Any:
    """Keras records how the masks of merged layers are computed as operations of the model."""
    inputs = keras.Input((None, 5))
    joined = layers.Concatenate()([layers.Masking()(inputs), layers.Masking(1.0)(inputs)])
    states = layers.Bidirectional(layers.GRU(2, return_sequences=True))(joined)
    return keras.Model(inputs, layers.GlobalAveragePooling1D()(layers.Add()([states, states])))


def scaled() -> Any:
    """A weight that is one number, and has no axis in a file either."""
    inputs = keras.Input((None, 5))
    return keras.Model(inputs, layers.Attention(use_scale=True)([inputs, inputs]))


@pytest.mark.parametrize(
    ("make", "inputs"),
    [(scaled, X), (classifier, IDS), (pooled, IDS), (translator, [IDS, IDS[:, :4]]), (masked, X * MASK[..., None])],
)
def test_whole_models_live_and_from_files(make: Any, inputs: Any, tmp_path: Path) -> None:
    model = randomise(make())
    expected = model(inputs)
    assert_same(nn.from_keras(model)(inputs), expected)
    model.save(tmp_path / "model.keras")
    assert_same(nn.from_keras(tmp_path / "model.keras")(inputs), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    assert_same(nn.from_keras(tmp_path / "model.weights.h5", model.to_json())(inputs), expected)


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "float64"])
def test_weights_of_other_types_are_those_of_the_live_model(policy: str, tmp_path: Path) -> None:
    inputs = keras.Input((None, 5))
    model = keras.Model(inputs, layers.Dense(3, dtype=policy)(inputs))
    randomise(model)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(nn.from_keras(tmp_path / "model.keras")(X), nn.from_keras(model)(X))


def test_a_dictionary_of_inputs() -> None:
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    model = keras.Model({"a": a, "b": b}, layers.Multiply()([a, layers.Average()([a, b])]))
    inputs = {"b": X[0, :, :2], "a": X[1, :, :2]}
    mine = nn.from_keras(model)
    assert_same(mine(inputs), model(inputs))
    with pytest.raises(ValueError, match="inputs are a; expected a, b"):
        mine({"a": inputs["a"]})


def test_everything_that_is_not_supported_is_named_at_once(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((6, 5)),
            layers.Conv1D(4, 3, name="conv"),
            layers.LSTM(4, recurrent_activation="hard_tanh", return_sequences=True, name="hard"),
            layers.Lambda(lambda x: x, name="code"),
            layers.ReLU(name="max"),
        ]
    )
    model.save(tmp_path / "model.keras")
    for source in (model, tmp_path / "model.keras"):
        with pytest.raises(ValueError) as error:
            nn.from_keras(source)
        for words in ("'conv' is a Conv1D", "recurrent_activation of layer 'hard'", "'code' is a Lambda", "is a ReLU"):
            assert words in str(error.value)
        assert "'hard_tanh'; only 'tanh' or 'sigmoid' or" in str(error.value)


def own_activation(x: Any) -> Any:
    return x


def test_layers_of_somebody_elses_are_refused() -> None:
    class Dense(layers.Dense):
        pass

    layer = built(Dense(3), X)
    with pytest.raises(ValueError, match="is a Dense of test_keras, which is no layer of Keras"):
        nn.from_keras(layer)
    with pytest.raises(TypeError, match="source is a int; expected a path, or a layer or model of Keras"):
        nn.from_keras(3)
    layer = built(layers.Dense(3, activation=own_activation), X)
    with pytest.raises(ValueError, match=r"activation of layer .* is 'builtins.own_activation'; only 'linear' or"):
        nn.from_keras(layer)


def test_wrong_inputs_are_named() -> None:
    mine = nn.from_keras(randomise(classifier()))
    with pytest.raises(ValueError, match=r"input 'input_layer.*' has shape \(5,\); expected \(\*, \*\)"):
        mine(IDS[0])
    with pytest.raises(ValueError, match="10"):
        mine(IDS + 5)
    layer = nn.from_keras(built(layers.LSTM(3), X))
    with pytest.raises(ValueError, match=r"mask has shape \(4, 5\).*expected \(B, T\) = \(4, 6\)"):
        layer(X, mask=MASK[:, :5])
    with pytest.raises(TypeError, match="expected numbers"):
        layer(np.array([["a"]]))
    with pytest.raises(ValueError, match="initial_state has 1 arrays; expected 2"):
        layer(X, initial_state=[np.zeros((4, 3))])
