"""Diverse groups, alternatives, presets and constraints: against enumeration, and native against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_models import BACKENDS, EOS, START, PrefixModel, answers, scores

import fastseq


def enumerate_targets(model: PrefixModel, max_length: int, length_penalty: float, prefix: tuple[int, ...] = ()):
    """Every (score, tokens, finished) there is, scored in float64, the best first."""
    found = []

    def extend(tokens: tuple[int, ...], total: float) -> None:
        logits = model.logits(0, (START, *tokens)).astype(np.float64)
        log_probs = logits - np.log(np.exp(logits).sum())
        for token, log_prob in enumerate(log_probs.tolist()):
            score = (total + log_prob) / (len(tokens) - len(prefix) + 1) ** length_penalty
            if token == EOS:
                found.append((score, list(tokens), True))
            elif len(tokens) + 2 == max_length:
                found.append((score, [*tokens, token], False))
            else:
                extend((*tokens, token), total + log_prob)

    extend(prefix, 0.0)
    return sorted(found, key=lambda answer: -answer[0])


def contains(tokens, phrase) -> bool:
    return any(tokens[i : i + len(phrase)] == list(phrase) for i in range(len(tokens) - len(phrase) + 1))


def satisfies(tokens, force_words) -> bool:
    alternatives = [[words] if isinstance(words[0], int) else words for words in force_words]
    return all(any(contains(tokens, phrase) for phrase in phrases) for phrases in alternatives)


FORCE_WORDS = [
    [[2]],
    [[2, 3]],
    [[2, 2, 3]],
    [[2, 3], [0]],
    [[2, 3], [3, 2]],  # may overlap: 2 3 2
    [[[2, 3], [0, 0]]],
    [[[2], [0, 2]], [3, 3]],
]


@pytest.mark.parametrize("force_words", FORCE_WORDS, ids=str)
@pytest.mark.parametrize("early_stopping", [True, False])
def test_constrained_search_with_many_beams_finds_all_that_satisfies(backend, force_words, early_stopping):
    for seed, length_penalty in itertools.product(range(3), [0.0, 1.0]):
        model = PrefixModel(vocab_size=4, seed=seed)
        expected = [
            answer
            for answer in enumerate_targets(model, max_length=5, length_penalty=length_penalty)
            if satisfies(answer[1], force_words)
        ]
        (generation,) = model.search(
            1, max_length=5, num_beams=4**4, num_return_sequences=4**4, length_penalty=length_penalty,
            early_stopping=early_stopping, force_words_ids=force_words,
        )  # fmt: skip
        assert answers([generation]) == [[(tokens, finished) for _, tokens, finished in expected]]
        np.testing.assert_allclose(scores([generation]), [score for score, *_ in expected], rtol=1e-6)


@pytest.mark.parametrize("force_words", FORCE_WORDS, ids=str)
@pytest.mark.parametrize("num_beams", [1, 2, 4])
def test_constraints_hold_with_few_beams_and_both_backends_agree(force_words, num_beams):
    for seed in range(8):
        options = {
            "num_beams": num_beams, "num_return_sequences": num_beams, "force_words_ids": force_words, "max_length": 9,
            "prefix": [[4], [2, 5], []],
        }  # fmt: skip
        results = {}
        for name in BACKENDS:
            with fastseq.use_backend(name):
                results[name] = PrefixModel(9, seed).search(3, **options)
        assert answers(results["native"]) == answers(results["numpy"])
        for generation in results["native"]:
            assert all(satisfies(h.tokens, force_words) for h in generation.hypotheses)
            assert scores([generation]).tolist() == sorted(scores([generation]).tolist(), reverse=True)


@pytest.mark.parametrize("prefix", [(), (3,), (2, 0)])
def test_alternatives_with_many_beams_are_the_best_of_each_first_token(backend, prefix):
    model = PrefixModel(vocab_size=4, seed=5)
    length = 4 + len(prefix)
    ranked = enumerate_targets(model, max_length=length, length_penalty=1.0, prefix=prefix)
    logits = model.logits(0, (START, *prefix))
    expected = []
    for token in np.argsort(-logits).tolist():
        own = [a for a in ranked if (a[1][len(prefix)] if len(a[1]) > len(prefix) else EOS) == token]
        expected.append((own[0][1], own[0][2]))
    (generation,) = model.search(
        1, max_length=length, num_beams=64, num_return_sequences=4, return_alternatives=True, prefix=[list(prefix)]
    )
    assert answers([generation]) == [expected]
    (greedy,) = model.search(
        1, max_length=length, num_beams=1, num_return_sequences=9, return_alternatives=True, prefix=[list(prefix)]
    )
    firsts = [h.tokens[len(prefix)] if len(h.tokens) > len(prefix) else EOS for h in greedy.hypotheses]
    assert firsts == np.argsort(-logits).tolist()


def test_groups_without_a_penalty_find_the_same_and_with_one_differ(backend):
    model = PrefixModel(12, seed=4)
    alone = model.search(3, num_beams=2, num_return_sequences=2)
    same = model.search(3, num_beams=6, num_beam_groups=3, num_return_sequences=2)
    assert answers(alone) == answers(same)
    options = {"num_beam_groups": 3, "num_return_sequences": 3, "diversity_penalty": 50.0, "min_new_tokens": 1}
    different = model.search(3, num_beams=3, **options)
    for generation in different:
        assert len({h.tokens[0] for h in generation.hypotheses}) == 3


def test_one_beam_in_each_group_is_greedy_with_penalties(backend):
    """Hamming diversity by hand: group g takes the best token after penalties for the choices of groups before it."""
    model, penalty, length = PrefixModel(8, seed=9), 1.5, 5
    prefixes = [(START,)] * 3
    totals = np.zeros(3)
    for _ in range(length - 1):
        chosen: list[int] = []
        for g in range(3):
            logits = model.logits(0, prefixes[g]).astype(np.float64)
            log_probs = logits - np.log(np.exp(logits).sum())
            for token in chosen:
                log_probs[token] -= penalty
            token = int(np.argmax(log_probs))
            totals[g] += log_probs[token]
            prefixes[g] = (*prefixes[g], token)
            chosen.append(token)
    (generation,) = model.search(
        1, eos_id=[], max_length=length, num_beams=3, num_beam_groups=3, num_return_sequences=3, length_penalty=0.0,
        diversity_penalty=penalty,
    )  # fmt: skip
    order = np.argsort(-totals, kind="stable")
    assert [h.tokens for h in generation.hypotheses] == [list(prefixes[g][1:]) for g in order]
    np.testing.assert_allclose(scores([generation]), totals[order], rtol=1e-5)


def test_marian_lets_finished_hypotheses_keep_their_places(backend):
    model = PrefixModel(10, seed=1)
    model.search(4, num_beams=3, preset="marian", eos_id=[1, 2, 3])
    assert max(model.rows) <= 12 and model.rows[1:] == sorted(model.rows[1:], reverse=True)
    for early_stopping in (True, False):
        results = model.search(4, num_beams=3, preset="marian", num_return_sequences=3, early_stopping=early_stopping)
        assert all(1 <= len(generation.hypotheses) <= 3 for generation in results)


def test_patience_waits_for_more(backend):
    model = PrefixModel(10, seed=2)
    options = {"num_beams": 3, "num_return_sequences": 3, "early_stopping": True, "max_length": 12, "eos_id": [1, 2]}
    steps, best = [], []
    for patience in (0.34, 1.0, 2.0, 4.0):
        model.rows.clear()
        results = model.search(6, patience=patience, **options)
        steps.append(len(model.rows))
        best.append(scores([results[0]])[0])
    assert steps == sorted(steps) and steps[0] < steps[-1]
    assert best == sorted(best)


@settings(max_examples=80)
@given(
    seed=st.integers(0, 2**31),
    num_beams=st.integers(1, 5),
    groups=st.booleans(),
    preset=st.sampled_from(["hf", "ct2", "marian"]),
    length_penalty=st.sampled_from([0.0, 1.0, -0.5]),
    ngram=st.integers(0, 3),
    suppressed=st.lists(st.integers(2, 8), max_size=3),
    min_new_tokens=st.integers(0, 4),
    prefix=st.lists(st.integers(2, 8), max_size=2),
    bad=st.lists(st.lists(st.integers(2, 8), min_size=1, max_size=3), max_size=3),
)
def test_invariants(seed, num_beams, groups, preset, length_penalty, ngram, suppressed, min_new_tokens, prefix, bad):
    options = {
        "num_beams": num_beams, "num_return_sequences": num_beams, "preset": preset, "length_penalty": length_penalty,
        "no_repeat_ngram_size": ngram, "suppress_tokens": suppressed, "min_new_tokens": min_new_tokens,
        "prefix": [prefix], "bad_words_ids": bad or None, "max_length": 9,
    }  # fmt: skip
    if groups and num_beams > 1:
        options |= {"num_beam_groups": num_beams, "diversity_penalty": 0.7}
    results = {}
    for name in BACKENDS:
        with fastseq.use_backend(name):
            results[name] = PrefixModel(9, seed).search(1, **options)
    assert answers(results["native"]) == answers(results["numpy"])
    np.testing.assert_allclose(scores(results["native"]), scores(results["numpy"]), rtol=2e-6, atol=1e-5)
    (generation,) = results["native"]
    found = [h.score for h in generation.hypotheses]
    assert found == sorted(found, reverse=True)
    assert len({(tuple(h.tokens), h.finished) for h in generation.hypotheses}) == len(found)
    for hypothesis in generation.hypotheses:
        tokens, new = hypothesis.tokens, hypothesis.tokens[len(prefix) :]
        assert tokens[: len(prefix)] == prefix and len(tokens) + 1 <= 9
        assert not set(new) & set(suppressed)
        assert len(new) >= min_new_tokens or not hypothesis.finished
        for phrase in bad:
            ends = [i for i in range(len(tokens) - len(phrase) + 1) if tokens[i : i + len(phrase)] == phrase]
            assert all(i + len(phrase) <= len(prefix) for i in ends)
        if ngram:
            grams = [tuple([START, *tokens][i : i + ngram]) for i in range(len(tokens) + 2 - ngram)]
            fresh = grams[max(0, len(prefix) + 2 - ngram) :]
            assert all(grams.count(gram) == 1 for gram in fresh)
