"""Sampling is a function of seed, sentence and model: never of the batch, the order, the threads or the backend."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from search_models import BACKENDS, PrefixModel, answers, scores

import fastseq

SAMPLING = {"do_sample": True, "temperature": 1.3, "top_k": 6, "num_return_sequences": 3}


@pytest.mark.parametrize("num_beams", [1, 3])
def test_both_backends_draw_the_same(num_beams):
    results = {}
    for name in BACKENDS:
        with fastseq.use_backend(name):
            results[name] = [
                PrefixModel(15, seed=s).search(3, num_beams=num_beams, seed=s, top_p=0.95, **SAMPLING)
                for s in range(10)
            ]
    for native, numpy in zip(results["native"], results["numpy"], strict=True):
        assert answers(native) == answers(numpy)
        np.testing.assert_allclose(scores(native), scores(numpy), rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_sentence_draws_the_same_in_any_batch_and_order(backend, num_beams):
    options = {**SAMPLING, "num_beams": num_beams}
    together = PrefixModel(15, seed=1).search(5, seed=[7, 8, 9, 10, 11], **options)
    for sentence in range(5):
        (alone,) = PrefixModel(15, seed=1, first_sentence=sentence).search(1, seed=7 + sentence, **options)
        assert answers([alone]) == answers([together[sentence]])
        assert np.array_equal(scores([alone]), scores([together[sentence]]))


def test_one_seed_is_that_of_every_sentence(backend):
    model = PrefixModel(15, seed=1)
    assert model.search(3, num_beams=1, seed=4, **SAMPLING) == model.search(3, num_beams=1, seed=[4, 4, 4], **SAMPLING)


def test_threads_change_nothing():
    before = fastseq.get_num_threads()
    results = []
    try:
        for threads in (1, 4):
            fastseq.set_num_threads(threads)
            results.append(PrefixModel(9000, seed=2).search(6, num_beams=1, seed=3, max_length=4, **SAMPLING))
    finally:
        fastseq.set_num_threads(before)
    assert results[0] == results[1]


def test_without_a_seed_every_search_draws_anew():
    first, second = (PrefixModel(15, seed=1).search(4, num_beams=1, **SAMPLING) for _ in range(2))
    assert answers(first) != answers(second)


def test_nearly_no_temperature_is_greedy(backend):
    model = PrefixModel(15, seed=6)
    sampled = model.search(4, num_beams=1, do_sample=True, temperature=1e-4, seed=0)
    assert answers(sampled) == answers(model.search(4, num_beams=1))
    assert answers(model.search(4, num_beams=1, do_sample=True, top_k=1, seed=0)) == answers(sampled)


def test_samples_differ_and_come_best_first(backend):
    generations = PrefixModel(15, seed=6).search(3, num_beams=1, **{**SAMPLING, "num_return_sequences": 8}, seed=0)
    for generation in generations:
        assert len(generation.hypotheses) == 8
        found = [h.score for h in generation.hypotheses]
        assert found == sorted(found, reverse=True)
        assert len({tuple(h.tokens) for h in generation.hypotheses}) > 4


def test_scores_are_those_of_the_model_whatever_the_temperature(backend):
    model = PrefixModel(12, seed=8)
    (generation,) = model.search(1, num_beams=1, do_sample=True, temperature=3.0, seed=2, length_penalty=0.0)
    total, prefix = 0.0, (0,)
    for token in [*generation.tokens, *([1] if generation.finished else [])]:
        logits = model.logits(0, prefix).astype(np.float64)
        total += logits[token] - np.log(np.exp(logits).sum())
        prefix = (*prefix, token)
    assert generation.score == pytest.approx(total, abs=1e-5)


def test_processors_and_prefixes_come_before_the_draw(backend):
    for seed, num_beams in itertools.product(range(5), [1, 3]):
        generations = PrefixModel(12, seed=8).search(
            2, num_beams=num_beams, do_sample=True, seed=seed, prefix=[[5], [6, 7]], no_repeat_ngram_size=1,
            suppress_tokens=[3], num_return_sequences=num_beams,
        )  # fmt: skip
        for generation, prefix in zip(generations, ([5], [6, 7]), strict=True):
            for hypothesis in generation.hypotheses:
                assert hypothesis.tokens[: len(prefix)] == prefix
                assert 3 not in hypothesis.tokens and len(set(hypothesis.tokens)) == len(hypothesis.tokens)
