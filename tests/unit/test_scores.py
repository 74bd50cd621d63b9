"""Scores of given targets, perplexity, and another order for hypotheses."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastseq
from fastseq import Generation, Hypothesis
from fastseq.search import rerank
from tiny_models import random_model, recurrent_config, transformer_config

SOURCES = [[1, 2, 3], [], [4], [5, 6, 7, 8]]
TARGETS = [[3, 4], [5], [], [5, 6, 7, 3, 3]]


@pytest.mark.parametrize("config", [recurrent_config(), transformer_config()], ids=["recurrent", "transformer"])
def test_scores_are_those_of_teacher_forcing(backend, config):
    model = random_model(config, backend)
    scores = model.score(SOURCES, TARGETS, length_penalty=0.5)
    logits = model.decode(SOURCES, [[1, *target] for target in TARGETS])
    for b, target in enumerate(TARGETS):
        rows = logits[b].astype(np.float64)
        log_probs = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
        expected = log_probs[np.arange(len(target) + 1), [*target, 2]]
        np.testing.assert_allclose(scores.token_log_probs[b], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(scores[b], expected.sum() / len(expected) ** 0.5, rtol=1e-5)
        np.testing.assert_allclose(scores.perplexity[b], math.exp(-expected.mean()), rtol=1e-5)
    total = -sum(float(np.sum(row, dtype=np.float64)) for row in scores.token_log_probs)
    tokens = sum(len(target) + 1 for target in TARGETS)
    np.testing.assert_allclose(scores.corpus_perplexity, math.exp(total / tokens), rtol=1e-6)
    assert np.array_equal(np.asarray(scores), scores.scores) and list(scores) == scores.scores.tolist()


def test_native_scores_are_the_same_bits_alone_and_together():
    pytest.importorskip("fastseq._core")
    model = random_model(transformer_config(), "native")
    together = model.score(SOURCES, TARGETS)
    for b, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        assert np.array_equal(model.score([source], [target]).token_log_probs[0], together.token_log_probs[b])


def test_no_targets_have_no_perplexity(backend):
    scores = random_model(recurrent_config(), backend).score([], [])
    assert len(scores) == 0 and scores.perplexity.shape == (0,) and math.isnan(scores.corpus_perplexity)


def test_the_backends_check_what_follows(backend):
    core = random_model(recurrent_config(), backend)._core
    ids, offsets = np.array([1], np.int32), np.array([0, 1])
    if backend == "native":
        with pytest.raises(ValueError, match="following has id 13"):
            core.score(ids, offsets, ids, offsets, np.array([13], np.int32))
        with pytest.raises(ValueError, match="following has shape"):
            core.score(ids, offsets, ids, offsets, np.array([1, 2], np.int32))


def test_reranking_by_another_model(backend):
    model, other = random_model(recurrent_config(), backend), random_model(transformer_config(), backend, seed=5)
    sources = [[1, 2, 3], [4, 5]]
    found = model.generate(sources, num_beams=4, num_return_sequences=4, max_length=6)

    def scorer(sentence, targets):
        return other.score([sources[sentence]] * len(targets), targets)

    for weights in (None, [0.0, 1.0], [1.0, 0.0], [1.0, -2.0]):
        own, theirs = weights or (1.0, 1.0)
        for b, generation in enumerate(rerank(found, [scorer], weights)):
            expected = {
                tuple(h.tokens): own * h.score + theirs * other.score([sources[b]], [h.tokens])[0]
                for h in found[b].hypotheses
            }
            assert {tuple(h.tokens): pytest.approx(h.score) for h in generation.hypotheses} == expected
            scores = [h.score for h in generation.hypotheses]
            assert scores == sorted(scores, reverse=True)
    assert rerank(found, []) == found


def test_what_a_scorer_does_wrong_is_said():
    found = [Generation([Hypothesis([1], -1.0, True), Hypothesis([2], -2.0, True)])]
    with pytest.raises(ValueError, match=r"scorers\[1\] returned shape \(1,\) for sentence 0; expected \(2,\)"):
        rerank(found, [lambda b, t: [0, 0], lambda b, t: [0]])
    with pytest.raises(ValueError, match=r"scorers\[0\] returned NaN for sentence 0"):
        rerank(found, [lambda b, t: [0, float("nan")]])
    with pytest.raises(ValueError, match="weights has 1 numbers; expected 2"):
        rerank(found, [lambda b, t: [0, 0]], [1.0])
    with pytest.raises(ZeroDivisionError):
        rerank(found, [lambda b, t: 1 / 0])


def test_reranked_hypotheses_keep_what_they_carry(backend):
    model = random_model(recurrent_config(), backend)
    found = model.generate([[1, 2]], num_beams=2, num_return_sequences=2, return_token_log_probs=True)
    [again] = rerank(found, [lambda sentence, targets: [0, 100]])
    assert again.hypotheses[0].token_log_probs is found[0].hypotheses[1].token_log_probs
    assert isinstance(again, fastseq.Generation)
