"""Token log-probabilities, attention, logits and the trace of searches."""

from __future__ import annotations

import numpy as np
import pytest
from search_models import EOS, START, PrefixModel

import fastseq
from fastseq import Generation, Hypothesis
from tiny_models import BACKENDS, random_model, recurrent_config, transformer_config

WANTED = {
    "return_token_log_probs": True,
    "return_attention": True,
    "return_logits": True,
    "return_top_logits": 3,
    "return_trace": True,
}
SEARCHES = [{"num_beams": 1}, {"num_beams": 3, "num_return_sequences": 3}, {"num_beams": 4, "length_penalty": 0.0}]
# Token log-probabilities are differences of float32 sums: off by the rounding of sums of at most about 30.
TOLERANCE = {"rtol": 1e-5, "atol": 4e-6}


def log_softmax(logits):
    shifted = np.asarray(logits, np.float64) - np.max(logits)
    return shifted - np.log(np.exp(shifted).sum())


class AttendingModel(PrefixModel):
    """Reports attention that says which sentence and which length it came from."""

    def attending_step(self, ids, state):
        logits, state = self.step(ids, state)
        length = state["prefix"].shape[1]
        attention = np.stack([[s, length, last] for s, last in zip(state["sentence"], ids, strict=True)])
        return logits, state, attention.astype(np.float32)

    def search(self, batch_size, **options):
        arguments = {"start_id": START, "eos_id": EOS, "max_length": 8, **options}
        return fastseq.beam_search(self.attending_step, self.state(batch_size), batch_size=batch_size, **arguments)

    def stream(self, batch_size, **options):
        arguments = {"start_id": START, "eos_id": EOS, "max_length": 8, **options}
        return fastseq.stream_search(self.step, self.state(batch_size), batch_size=batch_size, **arguments)


@pytest.mark.parametrize("options", SEARCHES)
def test_every_output_belongs_to_its_token(backend, options):
    model = AttendingModel(vocab_size=7, seed=3)
    for sentence, generation in enumerate(model.search(4, **options, **WANTED)):
        for hypothesis in generation.hypotheses:
            written = [*hypothesis.tokens, EOS] if hypothesis.finished else hypothesis.tokens
            assert hypothesis.steps == len(written)
            expected = [model.logits(sentence, (START, *written[:t])) for t in range(len(written))]
            assert np.array_equal(hypothesis.logits, np.stack(expected))
            chosen = [log_softmax(row)[token] for row, token in zip(expected, written, strict=True)]
            np.testing.assert_allclose(hypothesis.token_log_probs, chosen, **TOLERANCE)
            total = float(np.sum(hypothesis.token_log_probs, dtype=np.float64))
            divisor = len(written) ** options.get("length_penalty", 1.0)
            np.testing.assert_allclose(hypothesis.score, total / divisor, **TOLERANCE)
            order = np.argsort(-np.stack(expected), axis=1, kind="stable")[:, :3]
            assert np.array_equal(hypothesis.top_tokens, order)
            assert np.array_equal(hypothesis.top_logits, np.take_along_axis(np.stack(expected), order, axis=1))
            fed = [START, *written[:-1]]
            assert hypothesis.attention.tolist() == [[sentence, t + 1, token] for t, token in enumerate(fed)]


@pytest.mark.parametrize("options", SEARCHES)
def test_outputs_change_no_answer_and_are_absent_unless_asked_for(backend, options):
    model = AttendingModel(vocab_size=7, seed=3)
    plain = model.search(4, **options)
    assert model.search(4, **options, **WANTED) == plain
    for generation in plain:
        assert generation.trace is None
        for h in generation.hypotheses:
            assert (h.token_log_probs, h.attention, h.logits, h.top_logits, h.top_tokens) == (None,) * 5


def test_a_hypothesis_that_can_go_no_further_has_outputs_of_what_it_wrote(backend):
    logits = np.array([[0, 0, -np.inf], [-np.inf, 0, -np.inf]], np.float32)  # after 0: 0 or the end; after 1: the end

    def step(ids, state):
        return np.where(ids[:, None] == START, [[-np.inf, -np.inf, 0.0]], logits[1]).astype(np.float32), state

    for num_beams in (1, 2):
        [generation] = fastseq.beam_search(
            step, None, batch_size=1, start_id=START, eos_id=EOS, num_beams=num_beams, min_length=5,
            return_token_log_probs=True, return_logits=True,
        )  # fmt: skip
        [hypothesis] = generation.hypotheses
        assert (hypothesis.tokens, hypothesis.finished, hypothesis.steps) == ([2], False, 1)
        assert hypothesis.token_log_probs.tolist() == [0.0]
        assert hypothesis.logits.tolist() == [[-np.inf, -np.inf, 0.0]]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_prefix_has_outputs_and_counts_nothing(backend, num_beams):
    model = AttendingModel(vocab_size=7, seed=3)
    prefix = [[4, 2], [], [5]]
    found = model.search(3, num_beams=num_beams, num_return_sequences=num_beams, prefix=prefix, **WANTED)
    for sentence, generation in enumerate(found):
        given = prefix[sentence]
        for h in generation.hypotheses:
            assert h.tokens[: len(given)] == given
            assert (h.token_log_probs[: len(given)] == 0).all()
            total = float(np.sum(h.token_log_probs, dtype=np.float64))
            np.testing.assert_allclose(h.score, total / (h.steps - len(given)), **TOLERANCE)
            assert len(h.attention) == len(h.logits) == h.steps
            assert np.array_equal(h.logits[-1], model.logits(sentence, (START, *h.tokens)[: h.steps]))
    stream = model.stream(3, num_beams=num_beams, prefix=prefix)
    told: dict[int, list[int]] = {}
    for b, tokens, _ in stream:
        told.setdefault(b, []).extend(tokens)
    assert [told[b] for b in range(3)] == [generation.tokens for generation in found]


def test_no_step_no_rows(backend):
    [generation] = AttendingModel(5, seed=0).search(1, max_length=1, **WANTED)
    [hypothesis] = generation.hypotheses
    assert hypothesis.token_log_probs.shape == (0,)
    assert hypothesis.attention.shape == hypothesis.logits.shape == hypothesis.top_tokens.shape == (0, 0)
    assert hypothesis.alignment == []
    assert generation.trace.steps == []


def test_top_logits_are_at_most_the_vocabulary(backend):
    [generation] = AttendingModel(5, seed=0).search(1, num_beams=2, return_top_logits=99)
    assert generation.hypotheses[0].top_tokens.shape[1] == 5


def test_the_trace_holds_every_kept_sequence(backend):
    model = PrefixModel(vocab_size=6, seed=8)
    generations = model.search(3, num_beams=3, num_return_sequences=3, return_trace=True)
    for sentence, generation in enumerate(generations):
        trace = generation.trace
        assert trace.steps[0].tokens.tolist() == [START]
        kept = [((), np.float32(0.0))]
        prefixes = [kept]
        for step in trace.steps[1:]:
            assert len(step.tokens) <= 3
            before, kept = kept, []
            for token, parent, score in zip(step.tokens, step.parents, step.scores, strict=True):
                prefix = (*before[parent][0], int(token))
                gained = log_softmax(model.logits(sentence, (START, *prefix[:-1])))[token]
                np.testing.assert_allclose(score, before[parent][1] + gained, **TOLERANCE)
                kept.append((prefix, score))
            prefixes.append(kept)
        ended = {}
        for ending in trace.endings:
            tokens = prefixes[ending.step][ending.parent][0]
            ended[tokens if ending.finished else (*tokens, ending.token)] = ending.score
        for h in generation.hypotheses:
            assert ended[tuple(h.tokens)] == h.score


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("config", [recurrent_config(), transformer_config()], ids=["recurrent", "transformer"])
def test_models_give_what_teacher_forcing_gives(config, name):
    if name == "native":
        pytest.importorskip("fastseq._core")
    model = random_model(config, name)
    sources = [[1, 2, 3, 4], [5], [6, 7, 8, 9, 1, 2]]
    for generation, source in zip(
        model.generate(sources, num_beams=3, num_return_sequences=2, max_length=7, **WANTED), sources, strict=True
    ):
        for h in generation.hypotheses:
            [logits] = model.decode([source], [[1, *h.tokens]])
            [attention] = model.attention([source], [h.tokens])
            np.testing.assert_allclose(h.logits, logits[: h.steps], rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(h.attention, attention[: h.steps], rtol=1e-5, atol=1e-6)
            assert h.alignment == h.attention[: len(h.tokens)].argmax(axis=1).tolist()
            assert h.attention.shape == (h.steps, len(source))
            written = np.array([*h.tokens, 2][: h.steps])
            expected = [log_softmax(row)[token] for row, token in zip(logits, written, strict=False)]
            np.testing.assert_allclose(h.token_log_probs, expected, rtol=1e-4, atol=1e-5)


def test_native_outputs_do_not_depend_on_the_batch():
    pytest.importorskip("fastseq._core")
    model = random_model(transformer_config(), "native")
    sources = [[1, 2, 3, 4], [5], [6, 7, 8, 9, 1, 2]]
    wanted = WANTED | {"num_beams": 3, "return_trace": False}
    together = model.generate(sources, **wanted)
    for source, generation in zip(sources, together, strict=True):
        [alone] = model.generate([source], **wanted)
        for field in ("token_log_probs", "attention", "logits", "top_logits", "top_tokens"):
            assert np.array_equal(getattr(alone.hypotheses[0], field), getattr(generation.hypotheses[0], field))


def test_what_is_asked_for_must_exist(backend):
    model = PrefixModel(5, seed=0)
    with pytest.raises(TypeError, match=r"expected step to return \(logits, state, attention\)"):
        model.search(1, return_attention=True)
    with pytest.raises(ValueError, match=r"attention have shape \(2,\); expected \(rows, source length\) = \(2, \*\)"):
        fastseq.beam_search(
            lambda ids, s: (np.zeros((len(ids), 3)), s, np.zeros(2)), None, batch_size=2, start_id=0, eos_id=1,
            return_attention=True,
        )  # fmt: skip
    with pytest.raises(TypeError, match="return_logits is 1; expected True or False"):
        model.search(1, return_logits=1)
    with pytest.raises(ValueError, match="return_top_logits is -1"):
        model.search(1, return_top_logits=-1)
    with pytest.raises(TypeError, match="unknown option return_everything"):
        model.search(1, return_everything=True)
    without = random_model(recurrent_config(attention="none", input_feeding=False), backend)
    with pytest.raises(ValueError, match="this model has no attention"):
        without.generate([[1]], return_attention=True)


def test_alignment_needs_attention():
    with pytest.raises(ValueError, match="return_attention=True"):
        _ = Hypothesis([1], 0.0, True).alignment
    with pytest.raises(ValueError, match="the source has no tokens"):
        _ = Hypothesis([1], 0.0, True, attention=np.zeros((2, 0), np.float32)).alignment


def test_plot_draws_every_kept_sequence(backend, tmp_path):
    pytest.importorskip("matplotlib")
    [generation] = PrefixModel(6, seed=8).search(1, num_beams=3, return_trace=True)
    for name in ("beam.svg", "beam.png"):
        figure = generation.hypotheses.plot(tmp_path / name, labels=["<s>", "</s>", "a$b", "c"], title="beam")
        assert (tmp_path / name).stat().st_size > 1000
    generation.hypotheses.plot(tmp_path / "again.svg", labels=["<s>", "</s>", "a$b", "c"], title="beam")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "beam.svg").read_bytes()
    texts = [text.get_text() for text in figure.axes[0].texts]
    kept = sum(len(step.tokens) for step in generation.trace.steps[1:])
    assert sum("\n" in text for text in texts) == kept + len(generation.trace.endings)
    assert sum(text.startswith("end\n") for text in texts) == sum(e.finished for e in generation.trace.endings)


def test_plot_needs_a_trace():
    with pytest.raises(ValueError, match="return_trace=True"):
        Generation([Hypothesis([1], 0.0, True)]).hypotheses.plot()
