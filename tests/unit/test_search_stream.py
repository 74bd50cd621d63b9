"""Tokens of running searches: certain, in order, as soon as they are known, and stoppable."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_models import EOS, START, PrefixModel

import fastseq
from fastseq import _backend
from tiny_models import BACKENDS, random_model, recurrent_config, transformer_config

SOURCES = [[1, 2, 3], [4], [5, 6, 7, 8], [9, 1], [2, 2, 2]]


def stream_of(model, batch_size, **options):
    arguments = {"start_id": START, "eos_id": EOS, "max_length": 8, **options}
    return fastseq.stream_search(model.step, model.state(batch_size), batch_size=batch_size, **arguments)


def collect(stream):
    """All tokens of each sentence; fails if one goes on after its end."""
    tokens: dict[int, list[int]] = {}
    done = set()
    for sentence, new, is_done in stream:
        assert sentence not in done
        assert new or is_done
        tokens.setdefault(sentence, []).extend(new)
        if is_done:
            done.add(sentence)
    return [tokens[b] for b in range(len(tokens))], done


@pytest.mark.parametrize("name", BACKENDS)
@given(
    seed=st.integers(0, 10**6), num_beams=st.integers(1, 5), early_stopping=st.sampled_from([True, False, "never"]),
    length_penalty=st.sampled_from([-1.0, 0.0, 1.0, 2.0]), max_length=st.integers(1, 9), batch_size=st.integers(0, 3),
)  # fmt: skip
def test_streamed_tokens_are_those_of_the_best_hypothesis(name, seed, max_length, batch_size, **options):
    if name == "native":
        pytest.importorskip("fastseq._core")
    with fastseq.use_backend(name):
        model = PrefixModel(5, seed)
        stream = stream_of(model, batch_size, max_length=max_length, **options)
        tokens, done = collect(stream)
        whole = model.search(batch_size, max_length=max_length, **options)
        assert tokens == [generation.tokens for generation in whole]
        assert done == set(range(batch_size))
        assert stream.generations == whole


def test_greedy_tokens_come_one_a_step(backend):
    model = PrefixModel(9, seed=1)
    for count, streamed in enumerate(stream_of(model, 1, num_beams=1), start=1):
        assert len(streamed.tokens) <= 1
        assert len(model.rows) == count


def test_beams_that_agree_are_told_before_the_end(backend):
    # Only token 2 has a probability until the fifth step: both beams share it from the second on.
    def step(ids, history):
        history = np.concatenate([history, ids[:, None]], axis=1)
        free = history.shape[1] > 4
        row = [0.0, 0.0, 0.0, 0.0] if free else [-np.inf, -np.inf, 0.0, -np.inf]
        return np.tile(np.array(row, np.float32), (len(ids), 1)), history

    stream = fastseq.stream_search(
        step, np.zeros((1, 0), np.int64), batch_size=1, start_id=0, eos_id=1, num_beams=2, max_length=9
    )
    assert [next(stream).tokens for _ in range(4)] == [[2]] * 4


def test_nothing_is_computed_before_it_is_asked_for_or_after_close(backend):
    model = PrefixModel(9, seed=1)
    stream = stream_of(model, 2, num_beams=1)
    assert model.rows == []
    next(stream)
    steps = len(model.rows)
    with pytest.raises(RuntimeError, match="still runs"):
        _ = stream.generations
    stream.close()
    stream.close()
    assert list(stream) == []
    assert len(model.rows) == steps
    assert all(not generation.finished or generation.tokens == [] for generation in stream.generations)


def test_a_stopped_search_gives_the_best_so_far(backend):
    model = PrefixModel(9, seed=2)
    full = model.search(1, num_beams=3, num_return_sequences=3, eos_id=[], max_length=9)[0]
    model.rows.clear()
    with stream_of(
        model, 1, num_beams=3, num_return_sequences=3, eos_id=[], max_length=9, return_token_log_probs=True
    ) as s:
        for _ in s:
            break
    generation = s.generations[0]
    steps = len(model.rows)
    assert len(generation.hypotheses) == 3
    for h in generation.hypotheses:
        assert not h.finished and len(h.tokens) == h.steps == steps < len(full.tokens)
        np.testing.assert_allclose(h.score, h.token_log_probs.sum() / steps, rtol=1e-5)
    scores = [h.score for h in generation.hypotheses]
    assert scores == sorted(scores, reverse=True)


def test_stopping_keeps_hypotheses_that_have_ended(backend):
    options = fastseq.GenerationConfig(num_beams=2, num_return_sequences=2).resolve(start_id=0, eos_id=1)
    search = _backend.active().BeamSearch(1, options, None, True)
    for _ in range(2):
        search.advance(np.tile(np.log(np.array([0.05, 0.5, 0.45], np.float32)), (len(search.ids), 1)))
    search.stop()
    assert search.done
    [[best, second]] = search.result()
    assert (best[0], best[2]) == ([], True)  # log 0.5, ended in the first step
    assert (second[0], second[2]) == ([2], True)  # (log 0.45 + log 0.5) / 2, before [2, 2], which runs
    assert [news[1:] for news in search.news()] == [([], True)]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_on_tokens_sees_the_stream_and_may_stop_it(backend, num_beams):
    seen = []
    model = PrefixModel(9, seed=5)
    options = {"num_beams": num_beams, "max_length": 8}
    found = model.search(3, on_tokens=seen.append, **options)
    assert found == model.search(3, **options)
    assert seen == list(stream_of(model, 3, **options))
    calls = []
    stopped = model.search(3, on_tokens=lambda streamed: calls.append(streamed) or False, **options)
    assert len(calls) == 1 and len(stopped) == 3


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_exceptions_come_out_where_the_stream_is_read(backend, error):
    def step(ids, state):
        if len(calls) == 3:
            raise error
        calls.append(1)
        return np.zeros((len(ids), 5), np.float32), state

    calls: list[int] = []
    stream = fastseq.stream_search(step, None, batch_size=1, start_id=0, eos_id=1, num_beams=1)
    with pytest.raises(error):
        list(stream)
    assert list(stream) == []
    stream.close()
    with pytest.raises(RuntimeError, match="has failed"):
        _ = stream.generations

    def raising(streamed):
        raise error

    with pytest.raises(error):
        PrefixModel(5, seed=0).search(1, on_tokens=raising)


def test_a_generator_over_a_stream_may_be_closed_early(backend):
    def words(model):
        with stream_of(model, 2, num_beams=2) as stream:
            yield from stream

    model = PrefixModel(9, seed=3)
    generator = words(model)
    next(generator)
    steps = len(model.rows)
    generator.close()
    assert len(model.rows) == steps


@pytest.mark.parametrize("config", [recurrent_config(), transformer_config()], ids=["recurrent", "transformer"])
@pytest.mark.parametrize("num_beams", [1, 4])
def test_models_stream_what_they_generate(backend, config, num_beams):
    model = random_model(config, backend)
    options = {"num_beams": num_beams, "num_return_sequences": num_beams, "max_length": 9}
    stream = model.stream(SOURCES, **options)
    tokens, done = collect(stream)
    whole = model.generate(SOURCES, **options)
    assert tokens == [generation.tokens for generation in whole]
    assert stream.generations == whole
    assert model.generate(SOURCES, on_tokens=lambda streamed: None, **options) == whole
    assert len(done) == len(SOURCES)


def test_a_batch_larger_than_one_part_streams_in_order(backend):
    model = random_model(recurrent_config(), backend)
    sources = [SOURCES[i % len(SOURCES)] for i in range(70)]
    stream = model.stream(sources, num_beams=4, max_length=4)
    tokens, _ = collect(stream)
    assert tokens == [generation.tokens for generation in model.generate(sources, num_beams=4, max_length=4)]
    half = model.stream(sources, num_beams=4, max_length=4)
    next(half)
    half.close()
    assert len(half.generations) == 70
    assert half.generations[-1].tokens == [] and not half.generations[-1].finished


def test_models_stream_with_prefixes_of_their_own(backend):
    model = random_model(recurrent_config(), backend)
    sources = [SOURCES[i % len(SOURCES)] for i in range(40)]
    prefix = [[3 + i % 5] * (i % 3) for i in range(40)]
    options = {"num_beams": 4, "max_length": 6, "prefix": prefix}
    stream = model.stream(sources, **options)
    tokens, _ = collect(stream)
    assert tokens == [generation.tokens for generation in model.generate(sources, **options)]
    assert all(found[: len(given)] == given for found, given in zip(tokens, prefix, strict=True))


def test_streams_of_empty_batches_end_at_once(backend):
    stream = random_model(recurrent_config(), backend).stream([])
    assert list(stream) == [] and stream.generations == []


def test_threads_may_stream_one_model_and_share_a_stream():
    pytest.importorskip("fastseq._core")
    model = random_model(transformer_config(), "native")
    whole = model.generate(SOURCES * 6, num_beams=3, max_length=20)
    found: list[object] = [None] * 4

    def work(i):
        stream = model.stream(SOURCES * 6, num_beams=3, max_length=20)
        for _ in stream:
            pass
        found[i] = stream.generations

    shared = model._decoding(model._core, *_flat(SOURCES), _options())

    def steps():
        while not shared.done:
            shared.step()
            shared.news()

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(4)]
    threads += [threading.Thread(target=steps, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert found == [whole] * 4
    assert [answers[0][0] for answers in shared.result()] == [
        g.tokens for g in model.generate(SOURCES, num_beams=3, max_length=20)
    ]


def _flat(sources):
    return np.concatenate(sources).astype(np.int32), np.cumsum([0, *map(len, sources)])


def _options():
    return fastseq.GenerationConfig(num_beams=3, max_length=20).resolve(start_id=1, eos_id=2)


def test_stream_arguments_are_checked_at_once(backend):
    with pytest.raises(ValueError, match="num_beams is 0"):
        stream_of(PrefixModel(5, 0), 1, num_beams=0)
    with pytest.raises(TypeError, match="unknown option max_lenght"):
        random_model(recurrent_config(), backend).stream([[1]], max_lenght=3)
    with pytest.raises(ValueError, match="input_ids"):
        random_model(recurrent_config(), backend).stream([[99]])
