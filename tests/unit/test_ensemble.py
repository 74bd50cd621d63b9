"""Several models, or step functions, that decide together."""

from __future__ import annotations

import numpy as np
import pytest
from search_models import EOS, START, PrefixModel

import fastseq
from fastseq.models import Seq2SeqModel
from fastseq.search import ensemble_step
from fastseq.text import Vocabulary
from tiny_models import VOCABULARY, random_model, recurrent_config, transformer_config, write_folder

SOURCES = [[1, 2, 3], [4], [5, 6, 7, 8]]
TARGETS = [[3, 4], [], [5, 6, 7]]
AVERAGES = ["probability", "log"]


def members(backend):
    return [
        random_model(recurrent_config(), backend, seed=1),
        random_model(transformer_config(), backend, seed=2),
        random_model(recurrent_config(cell="gru", attention="additive", attention_size=4), backend, seed=3),
    ]


def log_softmax(logits):
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def averaged(log_probs, weights, average):
    """The definition, in float64: log-probabilities (models, T, V) to (T, V)."""
    weights = np.array(weights)[:, None, None] / np.sum(weights)
    if average == "probability":
        return np.log((weights * np.exp(log_probs)).sum(axis=0))
    return log_softmax((weights * log_probs).sum(axis=0))


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("weights", [None, [1, 2, 5]])
def test_an_ensemble_scores_by_the_average_of_its_members(backend, average, weights):
    models = members(backend)
    ensemble = fastseq.Ensemble(models, weights, average)
    scores = ensemble.score(SOURCES, TARGETS)
    inputs = [[1, *target] for target in TARGETS]
    for b, target in enumerate(TARGETS):
        log_probs = np.stack([log_softmax(model.decode(SOURCES, inputs)[b]) for model in models])
        expected = averaged(log_probs, weights or [1, 1, 1], average)[np.arange(len(target) + 1), [*target, 2]]
        np.testing.assert_allclose(scores.token_log_probs[b], expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 4, "num_return_sequences": 3}])
def test_the_search_of_an_ensemble_agrees_with_its_scores(backend, average, options):
    ensemble = fastseq.Ensemble(members(backend), [3, 2, 1], average)
    found = ensemble.generate(SOURCES, max_length=7, return_attention=True, return_token_log_probs=True, **options)
    for source, generation in zip(SOURCES, found, strict=True):
        for h in generation.hypotheses:
            [log_probs] = ensemble.score([source], [h.tokens]).token_log_probs
            np.testing.assert_allclose(h.token_log_probs, log_probs[: h.steps], rtol=1e-4, atol=1e-5)
            shares = [3 / 6, 2 / 6, 1 / 6]
            attention = sum(
                share * model.attention([source], [h.tokens])[0]
                for share, model in zip(shares, ensemble.models, strict=True)
            )
            np.testing.assert_allclose(h.attention, attention[: h.steps], rtol=1e-4, atol=1e-6)
    stream = ensemble.stream(SOURCES, max_length=7, **options)
    list(stream)
    assert stream.generations == found


def test_both_backends_agree():
    pytest.importorskip("fastseq._core")
    for average in AVERAGES:
        native, numpy = (
            fastseq.Ensemble(members(name), None, average).generate(SOURCES, num_beams=3, max_length=9)
            for name in ("native", "numpy")
        )
        assert [g.tokens for g in native] == [g.tokens for g in numpy]
        np.testing.assert_allclose([g.score for g in native], [g.score for g in numpy], rtol=1e-4)


@pytest.mark.parametrize("average", AVERAGES)
def test_one_model_and_the_same_model_twice_are_the_model(backend, average):
    model = random_model(transformer_config(), backend)
    whole = model.generate(SOURCES, num_beams=3, max_length=9)
    for copies in (1, 2):
        found = fastseq.Ensemble([model] * copies, average=average).generate(SOURCES, num_beams=3, max_length=9)
        assert [g.tokens for g in found] == [g.tokens for g in whole]
        np.testing.assert_allclose([g.score for g in found], [g.score for g in whole], rtol=1e-5)


def test_native_ensembles_give_the_same_bits_in_any_batch():
    pytest.importorskip("fastseq._core")
    ensemble = fastseq.Ensemble(members("native"))
    together = ensemble.generate(SOURCES, num_beams=3, max_length=9)
    assert [ensemble.generate([source], num_beams=3, max_length=9)[0] for source in SOURCES] == together
    threads = fastseq.get_num_threads()
    try:
        fastseq.set_num_threads(1)
        assert ensemble.generate(SOURCES, num_beams=3, max_length=9) == together
    finally:
        fastseq.set_num_threads(threads)


def test_folders_are_loaded_and_memories_lie_side_by_side(backend, tmp_path):
    folder = write_folder(tmp_path / "model")
    ensemble = fastseq.Ensemble([folder, str(folder)])
    memory = ensemble.encode(SOURCES)
    assert [m.shape for m in memory] == [(len(source), 24) for source in SOURCES]
    assert np.array_equal(memory[0][:, :12], memory[0][:, 12:])
    assert ensemble.config.memory_size == 24


def test_models_that_do_not_match_are_refused(backend):
    model = random_model(recurrent_config(), backend)

    def other(**changes):
        config = recurrent_config(**changes)
        tensors = {name: np.zeros(shape, np.float32) for name, shape in config.tensor_shapes().items()}
        return Seq2SeqModel(config, tensors, None, backend)

    for changes, message in [
        ({"target_vocab_size": 99}, r"models\[1\] has target_vocab_size 99; expected 13, that of models\[0\]"),
        ({"source_vocab_size": 12}, r"models\[1\] has source_vocab_size 12; expected 11"),
        ({"eos_token_id": 5}, r"models\[1\] has eos_token_id 5; expected 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            fastseq.Ensemble([model, other(**changes)])
    swapped = [*VOCABULARY.target[:3], *VOCABULARY.target[:2:-1]]
    renamed = Seq2SeqModel(
        model.config,
        {name: np.zeros(shape, np.float32) for name, shape in model.config.tensor_shapes().items()},
        Vocabulary(VOCABULARY.source, swapped),
        backend,
    )
    with pytest.raises(ValueError, match=r"models\[2\] has the target token 'Z' with id 3; expected 'AA1'"):
        fastseq.Ensemble([model, model, renamed])
    with pytest.raises(TypeError, match=r"models\[0\] is int; expected a model or a folder"):
        fastseq.Ensemble([5])
    for arguments, message in [
        (([],), "models is empty"),
        (([model], [1, 2]), "weights has 2 numbers; expected one for each of 1 models"),
        (([model, model], [1, 0]), r"weights\[1\] is 0; expected a finite number above 0"),
        (([model], None, "mean"), "average is 'mean'; expected 'probability' or 'log'"),
    ]:
        with pytest.raises(ValueError, match=message):
            fastseq.Ensemble(*arguments)


def test_models_of_two_backends_are_refused():
    pytest.importorskip("fastseq._core")
    with pytest.raises(ValueError, match=r"models\[1\] runs on 'native'; expected 'numpy'"):
        fastseq.Ensemble([random_model(recurrent_config(), name) for name in ("numpy", "native")])


@pytest.mark.parametrize("average", AVERAGES)
def test_steps_are_averaged(backend, average):
    models = [PrefixModel(6, seed=s) for s in (1, 2)]
    step = ensemble_step([model.step for model in models], [1, 3], average)
    states = tuple(model.state(2) for model in models)
    found = fastseq.beam_search(
        step, states, batch_size=2, start_id=START, eos_id=EOS, num_beams=3, max_length=7, return_token_log_probs=True
    )
    for sentence, generation in enumerate(found):
        h = generation.hypotheses[0]
        written = [*h.tokens, EOS][: h.steps]
        prefixes = [(START, *written[:t]) for t in range(h.steps)]
        log_probs = np.stack([log_softmax([m.logits(sentence, p) for p in prefixes]) for m in models])
        expected = averaged(log_probs, [1, 3], average)[np.arange(h.steps), written]
        np.testing.assert_allclose(h.token_log_probs, expected, rtol=1e-4, atol=1e-5)


def test_what_a_step_of_an_ensemble_does_wrong_is_said(backend):
    def good(ids, state):
        return np.zeros((len(ids), 5), np.float32), state

    def search(*steps, state=(None, None), average="probability", **options):
        step = ensemble_step(steps, average=average)
        return fastseq.beam_search(step, state, batch_size=1, start_id=0, eos_id=1, max_length=4, **options)

    with pytest.raises(ValueError, match=r"logits of steps\[1\] have 4 columns; expected 5"):
        search(good, lambda ids, s: (np.zeros((len(ids), 4)), s))
    with pytest.raises(TypeError, match=r"steps\[1\] returned a value of type NoneType"):
        search(good, lambda ids, s: None)
    with pytest.raises(ValueError, match=r"logits of steps\[0\] contain NaN, \+inf or no finite value in row 0"):
        search(lambda ids, s: (np.full((len(ids), 5), np.nan), s), good)
    with pytest.raises(ValueError, match="state is NoneType; expected a tuple of the states of the 2 steps"):
        search(good, good, state=None)
    with pytest.raises(ZeroDivisionError):
        search(good, lambda ids, s: 1 / 0)
    with pytest.raises(ValueError, match="steps is empty"):
        ensemble_step([])
    attending = lambda ids, s: (*good(ids, s), np.full((len(ids), 2), 0.5))  # noqa: E731
    [generation] = search(attending, attending, return_attention=True)
    assert (generation.hypotheses[0].attention == 0.5).all()


def test_a_token_that_no_member_allows_is_never_chosen(backend):
    def step(ids, state):
        return np.tile(np.array([-np.inf, -np.inf, 0.0, 1.0], np.float32), (len(ids), 1)), state

    for average in AVERAGES:
        [generation] = fastseq.beam_search(
            ensemble_step([step, step], average=average), (None, None), batch_size=1, start_id=0, eos_id=1, max_length=4
        )
        assert set(generation.tokens) <= {2, 3} and not generation.finished
