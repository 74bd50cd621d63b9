"""Searches at the edge: nothing to search, nothing possible, logits and options that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from search_models import BACKENDS, EOS, START, PrefixModel, answers, scores

import fastseq
from fastseq import _backend


@pytest.fixture(params=BACKENDS)
def backend(request):
    with fastseq.use_backend(request.param):
        yield request.param


@pytest.mark.parametrize("num_beams", [1, 3])
def test_no_sentences_no_steps(backend, num_beams):
    model = PrefixModel(9, seed=0)
    assert model.search(0, num_beams=num_beams) == []
    assert model.rows == []


@pytest.mark.parametrize("num_beams", [1, 3])
def test_max_length_one_is_the_start_token_alone(backend, num_beams):
    model = PrefixModel(9, seed=0)
    result = model.search(2, num_beams=num_beams, num_return_sequences=num_beams, max_length=1)
    assert answers(result) == [[([], False)]] * 2
    assert scores(result).tolist() == [0.0, 0.0]
    assert model.rows == []


def test_a_vocabulary_smaller_than_the_beams_gives_what_there_is(backend):
    (generation,) = PrefixModel(3, seed=1).search(1, num_beams=5, num_return_sequences=5, max_length=2)
    assert sorted(answers([generation])[0]) == [([], True), ([0], False), ([2], False)]
    (generation,) = PrefixModel(2, seed=1).search(1, num_beams=4, num_return_sequences=4, max_length=4)
    assert sorted(answers([generation])[0]) == [([], True), ([0], True), ([0, 0], True), ([0, 0, 0], False)]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_impossible_tokens_are_never_chosen(backend, num_beams):
    logits = np.full((3, 6), -np.inf, np.float32)
    logits[:, [EOS, 4]] = [2.0, 1.0]
    result = fastseq.beam_search(
        lambda ids, state: (logits[: len(ids)], state), None, batch_size=1, start_id=START, eos_id=EOS,
        num_beams=num_beams, num_return_sequences=num_beams, max_length=5, length_penalty=0.0, min_length=3,
    )  # fmt: skip
    assert answers(result)[0] == [([4, 4], True), ([4, 4, 4], True), ([4, 4, 4, 4], False)][:num_beams]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_sentence_that_could_only_end_too_early_stops_where_it_is(backend, num_beams):
    def step(ids, state):
        logits = np.full((len(ids), 4), -np.inf, np.float32)
        logits[:, 2 if state[0] == 0 else EOS] = 1.0
        return logits, state + 1

    (generation,) = fastseq.beam_search(
        step, np.zeros(1, np.int64), batch_size=1, start_id=START, eos_id=EOS, num_beams=num_beams, min_length=9
    )
    assert (generation.tokens, generation.score, generation.finished) == ([2], 0.0, False)


def test_only_max_length_ends_a_sentence_without_end_tokens(backend):
    for generation in PrefixModel(5, seed=1).search(2, eos_id=[], num_beams=3, num_return_sequences=3):
        assert [(len(h.tokens), h.finished) for h in generation.hypotheses] == [(7, False)] * 3


@pytest.mark.parametrize("num_beams", [1, 3])
def test_logits_that_are_refused(backend, num_beams):
    for bad, message in [
        (np.nan, "NaN"), (np.inf, "NaN"), ("nothing finite", "NaN"), ("rows", r"shape \(5, 9\)"),
        ("rank", r"shape \(9,\)"), ("eos", "eos_ids has 1; logits have only 1 columns"), ("none", "0 columns"),
    ]:  # fmt: skip
        model = PrefixModel(9, seed=4)

        def step(ids, state, model=model, bad=bad):
            logits, new_state = model.step(ids, state)
            if isinstance(bad, float):
                logits[state["sentence"] == 2, 7] = bad
            elif bad == "nothing finite":
                logits[state["sentence"] == 2] = -np.inf
            else:
                logits = {
                    "rows": logits[:1].repeat(5, 0),
                    "rank": logits[0],
                    "eos": logits[:, :1],
                    "none": logits[:, :0],
                }[bad]
            return logits, new_state

        with pytest.raises(ValueError, match=message) as error:
            fastseq.beam_search(
                step, model.state(4), batch_size=4, start_id=START, eos_id=EOS, num_beams=num_beams, max_length=9
            )
        if message == "NaN":
            assert "sentence 2" in str(error.value)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_refused_logits_leave_the_search_as_it_was(backend, num_beams):
    module = _backend.get(backend)
    algorithm = module.GreedySearch if num_beams == 1 else module.BeamSearch
    options = fastseq.GenerationConfig(num_beams=num_beams, max_length=3).resolve(start_id=START, eos_id=EOS)
    model = PrefixModel(9, seed=4)
    disturbed, calm = algorithm(1, options), algorithm(1, options)
    with pytest.raises(ValueError, match="not done"):
        disturbed.result()
    while not calm.done:
        logits = np.stack([model.logits(0, (int(i),)) for i in calm.ids])
        bad = [np.where(logits > logits.mean(), np.nan, logits).astype(np.float32), logits[1:]]
        if np.any(disturbed.ids != START):  # from the second step on the width of the vocabulary is known
            bad.append(np.ascontiguousarray(logits[:, :-2]))
        for refused in bad:
            with pytest.raises(ValueError, match="logits"):
                disturbed.advance(refused)
        with pytest.raises(TypeError):
            disturbed.advance(logits.astype(np.float64))
        disturbed.advance(logits)
        calm.advance(logits)
        assert np.array_equal(disturbed.ids, calm.ids) and np.array_equal(disturbed.parents, calm.parents)
    assert disturbed.result() == calm.result()


def test_both_backends_give_arrays_of_the_same_types():
    options = fastseq.GenerationConfig(num_beams=2).resolve(start_id=START, eos_id=EOS)
    for name in ("GreedySearch", "BeamSearch"):
        searches = [
            getattr(_backend.get(b), name)(3, {**options, "num_beams": 1 if name == "GreedySearch" else 2})
            for b in BACKENDS
        ]
        for attribute, dtype in [("ids", np.int32), ("parents", np.int64), ("sentences", np.int64)]:
            native, numpy = (getattr(search, attribute) for search in searches)
            assert native.dtype == numpy.dtype == dtype
            assert native.tolist() == numpy.tolist()


@pytest.mark.parametrize("option, value", [
    ("num_beams", 0), ("num_return_sequences", 3), ("max_length", 0), ("min_length", -1), ("length_penalty", np.nan),
    ("length_penalty", 50.0), ("start_id", -1), ("eos_ids", [2, -3]), ("early_stopping", "always"),
])  # fmt: skip
def test_both_backends_check_the_options(backend, option, value):
    options = fastseq.GenerationConfig(num_beams=2).resolve(start_id=START, eos_id=EOS)
    with pytest.raises(ValueError, match=option):
        _backend.get(backend).BeamSearch(1, {**options, option: value})
    with pytest.raises(ValueError, match="num_beams"):
        _backend.get(backend).GreedySearch(1, options)
    with pytest.raises(ValueError, match="batch_size"):
        _backend.get(backend).BeamSearch(-1, options)
