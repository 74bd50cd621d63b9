"""Greedy and beam search, native and NumPy, on step functions whose every logit is known."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_models import BACKENDS, EOS, START, PrefixModel, answers, scores

import fastseq
from fastseq import _backend


@pytest.fixture(params=BACKENDS)
def backend(request):
    with fastseq.use_backend(request.param):
        yield request.param


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    batch_size=st.integers(1, 4),
    vocab_size=st.integers(3, 20),
    num_beams=st.integers(1, 6),
    length_penalty=st.sampled_from([-1.0, 0.0, 0.6, 1.0, 2.0]),
    early_stopping=st.sampled_from([True, False, "never"]),
    min_length=st.sampled_from([0, 0, 4, 8]),
    eos_ids=st.sampled_from([[], [1], [1, 2]]),
    scale=st.sampled_from([0.5, 2.0, 6.0]),
)
def test_native_search_equals_the_reference(
    seed, batch_size, vocab_size, num_beams, length_penalty, early_stopping, min_length, eos_ids, scale
):
    results = {}
    for name in BACKENDS:
        with fastseq.use_backend(name):
            model = PrefixModel(vocab_size, seed, scale)
            results[name] = model.search(
                batch_size, eos_id=eos_ids, num_beams=num_beams, num_return_sequences=num_beams, min_length=min_length,
                length_penalty=length_penalty, early_stopping=early_stopping,
            )  # fmt: skip
    assert answers(results["native"]) == answers(results["numpy"])
    # 7 sums of log-probabilities below 60, each wrong by a few eps * 60, times 7 where the penalty is -1.
    np.testing.assert_allclose(scores(results["native"]), scores(results["numpy"]), rtol=2e-6, atol=1e-5)


def enumerate_hypotheses(model: PrefixModel, max_length: int, length_penalty: float, eos_ids: list[int]):
    """Every sequence there is, scored in float64."""
    found = []

    def extend(tokens: tuple[int, ...], total: float) -> None:
        logits = model.logits(0, (START, *tokens)).astype(np.float64)
        log_probs = logits - np.log(np.exp(logits).sum())
        for token, log_prob in enumerate(log_probs):
            score = (total + log_prob) / (len(tokens) + 1) ** length_penalty
            if token in eos_ids:
                found.append((score, list(tokens), True))
            elif len(tokens) + 2 == max_length:
                found.append((score, [*tokens, token], False))
            else:
                extend((*tokens, token), total + log_prob)

    extend((), 0.0)
    return sorted(found, key=lambda answer: -answer[0])


@pytest.mark.parametrize("eos_ids", [[EOS], [EOS, 2]])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, -0.5])
@pytest.mark.parametrize("early_stopping", [True, False, "never"])
def test_enough_beams_find_every_sequence(backend, length_penalty, early_stopping, eos_ids):
    model = PrefixModel(vocab_size=4, seed=11)
    expected = enumerate_hypotheses(model, max_length=5, length_penalty=length_penalty, eos_ids=eos_ids)
    (generation,) = model.search(
        1, max_length=5, num_beams=4**4, num_return_sequences=4**4, eos_id=eos_ids,
        length_penalty=length_penalty, early_stopping=early_stopping,
    )  # fmt: skip
    assert answers([generation]) == [[(tokens, finished) for _, tokens, finished in expected]]
    np.testing.assert_allclose([h.score for h in generation.hypotheses], [s for s, _, _ in expected], rtol=1e-6)


def test_a_batch_gives_each_sentence_what_it_gets_alone(backend):
    for num_beams, early_stopping in itertools.product([1, 3, 5], [True, False, "never"]):
        options = {"num_beams": num_beams, "num_return_sequences": num_beams, "early_stopping": early_stopping}
        together = PrefixModel(9, seed=5).search(6, **options)
        alone = [PrefixModel(9, seed=5, first_sentence=i).search(1, **options)[0] for i in range(6)]
        assert answers(together) == answers(alone)
        assert np.array_equal(scores(together), scores(alone))


def test_finished_sentences_leave_the_batch(backend):
    lengths = [2, 5, 3]  # tokens of each sentence with the end token

    def step(ids, state):
        sentence, time = state
        rows.append(sentence.tolist())
        logits = np.zeros((len(ids), 4), np.float32)
        logits[:, 2] = 30.0
        ends = np.array(lengths)[sentence] == time[:, 0] + 1
        logits[ends] = [0.0, 60.0, 10.0, 0.0]
        return logits, (sentence, time + 1)

    for num_beams, expected in [(1, [[0, 1, 2], [0, 1, 2], [1, 2], [1], [1]]), (2, None)]:
        rows: list[list[int]] = []
        state = (np.arange(3), np.zeros((3, 1), np.int64))
        result = fastseq.beam_search(
            step, state, batch_size=3, start_id=START, eos_id=EOS, num_beams=num_beams, max_length=20,
            early_stopping=True,
        )  # fmt: skip
        assert [generation.tokens for generation in result] == [[2] * (length - 1) for length in lengths]
        if expected is not None:
            assert rows == expected
        else:
            assert rows[0] == [0, 1, 2] and rows[1] == [0, 0, 1, 1, 2, 2]
            assert set(rows[-1]) == {1} and len(rows[-1]) == 2
        assert all(sorted(row) == row for row in rows)


def test_greedy_search_is_beam_search_with_one_beam(backend):
    model = PrefixModel(9, seed=3)
    module = _backend.get(backend)
    options = fastseq.GenerationConfig(max_length=8).resolve(start_id=START, eos_id=EOS)
    results = []
    for algorithm in (module.GreedySearch, module.BeamSearch):
        search = algorithm(4, options)
        prefixes = [()] * 4
        while not search.done:
            prefixes = [(*prefixes[p], i) for p, i in zip(search.parents.tolist(), search.ids.tolist(), strict=True)]
            sentences = search.sentences.tolist()
            search.advance(np.stack([model.logits(s, p) for s, p in zip(sentences, prefixes, strict=True)]))
        results.append(search.result())
    assert results[0] == results[1]


@pytest.mark.parametrize("num_beams", [1, 4])
def test_equal_scores_are_settled_by_beam_and_then_token(backend, num_beams):
    logits = np.zeros((4, 70), np.float32)
    logits[:, EOS] = -20.0
    result = fastseq.beam_search(
        lambda ids, state: (logits[: len(ids)], state), None, batch_size=1, start_id=START, eos_id=EOS,
        num_beams=num_beams, num_return_sequences=num_beams, max_length=3,
    )  # fmt: skip
    assert answers(result) == [[([0, token], False) for token in (0, 2, 3, 4)[:num_beams]]]


def test_large_vocabularies_and_several_threads(backend):
    model = PrefixModel(9000, seed=2)
    result = model.search(8, num_beams=4, num_return_sequences=4, max_length=4)
    with fastseq.use_backend("numpy"):
        expected = PrefixModel(9000, seed=2).search(8, num_beams=4, num_return_sequences=4, max_length=4)
    assert answers(result) == answers(expected)
    np.testing.assert_allclose(scores(result), scores(expected), rtol=2e-6)


def test_searches_run_at_the_same_time_as_one_after_another():
    def run(seed):
        return PrefixModel(50, seed).search(3, num_beams=4)

    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(run, range(12)))
    assert at_once == [run(seed) for seed in range(12)]
