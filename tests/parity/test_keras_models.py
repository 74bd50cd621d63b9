"""Whole models of Keras by `load_model`, and layers that keep their state, against Keras itself.

Both compute in float32. A chain of some dozen roundings of numbers around 1 is off by less than 1e-5.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from torch_keras import RNG, assert_same, keras, randomise

import fastseq
from fastseq import nn
from fastseq.text import Encoding

layers = keras.layers
pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # of Keras, about its variables
    pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning"),  # of Keras, about one token
]
TEXTS = [[3, 1, 4, 1, 5], [9], [2, 6, 5], [5, 8, 9], [7, 9, 3, 2]]
PADDED = np.array([text + [0] * (5 - len(text)) for text in TEXTS])


def sequential(*parts: Any, mask: bool = True) -> Any:
    embedding = layers.Embedding(10, 4, mask_zero=mask)
    return randomise(keras.Sequential([keras.Input((None,)), embedding, *parts]))


def classifier(activation: str | None = "softmax", units: int = 3) -> Any:
    parts = [layers.Dense(5, activation="relu"), layers.Dropout(0.3), layers.Dense(units, activation=activation)]
    return sequential(layers.Bidirectional(layers.LSTM(6)), *parts)


def tagger() -> Any:
    ids = keras.Input((None,))
    states = layers.Bidirectional(layers.GRU(4, return_sequences=True))(layers.Embedding(12, 4, mask_zero=True)(ids))
    context = layers.Attention()([states, states])
    tags = layers.TimeDistributed(layers.Dense(4))(layers.Concatenate()([states, context]))
    return randomise(keras.Model(ids, layers.Activation("softmax")(tags)))


def encoder() -> Any:
    return sequential(layers.SimpleRNN(7, return_sequences=True))


def saved(model: Any, folder: Path, form: str) -> Path:
    """The model in a file, as Keras writes it."""
    if form == "keras":
        model.save(folder / "model.keras")
        return folder / "model.keras"
    model.save_weights(folder / "model.weights.h5")
    (folder / ("config.json" if form == "folder" else "model.json")).write_text(model.to_json())
    return folder if form == "folder" else folder / "model.weights.h5"


@pytest.mark.parametrize("form", ["keras", "weights", "folder"])
@pytest.mark.parametrize(
    ("make", "task", "problem"),
    [
        (classifier, "text-classification", "single_label_classification"),
        (lambda: classifier("sigmoid", 1), "text-classification", "multi_label_classification"),
        (lambda: classifier(None), "text-classification", None),
        (tagger, "token-classification", "single_label_classification"),
        (encoder, "feature-extraction", None),
        (lambda: sequential(layers.LSTM(3)), "feature-extraction", None),
        (lambda: sequential(layers.GRU(4), mask=False), "feature-extraction", None),
    ],
)
def test_one_call_loads_a_model_that_keras_trained(
    make: Any, task: str, problem: str | None, form: str, tmp_path: Path
) -> None:
    theirs = make()
    model = fastseq.load_model(saved(theirs, tmp_path, form))
    assert (model.task, model.config.problem_type) == (task, problem)
    assert model.config.vocab_size == theirs.layers[1 if task[:2] == "to" else 0].input_dim
    assert_same(model(PADDED), theirs(PADDED))
    for mine, text in zip(model.predict(TEXTS), TEXTS, strict=True):  # each text alone, without padding
        assert_same(mine, theirs(np.array([text]))[0])
    if task == "feature-extraction":
        np.testing.assert_array_equal(model.encode(TEXTS)[1], model.predict(TEXTS)[1])
    else:
        assert model.config.id2label[0] == "LABEL_0"


def test_logits_come_before_the_last_softmax(tmp_path: Path) -> None:
    theirs = classifier()
    model = fastseq.load_model(saved(theirs, tmp_path, "keras"))
    theirs.layers[-1].activation = keras.activations.linear
    for mine, text in zip(model.logits(TEXTS), TEXTS, strict=True):
        assert_same(mine, theirs(np.array([text]))[0])


@pytest.mark.parametrize("compute_type", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("make", [classifier, tagger])
def test_a_text_has_the_same_bits_in_any_batch(make: Any, compute_type: str, backend: str, tmp_path: Path) -> None:
    theirs = make()
    model = fastseq.load_model(saved(theirs, tmp_path, "keras"), compute_type)
    assert model.backend == backend
    for together, text in zip(model.predict(TEXTS), TEXTS, strict=True):
        if backend == "native":
            np.testing.assert_array_equal(together, model.predict([text])[0])
        # A probability is off by what a few products of numbers around 1 lose: 2^-8 each, or 1/127 of the largest.
        tolerance = {"float32": 1e-5, "bfloat16": 0.02, "int8": 0.04}[compute_type]
        expected = keras.ops.convert_to_numpy(theirs(np.array([text])))[0]
        np.testing.assert_allclose(together, expected, rtol=0, atol=tolerance)


def test_models_with_several_inputs_are_called(tmp_path: Path) -> None:
    a, b = keras.Input((None,)), keras.Input((None,))
    table = layers.Embedding(10, 4, mask_zero=True)
    memory, *states = layers.LSTM(4, return_sequences=True, return_state=True)(table(a))
    above = layers.LSTM(4, return_sequences=True)(table(b), initial_state=states)
    theirs = randomise(keras.Model([a, b], layers.AdditiveAttention()([above, memory])))
    model = fastseq.load_model(saved(theirs, tmp_path, "keras"))
    assert model.task == "other"
    assert_same(model([PADDED, PADDED[:, :3]]), theirs([PADDED, PADDED[:, :3]]))
    with pytest.raises(ValueError, match="predict: the model does not read one array of ids"):
        model.predict(TEXTS)


def within(*parts: Any) -> Any:
    """A model of its own, functional, that reads states."""
    inputs = keras.Input((None, 4))
    output = inputs
    for part in parts:
        output = part(output)
    return keras.Model(inputs, output)


@pytest.mark.parametrize(
    "make",
    [
        lambda: sequential(keras.Sequential([layers.GRU(3, return_sequences=True)]), layers.GRU(2)),
        lambda: sequential(within(layers.LSTM(3, return_sequences=True)), layers.GRU(2)),
        lambda: sequential(within(layers.Dense(3)), layers.SimpleRNN(2)),
        lambda: sequential(layers.LayerNormalization(), layers.Activation("tanh"), layers.GRU(2)),
        lambda: sequential(layers.TimeDistributed(layers.Dense(3)), layers.Dropout(0.1), layers.LSTM(2)),
    ],
)
@pytest.mark.filterwarnings("ignore:Layer '.*was passed an input with a mask:UserWarning")  # of Keras; it passes it on
def test_masks_reach_the_layers_that_they_reach_in_keras(make: Any, tmp_path: Path) -> None:
    theirs = make()
    holes = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8], [0, 0, 3, 4, 5], [1, 0, 2, 0, 0]])
    assert_same(fastseq.load_model(saved(theirs, tmp_path, "keras"))(holes), theirs(holes))


def test_wrong_calls_are_named(tmp_path: Path) -> None:
    model = fastseq.load_model(saved(encoder(), tmp_path, "keras"))
    with pytest.raises(ValueError, match=r"input_ids.*10"):
        model.predict([[3, 10]])
    with pytest.raises(ValueError, match="logits: the model's task is feature-extraction"):
        model.logits(TEXTS)
    with pytest.raises(ValueError, match=r"stream: Sequential 'sequential.*' has no layer with stateful"):
        model.stream(PADDED)
    with pytest.raises(ValueError, match="encode: the model's task is text-classification"):
        fastseq.load_model(saved(classifier(), tmp_path, "keras")).encode(TEXTS)
    ids = keras.Input((5,))
    fixed = randomise(keras.Model(ids, layers.GRU(3)(layers.Embedding(10, 4)(ids))))
    model = fastseq.load_model(saved(fixed, tmp_path, "keras"))
    assert_same(model.predict(PADDED), [row for row in keras.ops.convert_to_numpy(fixed(PADDED))])
    with pytest.raises(ValueError, match=r"has shape \(1, 1\); expected \(\*, 5\)"):
        model.predict(TEXTS)


def test_a_model_that_was_fitted_takes_batches_and_lengths_that_it_did_not_see(tmp_path: Path) -> None:
    """Its file has an optimiser and its losses, too, and says the shape of the first batch."""
    theirs = keras.Sequential([layers.Embedding(10, 4), layers.GRU(3), layers.Dense(1, activation="sigmoid")])
    theirs.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    theirs.fit(PADDED, np.arange(5) % 2, batch_size=4, verbose=0)
    assert theirs.get_config()["layers"][0]["config"]["batch_shape"][1:] == (5,)
    model = fastseq.load_model(saved(theirs, tmp_path, "keras"))
    assert_same(model(PADDED), theirs(PADDED))
    for mine, text in zip(model.predict(TEXTS), TEXTS, strict=True):
        assert_same(mine, theirs(np.array([text]))[0])


class Letters:
    """A tokenizer as pipelines call it."""

    max_length = None

    def encode(self, text: str, pair: Any = None, **_options: Any) -> Encoding:
        ids = [ord(letter) - ord("a") for letter in text]
        return Encoding(ids, [0] * len(ids), [0] * len(ids))


def test_the_classification_pipeline_runs_them(tmp_path: Path) -> None:
    theirs = classifier()
    classify = fastseq.pipeline("text-classification", saved(theirs, tmp_path, "keras"), tokenizer=Letters())
    scores = {entry["label"]: entry["score"] for entry in classify("bed", top_k=None)}
    expected = keras.ops.convert_to_numpy(theirs(np.array([[1, 4, 3]])))[0]
    assert [scores[f"LABEL_{i}"] for i in range(3)] == pytest.approx(expected.tolist(), abs=1e-5)


def test_pipelines_find_the_tokenizer_beside_the_file(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    from tokenizer_folders import wordpiece

    tokenizer = fastseq.load_tokenizer(wordpiece(tmp_path))
    states = layers.LSTM(4, return_sequences=True)
    parts = {"token-classification": [states, layers.Dense(3, activation="softmax")], "feature-extraction": [states]}
    for task, above in parts.items():
        theirs = keras.Sequential([keras.Input((None,)), layers.Embedding(tokenizer.vocab_size, 4), *above])
        found = fastseq.pipeline(task, saved(randomise(theirs), tmp_path, "keras"))("the house")
        expected = keras.ops.convert_to_numpy(theirs(np.array([tokenizer.encode("the house").ids])))[0]
        if task == "feature-extraction":
            np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-5)
        else:
            assert [entity["score"] for entity in found] == pytest.approx(expected.max(axis=1)[1:-1].tolist(), abs=1e-5)


def stateful() -> Any:
    return randomise(
        keras.Sequential(
            [
                keras.Input(batch_shape=(3, None, 5)),
                layers.Bidirectional(layers.LSTM(4, return_sequences=True, stateful=True)),
                layers.LSTM(6, return_sequences=True),
                keras.Sequential([layers.GRU(3, return_sequences=True, stateful=True)]),
                layers.SimpleRNN(2, stateful=True, go_backwards=True),
            ]
        )
    )


def test_stateful_layers_go_on_where_the_part_before_ended(tmp_path: Path) -> None:
    theirs = stateful()
    model = fastseq.load_model(saved(theirs, tmp_path, "keras"))
    parts = [RNG.normal(size=(3, steps, 5)).astype(np.float32) for steps in (4, 1, 6)]
    state, states = None, []
    for part in parts:
        output, state = model.stream(part, state)
        states.append(state)
        assert_same(output, theirs(part))
    assert [[array.shape for array in layer] for layer in state] == [[(3, 4)] * 2, [(3, 4)] * 2, [(3, 3)], [(3, 2)]]
    # A call begins at zeros, whatever was run before; an older state can be gone on from again.
    again, _ = model.stream(parts[2], states[1])
    np.testing.assert_array_equal(again, output)
    np.testing.assert_array_equal(model(parts[0]), model.stream(parts[0])[0])


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_masked_steps_leave_the_state_of_a_stateful_layer(kind: str) -> None:
    theirs = getattr(layers, kind)(4, stateful=True)
    x = RNG.normal(size=(3, 4, 5)).astype(np.float32)
    mask = np.array([[1, 1, 1, 1], [1, 0, 0, 1], [0, 0, 0, 0]], bool)
    theirs(x)
    randomise(theirs).reset_state()
    model, state = nn.from_keras(theirs), None
    for _ in range(2):
        output, state = model.stream(x, state, mask)
        assert_same(output, theirs(x, mask=mask))


def test_stateful_layers_in_parts_give_the_bits_of_the_whole() -> None:
    theirs = keras.Sequential(
        [keras.Input(batch_shape=(2, None, 5)), layers.LSTM(9, stateful=True, return_sequences=True)]
    )
    model = nn.from_keras(randomise(theirs))
    x = RNG.normal(size=(2, 11, 5)).astype(np.float32)
    first, state = model.stream(x[:, :4])
    second, _ = model.stream(x[:, 4:], state)
    np.testing.assert_array_equal(np.concatenate((first, second), axis=1), model(x))


def test_wrong_states_are_named() -> None:
    model = nn.from_keras(stateful())
    x = np.zeros((3, 2, 5), np.float32)
    with pytest.raises(ValueError, match="stream: state has 1 entries; expected a list with one for each of 4 layers"):
        model.stream(x, [[np.zeros((3, 4))]])
    with pytest.raises(ValueError, match="stream: state has type int"):
        model.stream(x, 3)
    _, state = model.stream(x)
    with pytest.raises(ValueError, match="initial_state has 1 arrays; expected 2"):
        model.stream(x, [state[0][:1], *state[1:]])
