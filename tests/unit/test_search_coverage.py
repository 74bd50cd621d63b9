"""The coverage penalty: against the formula, against enumeration, native against NumPy, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from search_models import BACKENDS, EOS, START, PrefixModel, answers, scores

import fastseq
from tiny_models import random_model, recurrent_config, transformer_config

SOURCE_LENGTH = 4


class AttendingModel(PrefixModel):
    """Attention drawn at random for each (sentence, prefix); the last source position is padding."""

    def attention(self, sentence: int, prefix: tuple[int, ...]) -> np.ndarray:
        weights = np.random.default_rng([99, self.seed, sentence, *prefix]).random(SOURCE_LENGTH) ** 3
        weights[-1] = 0.0
        return (weights / weights.sum()).astype(np.float32)

    def step(self, ids, state):
        logits, state = super().step(ids, state)
        pairs = zip(state["sentence"].tolist(), state["prefix"].tolist(), strict=True)
        return logits, state, np.stack([self.attention(s, tuple(p)) for s, p in pairs])

    def penalty(self, beta: float, sentence: int, tokens, finished: bool) -> float:
        """beta * sum_s log(min(1, sum_t a_ts)) over the positions that have a weight."""
        read = [START, *tokens] if finished else [START, *tokens[:-1]]
        covered = sum(self.attention(sentence, tuple(read[: t + 1])).astype(np.float64) for t in range(len(read)))
        return beta * sum(np.log(min(1.0, total)) for total in covered if total > 0)


def log_probability(model, tokens, finished, given: int = 0) -> float:
    written = [*tokens, EOS] if finished else list(tokens)
    total = 0.0
    for t, token in enumerate(written):
        logits = model.logits(0, (START, *written[:t])).astype(np.float64)
        total += (logits[token] - np.log(np.exp(logits).sum())) * (t >= given)
    return total


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_many_beams_find_the_best_of_all_targets(backend, beta, early_stopping):
    for seed, length_penalty in itertools.product(range(3), [0.0, 1.0]):
        model, length = AttendingModel(vocab_size=3, seed=seed), 4
        every = [
            (list(tokens), finished)
            for size in range(length)
            for tokens in itertools.product([0, 2], repeat=size)
            for finished in ([True] if size < length - 1 else [False])
        ]
        ranked = sorted(
            (
                log_probability(model, tokens, finished) / (len(tokens) + finished) ** length_penalty
                + model.penalty(beta, 0, tokens, finished),
                tokens,
                finished,
            )
            for tokens, finished in every
        )[::-1]
        (found,) = model.search(
            1, max_length=length, num_beams=27, num_return_sequences=27, length_penalty=length_penalty,
            early_stopping=early_stopping, coverage_penalty=beta,
        )  # fmt: skip
        assert answers([found]) == [[(tokens, finished) for _, tokens, finished in ranked]]
        np.testing.assert_allclose(scores([found]), [score for score, *_ in ranked], rtol=2e-6)


SEARCHES = [
    {},
    {"num_beams": 3, "num_return_sequences": 3},
    {"num_beams": 2, "preset": "marian"},
    {"num_beams": 3, "preset": "ct2", "length_penalty": 0.0},
    {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5, "num_return_sequences": 4},
    {"num_beams": 2, "return_alternatives": True, "num_return_sequences": 3},
    {"num_beams": 3, "force_words_ids": [[2, 3]]},
    {"num_beams": 1, "do_sample": True, "num_return_sequences": 3, "seed": 5},
    {"num_beams": 2, "do_sample": True, "seed": 5},
]


@pytest.mark.parametrize("options", SEARCHES, ids=str)
def test_every_search_adds_the_formula_and_both_backends_agree(options):
    for seed, prefix in itertools.product(range(3), [None, [[2], [3, 2], []]]):
        model, found = AttendingModel(vocab_size=6, seed=seed), {}
        options = {"num_beams": 1, **options, "prefix": prefix, "coverage_penalty": 0.7}
        for name in BACKENDS:
            with fastseq.use_backend(name):
                found[name] = model.search(3, return_token_log_probs=True, return_attention=True, **options)
        assert answers(found["native"]) == answers(found["numpy"])
        np.testing.assert_allclose(scores(found["native"]), scores(found["numpy"]), rtol=1e-5)
        for sentence, generation in enumerate(found["native"]):
            given = len(prefix[sentence]) if prefix else 0
            for h in generation.hypotheses:
                counted = h.steps if options.get("preset") == "ct2" else h.steps - given
                plain = h.token_log_probs.sum() / counted ** options.get("length_penalty", 1.0)
                expected = plain + model.penalty(0.7, sentence, h.tokens, h.finished)
                np.testing.assert_allclose(h.score, expected, rtol=1e-4)


def test_a_stopped_stream_scores_running_sequences_with_it(backend):
    model = AttendingModel(vocab_size=30, seed=1)
    stream = fastseq.stream_search(
        model.step, model.state(1), batch_size=1, start_id=START, eos_id=EOS, num_beams=1, coverage_penalty=0.7,
        max_length=9,
    )  # fmt: skip
    for _ in range(3):
        next(stream)
    stream.close()
    (generation,) = stream.generations
    assert not generation.finished
    expected = log_probability(model, generation.tokens, False) / len(generation.tokens)
    expected += model.penalty(0.7, 0, generation.tokens, False)
    np.testing.assert_allclose(generation.score, expected, rtol=1e-5)


@pytest.mark.parametrize("config", [recurrent_config(), transformer_config()], ids=["recurrent", "transformer"])
@pytest.mark.parametrize("num_beams", [1, 3])
def test_built_in_models_and_both_backends_agree(config, num_beams):
    found, options = {}, {"num_beams": num_beams, "max_length": 9}
    for name in BACKENDS:
        model = random_model(config, name)
        plain = {"return_attention": True, "return_token_log_probs": True}
        found[name] = model.generate([[3, 4, 5], [6], [7, 3]], coverage_penalty=0.8, **options, **plain)
        for generation in found[name]:
            for h in generation.hypotheses:
                covered = np.minimum(h.attention.sum(axis=0), 1.0)
                expected = h.token_log_probs.sum() / h.steps + 0.8 * np.log(covered).sum()
                np.testing.assert_allclose(h.score, expected, rtol=1e-4)
        alone = model.generate([[6]], coverage_penalty=0.8, **options)
        assert (alone[0].tokens, alone[0].score) == (found[name][1].tokens, found[name][1].score)
    assert answers(found["native"]) == answers(found["numpy"])


def test_a_model_without_attention_refuses_it(backend):
    model = random_model(recurrent_config(attention="none", input_feeding=False), backend)
    with pytest.raises(ValueError, match=r"coverage_penalty is 0\.5; this model has no attention"):
        model.generate([[3, 4]], coverage_penalty=0.5)


def test_what_is_refused(backend):
    with pytest.raises(ValueError, match=r"coverage_penalty is -1\.0; expected a finite number of at least 0"):
        fastseq.GenerationConfig(coverage_penalty=-1)
    plain = PrefixModel(6, seed=0)
    with pytest.raises(TypeError, match="coverage_penalty is asked for; expected step to return"):
        plain.search(1, coverage_penalty=0.5)
    for bad, message in [
        (np.nan, "attention of sentence 1 has nan; expected finite numbers of at least 0"),
        (-0.25, "attention of sentence 1 has -0.25"),
        (np.inf, "attention of sentence 1 has inf"),
        ("columns", "attention has 3 columns; expected 4 as before"),
    ]:
        model = AttendingModel(vocab_size=6, seed=0)

        def step(ids, state, model=model, bad=bad):
            logits, after, attention = model.step(ids, state)
            if bad == "columns":
                attention = attention if after["prefix"].shape[1] == 1 else attention[:, :3]
            else:
                attention[after["sentence"] == 1, 2] = bad
            return logits, after, attention

        with pytest.raises(ValueError, match=message):
            fastseq.beam_search(
                step, model.state(2), batch_size=2, start_id=START, eos_id=[], num_beams=2, coverage_penalty=0.5
            )
