"""Functions of the caller inside a search: allowed tokens, custom processors, and what goes wrong in them."""

from __future__ import annotations

import numpy as np
import pytest
from search_models import EOS, PrefixModel, answers

import fastseq
from tiny_models import BACKENDS, random_model, recurrent_config, transformer_config


@pytest.mark.parametrize("num_beams", [1, 3])
def test_custom_processors_see_ids_and_scores_and_change_them(backend, num_beams):
    seen = []

    def ban_even(ids, scores):
        assert ids.dtype == np.int64 and scores.dtype == np.float32 and len(ids) == len(scores)
        seen.append(ids.copy())
        changed = scores.copy()
        changed[:, 2::2] = -np.inf
        return changed

    model = PrefixModel(9, seed=3)
    banned = model.search(3, num_beams=num_beams, suppress_tokens=[2, 4, 6, 8])
    assert answers(model.search(3, num_beams=num_beams, logits_processor=ban_even)) == answers(banned)
    assert answers(model.search(3, num_beams=num_beams, logits_processor=[ban_even])) == answers(banned)
    assert all((ids[:, 0] == 0).all() and ids.shape[1] == seen[0].shape[1] + t for t, ids in enumerate(seen[:3]))


def test_custom_processors_run_one_after_another(backend):
    processors = [lambda ids, scores: scores + 1.0, lambda ids, scores: np.where(scores > 2.0, -np.inf, scores)]
    model = PrefixModel(9, seed=3)
    at_once = model.search(2, num_beams=2, logits_processor=lambda ids, s: processors[1](ids, processors[0](ids, s)))
    assert model.search(2, num_beams=2, logits_processor=processors) == at_once


@pytest.mark.parametrize("num_beams", [1, 3])
def test_prefix_allowed_tokens_fn_leaves_what_it_names(backend, num_beams):
    def allow(sentence, ids):
        return [2 + sentence, 5, EOS] if len(ids) < 4 else [EOS]

    for sentence, generation in enumerate(
        PrefixModel(9, seed=3).search(3, num_beams=num_beams, prefix_allowed_tokens_fn=allow)
    ):
        for hypothesis in generation.hypotheses:
            assert set(hypothesis.tokens) <= {2 + sentence, 5} and len(hypothesis.tokens) <= 3


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"prefix_allowed_tokens_fn": lambda b, ids: []}, ValueError, "for sentence 0 it allows no token"),
        ({"prefix_allowed_tokens_fn": lambda b, ids: [99]}, ValueError, r"it allows 99; expected ids in \[0, 9\)"),
        ({"prefix_allowed_tokens_fn": lambda b, ids: [-1]}, ValueError, "returned -1"),
        ({"prefix_allowed_tokens_fn": lambda b, ids: None}, TypeError, "returned None; expected ids"),
        ({"prefix_allowed_tokens_fn": 3}, TypeError, "prefix_allowed_tokens_fn is 3"),
        ({"logits_processor": lambda ids, scores: scores[:, 1:]}, ValueError, r"returned shape \(2, 8\)"),
        ({"logits_processor": lambda ids, scores: scores * np.nan}, ValueError, "sentence 0 contain NaN"),
        ({"logits_processor": lambda ids, scores: None}, ValueError, "logits_processor returned"),
        ({"logits_processor": [3]}, TypeError, "logits_processor has 3"),
        ({"logits_processor": lambda ids, scores: 1 // 0}, ZeroDivisionError, "division"),
        ({"prefix_allowed_tokens_fn": lambda b, ids: {}["x"]}, KeyError, "x"),
    ],
)
def test_what_functions_do_wrong_is_said(backend, options, error, message):
    with pytest.raises(error, match=message):
        PrefixModel(9, seed=3).search(2, num_beams=2, **options)


CONFIGS = {"recurrent": recurrent_config(), "transformer": transformer_config()}


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("name", BACKENDS)
def test_built_in_models_call_them_and_give_what_the_options_give(kind, name):
    model = random_model(CONFIGS[kind], name)
    sources = [[1, 2, 3], [4], [5, 6, 7, 8], [2, 2]] * 3
    options = {"num_beams": 3, "num_return_sequences": 3, "max_length": 8}

    def ban(ids, scores):
        scores[:, [5, 7]] = -np.inf
        return scores

    expected = model.generate(sources, suppress_tokens=[5, 7], **options)
    assert answers(model.generate(sources, logits_processor=ban, **options)) == answers(expected)
    allowed = [[token for token in range(13) if token not in (5, 7, b % 3 + 8)] for b in range(len(sources))]
    results = model.generate(sources, prefix_allowed_tokens_fn=lambda b, ids: allowed[b], **options)
    for b, generation in enumerate(results):
        assert all(set(h.tokens) <= set(allowed[b]) for h in generation.hypotheses)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_inside_a_built_in_model_ends_the_search_and_comes_out(kind, error):
    model = random_model(CONFIGS[kind], "native")
    calls = []

    def fail(ids, scores):
        calls.append(len(ids))
        if len(calls) == 5:
            raise error("from the processor")
        return scores

    before = fastseq.get_num_threads()
    try:
        for threads in (1, 4):
            fastseq.set_num_threads(threads)
            calls.clear()
            with pytest.raises(error, match="from the processor"):
                model.generate([[1, 2, 3]] * 40, num_beams=2, max_length=3000, min_length=3000, logits_processor=fail)
            assert len(calls) < 500
    finally:
        fastseq.set_num_threads(before)
    assert model.generate([[1, 2, 3]], max_length=5)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("name", BACKENDS)
def test_built_in_models_take_prefixes_seeds_and_sources_of_their_own_sentence(kind, name):
    model = random_model(CONFIGS[kind], name)
    sources = [[1, 2, 3], [4], [5, 6, 7, 8], [2, 2], [9]]
    prefixes = [[3], [], [4, 5, 6], [7, 7], [8]]
    options = {
        "encoder_no_repeat_ngram_size": 1, "encoder_repetition_penalty": 1.2, "max_length": 9, "num_return_sequences": 2
    }  # fmt: skip
    for more in ({"num_beams": 3}, {"do_sample": True, "seed": [5, 6, 7, 8, 9]}):
        together = model.generate(sources, prefix=prefixes, **options, **more)
        for b in range(5):
            own = {**more, "seed": more["seed"][b]} if "seed" in more else more
            (alone,) = model.generate([sources[b]], prefix=[prefixes[b]], **options, **own)
            assert answers([alone]) == answers([together[b]])
            for hypothesis in alone.hypotheses:
                assert hypothesis.tokens[: len(prefixes[b])] == prefixes[b]
                assert not set(hypothesis.tokens[len(prefixes[b]) :]) & set(sources[b])
        streamed = model.stream(sources, prefix=prefixes, **options, **more)
        for _ in streamed:
            pass
        assert answers(streamed.generations) == answers(together)


def test_prefixes_of_built_in_models_are_checked():
    model = random_model(recurrent_config(), "native")
    with pytest.raises(ValueError, match=r"prefix\[1\] has id 99; expected ids below 13"):
        model.generate([[1], [2]], prefix=[[3], [99]])
    with pytest.raises(ValueError, match="prefix has 1 entries; expected one for each of the 2 sentences"):
        model.generate([[1], [2]], prefix=[[3]])
    with pytest.raises(ValueError, match=r"prefix\[0\] has 3 tokens, which leaves no room"):
        model.generate([[1]], prefix=[[3, 4, 5]], max_length=4)
