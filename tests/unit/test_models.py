"""The public behaviour of models on tiny random ones: shapes, options, errors, independence of the batch."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import fastseq
from fastseq.models import RecurrentSeq2SeqConfig, Seq2SeqModel, TransformerSeq2SeqConfig
from tiny_models import (
    BACKENDS,
    MODEL_CONFIGS,
    RECURRENT,
    TRANSFORMER,
    random_model,
    random_tensors,
    recurrent_config,
    transformer_config,
)

SOURCES = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 1], [2, 2, 2], [3, 1]]


@pytest.fixture(params=[(name, backend) for name in MODEL_CONFIGS for backend in BACKENDS], ids="-".join)
def model(request: pytest.FixtureRequest) -> Seq2SeqModel:
    name, backend = request.param
    return random_model(MODEL_CONFIGS[name], backend)


def test_shapes(model: Seq2SeqModel) -> None:
    memory = model.encode(SOURCES)
    assert [m.shape for m in memory] == [(len(source), model.config.memory_size) for source in SOURCES]
    targets = [[1, 4, 5], [1], [], [1, 3], [1, 6]]
    assert [x.shape for x in model.decode(SOURCES, targets)] == [(len(target), 13) for target in targets]
    attention = model.attention(SOURCES, [[4], [], [5, 6], [7], []])
    assert [a.shape for a in attention] == [(2, 3), (1, 1), (3, 7), (2, 3), (1, 2)]
    for matrix in attention:
        np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-6)


def test_arrays_and_lists_are_the_same(model: Seq2SeqModel) -> None:
    lengths = [len(source) for source in SOURCES]
    padded = np.full((len(SOURCES), max(lengths)), 99)
    for row, source in zip(padded, SOURCES, strict=True):
        row[: len(source)] = source
    expected = model.generate(SOURCES, num_beams=2, max_new_tokens=6)
    assert model.generate(padded, lengths, num_beams=2, max_new_tokens=6) == expected
    assert model.generate(padded.astype(np.uint8), np.array(lengths), num_beams=2, max_new_tokens=6) == expected
    assert model.generate([np.array(s) for s in SOURCES], num_beams=2, max_new_tokens=6) == expected
    assert model.generate(tuple(map(tuple, SOURCES)), num_beams=2, max_new_tokens=6) == expected


def test_empty_batches_and_sentences_have_results(model: Seq2SeqModel) -> None:
    assert model.generate([]) == []
    assert model.encode([]) == []
    assert model.score([], []).shape == (0,)
    [memory] = model.encode([[]])
    assert memory.shape == (0, model.config.memory_size)
    empty, full = model.generate([[], SOURCES[0]], max_new_tokens=4)
    assert all(0 <= token < 13 for token in empty.tokens)
    assert full.tokens == model.generate([SOURCES[0]], max_new_tokens=4)[0].tokens
    [attention] = model.attention([[]], [[3]])
    assert attention.shape == (2, 0)
    assert np.isfinite(model.decode([[]], [[1, 3]])[0]).all()


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 0.6])
def test_score_is_the_score_of_the_search(model: Seq2SeqModel, length_penalty: float) -> None:
    options = {"num_beams": 4, "num_return_sequences": 4, "length_penalty": length_penalty, "max_new_tokens": 8}
    for source, generation in zip(SOURCES, model.generate(SOURCES, **options), strict=True):
        ended = [h for h in generation.hypotheses if h.finished]
        scores = model.score([source] * len(ended), [h.tokens for h in ended], length_penalty=length_penalty)
        np.testing.assert_allclose(scores, [h.score for h in ended], rtol=1e-5, atol=1e-6)


def test_options_are_those_of_the_search(model: Seq2SeqModel) -> None:
    generations = model.generate(SOURCES, num_beams=3, num_return_sequences=2, max_length=5, min_new_tokens=2)
    for generation in generations:
        assert 1 <= len(generation.hypotheses) <= 2
        for hypothesis in generation.hypotheses:
            assert 2 <= len(hypothesis.tokens) <= 4
    with pytest.raises(TypeError, match="unknown option beams"):
        model.generate(SOURCES, beams=3)
    with pytest.raises(ValueError, match="num_return_sequences is 3; expected at most num_beams = 2"):
        model.generate(SOURCES, num_beams=2, num_return_sequences=3)


def test_the_backends_find_the_same() -> None:
    for config in MODEL_CONFIGS.values():
        by_backend = []
        for backend in BACKENDS:
            generations = random_model(config, backend).generate(SOURCES, num_beams=4, max_new_tokens=9)
            by_backend.append([generation.tokens for generation in generations])
        assert by_backend[0] == by_backend[1]


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("name", MODEL_CONFIGS)
def test_same_sentence_same_bits(name: str, num_beams: int) -> None:
    """Alone, in a batch, in another order, with another number of threads: tokens and scores are equal, not close."""
    model = random_model(MODEL_CONFIGS[name], "native")
    generator = np.random.default_rng(5)
    sources = [generator.integers(1, 11, n).tolist() for n in generator.integers(0, 20, 150)]
    options = {"num_beams": num_beams, "num_return_sequences": num_beams, "max_new_tokens": 12}
    expected = model.generate(sources, **options)
    memory = model.encode(sources)
    for b in range(0, len(sources), 7):
        assert model.generate([sources[b]], **options) == [expected[b]]
        np.testing.assert_array_equal(model.encode([sources[b]])[0], memory[b], strict=True)
    order = generator.permutation(len(sources))
    assert model.generate([sources[b] for b in order], **options) == [expected[b] for b in order]
    threads = fastseq.get_num_threads()
    try:
        for count in (1, 3):
            fastseq.set_num_threads(count)
            assert model.generate(sources, **options) == expected
    finally:
        fastseq.set_num_threads(threads)


@pytest.mark.parametrize(
    ("sources", "error", "message"),
    [
        ([[1, 2], [3, 11]], ValueError, r"input_ids[1][1] is 11; expected a token id in [0, 11)"),
        ([[1, -1]], ValueError, r"input_ids[0][1] is -1; expected a token id in [0, 11)"),
        ([[1.5]], TypeError, r"input_ids[0][0] is 1.5; expected a token id"),
        ([[True]], TypeError, r"input_ids[0][0] is True; expected a token id"),
        ([1, 2], TypeError, r"input_ids[0] is int; expected a sequence of token ids"),
        (["ab"], TypeError, r"input_ids[0] is str; expected a sequence of token ids"),
        ("ab", TypeError, r"input_ids is str; expected a list of lists of ids or a 2-D array"),
        (7, TypeError, r"input_ids is int; expected a list of lists of ids or a 2-D array"),
        (np.ones(3, int), ValueError, r"input_ids has shape (3,); expected (sequences, tokens)"),
        (np.ones((2, 3)), TypeError, r"input_ids has dtype float64; expected integers"),
    ],
)
def test_wrong_ids_are_named(model: Seq2SeqModel, sources: Any, error: type[Exception], message: str) -> None:
    for method in (model.generate, model.encode):
        with pytest.raises(error, match=re.escape(message)):
            method(sources)


def test_wrong_lengths_and_targets_are_named(model: Seq2SeqModel) -> None:
    array = np.ones((2, 3), int)
    with pytest.raises(ValueError, match=r"lengths\[1\] is 4; expected 0 to 3"):
        model.generate(array, [1, 4])
    with pytest.raises(ValueError, match="lengths has 1 items; expected one for each of the 2 rows"):
        model.generate(array, [1])
    for lengths in (3, [1.5, 2], "ab"):
        with pytest.raises(TypeError, match=r"lengths is .*; expected a whole number for each row of input_ids"):
            model.generate(array, lengths)
    for name in ("prefix", "on_tokens"):
        with pytest.raises(TypeError, match=f"{name} is 5; expected"):
            model.generate([[1]], **{name: 5})
    with pytest.raises(TypeError, match=r"prefix\[0\] is None; expected"):
        model.generate([[1]], prefix=[None])
    assert model.generate([[1]], prefix=np.array([[3, 4]]))[0].tokens[:2] == [3, 4]
    with pytest.raises(ValueError, match="expected them only with a 2-D array"):
        model.generate([[1]], [1])
    with pytest.raises(ValueError, match="target_ids has 1 sequences; expected as many as input_ids, 2"):
        model.decode([[1], [2]], [[1]])
    with pytest.raises(ValueError, match=r"target_ids\[0\]\[0\] is 13"):
        model.score([[1]], [[13]])


@pytest.mark.parametrize("backend", BACKENDS)
def test_learned_positions_limit_lengths(backend: str) -> None:
    model = random_model(transformer_config(positions="learned", max_positions=6), backend)
    assert all(len(h.tokens) <= 6 for g in model.generate([[1] * 6], num_beams=2) for h in g.hypotheses)
    assert len(model.generate([[1]], max_new_tokens=6)[0].tokens) <= 6
    with pytest.raises(ValueError, match=r"input_ids\[1\] has 7 tokens; expected at most 6, the model's positions"):
        model.generate([[1], [1] * 7])
    with pytest.raises(ValueError, match="max_length is 8; expected at most 7: the model has 6 positions"):
        model.generate([[1]], max_new_tokens=7)
    with pytest.raises(ValueError, match=r"target_ids\[0\] has 7 tokens"):
        model.decode([[1]], [[1] * 7])


def test_sinusoids_have_no_limit() -> None:
    """Positions beyond any table are computed as they come."""
    source = [np.random.default_rng(0).integers(1, 11, 300).tolist()]
    memory = [random_model(MODEL_CONFIGS["transformer"], backend).encode(source)[0] for backend in BACKENDS]
    np.testing.assert_allclose(memory[0], memory[1], atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_without_attention_says_so(backend: str) -> None:
    model = random_model(recurrent_config(attention="none", input_feeding=False), backend)
    with pytest.raises(ValueError, match="this model has no attention"):
        model.attention([[1]], [[3]])
    assert model.decode([[1]], [[1, 3]])[0].shape == (2, 13)


def test_every_wrong_field_is_named_at_once() -> None:
    values = RECURRENT | {"cell": "lstmm", "encoder_hidden_size": 0, "encoder_bidirectional": 1, "colour": "red"}
    del values["bridge"]
    with pytest.raises(ValueError) as caught:
        RecurrentSeq2SeqConfig.from_dict(values)
    message = str(caught.value)
    for part in (
        "unknown field 'colour'",
        "missing field bridge",
        "cell is 'lstmm'; expected one of rnn_tanh, rnn_relu, lstm, gru",
        "encoder_hidden_size is 0; expected a whole number from 1",
        "encoder_bidirectional is 1; expected true or false",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder_hidden_size": 13}, "decoder_hidden_size is 13; bridge 'copy' needs the encoder's width, 12"),
        ({"decoder_num_layers": 3}, "decoder_num_layers is 3; bridge 'copy' needs at most encoder_num_layers = 2"),
        ({"attention": "dot", "bridge": "zero", "decoder_hidden_size": 5}, "attention 'dot' needs"),
        ({"attention": "additive"}, "attention_size is None; attention 'additive' needs a size"),
        ({"attention_size": 4}, "attention_size is 4; attention 'general' needs none"),
        ({"eos_token_id": 13}, "eos_token_id is 13; expected an id below target_vocab_size = 13"),
        ({"encoder_num_layers": 10**6}, "encoder_num_layers is 1000000; expected a whole number from 1 to 1024"),
        ({"encoder_hidden_size": 6.0}, "encoder_hidden_size is 6.0; expected a whole number"),
    ],
)
def test_recurrent_fields_that_disagree(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        RecurrentSeq2SeqConfig.from_dict(RECURRENT | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 5}, "num_heads is 5; expected a divisor of hidden_size = 12"),
        ({"positions": "learned"}, "max_positions is None; positions 'learned' needs a number"),
        ({"max_positions": 9}, "max_positions is 9; positions 'sinusoidal' needs none"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps is nan; expected a number above 0"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps is 'small'; expected a number above 0"),
    ],
)
def test_transformer_fields_that_disagree(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TransformerSeq2SeqConfig.from_dict(TRANSFORMER | changes)


@pytest.mark.parametrize("config", MODEL_CONFIGS.values(), ids=MODEL_CONFIGS)
def test_a_config_survives_its_dictionary(config: Any) -> None:
    assert type(config).from_dict(config.to_dict()) == config


def test_wrong_tensors_are_all_named() -> None:
    config = MODEL_CONFIGS["recurrent"]
    tensors = random_tensors(config) | {"output.weights": np.zeros(3), "output.bias": np.zeros(5, np.float32)}
    tensors["attention.weight"] = np.zeros((12, 12), int)
    del tensors["decoder.rnn.bias_hh_l1"]
    with pytest.raises(ValueError) as caught:
        Seq2SeqModel(config, tensors)
    for part in (
        "tensor decoder.rnn.bias_hh_l1 is missing",
        "tensor output.weights is not expected",
        "tensor output.bias has shape (5,); expected (13,)",
        "tensor attention.weight has dtype int64; expected floats",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("backend", BACKENDS)
def test_use_backend_chooses_where_a_model_runs(backend: str) -> None:
    with fastseq.use_backend(backend):
        model = Seq2SeqModel(MODEL_CONFIGS["recurrent"], random_tensors(MODEL_CONFIGS["recurrent"]))
    assert model.backend == backend
    assert f"backend={backend!r}" in repr(model)
    with pytest.raises(ValueError, match="no vocabulary"):
        _ = model.vocabulary


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_that_are_not_numbers_are_an_error(backend: str) -> None:
    config = MODEL_CONFIGS["recurrent"]
    tensors = random_tensors(config)
    tensors["output.bias"][4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        Seq2SeqModel(config, tensors, backend=backend).generate([[1]])
