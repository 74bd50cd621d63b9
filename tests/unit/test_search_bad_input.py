"""Contradictory options, invalid logits and faulty step functions: every one is an error that says which."""

from __future__ import annotations

import numpy as np
import pytest
from search_models import EOS, START, PrefixModel

import fastseq
from tiny_models import VOCABULARY, random_model, random_tensors, recurrent_config, transformer_config

V = 9
CONTRADICTIONS = [
    ({"min_length": 9, "max_length": 5}, "min_length asks for 9 tokens .* max_length allows no more than 5"),
    ({"min_new_tokens": 7, "max_length": 5}, "min_new_tokens asks for 8 tokens .* no more than 5"),
    ({"min_new_tokens": 7, "max_new_tokens": 5}, "min_new_tokens asks for 8 tokens .* max_new_tokens allows"),
    ({"max_length": 5, "max_new_tokens": 5}, "both max_length and max_new_tokens are given"),
    ({"num_return_sequences": 3}, "num_return_sequences is 3; expected at most num_beams = 2"),
    ({"force_words_ids": [[2, 3, 4, 2]], "max_length": 4}, r"force_words_ids\[0\] has 4 tokens; max_length leaves"),
    ({"force_words_ids": [[2, 3]], "suppress_tokens": [3]}, r"force_words_ids\[0\] has tokens that suppress_tokens"),
    ({"force_words_ids": [[2, EOS]]}, "force_words_ids .*; expected phrases of .*other tokens"),
    ({"forced_bos_token_id": 3, "suppress_tokens": [3]}, "forced_bos_token_id is 3, which suppress_tokens forbids"),
    ({"forced_eos_token_id": 3, "suppress_tokens": [3]}, "forced_eos_token_id is 3, which suppress_tokens forbids"),
    ({"num_beam_groups": 3}, "num_beam_groups is 3; expected a divisor of num_beams = 2"),
    ({"do_sample": True, "return_alternatives": True}, "return_alternatives and do_sample are given"),
    ({"patience": 2.0}, "patience is 2.0; it needs early_stopping=True or preset='ct2'"),
    ({"sequence_bias": {(3,): np.inf}}, "sequence_bias.* is inf; expected a number below infinity"),
]


@pytest.mark.parametrize(("options", "message"), CONTRADICTIONS, ids=lambda value: str(value)[:40])
def test_contradictory_options(backend, options, message):
    options = {"num_beams": 2, **options}
    model = PrefixModel(V, seed=0)
    arguments = {"batch_size": 1, "start_id": START, "eos_id": EOS}
    with pytest.raises(ValueError, match=message):
        fastseq.beam_search(model.step, model.state(1), **arguments, **options)
    assert model.rows == []  # before anything is computed
    with pytest.raises(ValueError, match=message):
        fastseq.stream_search(model.step, model.state(1), **arguments, **options)
    with pytest.raises(ValueError, match=message):
        random_model(recurrent_config(), backend).generate([[3]], eos_token_id=EOS, **options)


@pytest.mark.parametrize("option", ["suppress_tokens", "begin_suppress_tokens", "forced_eos_token_id"])
def test_tokens_beyond_the_vocabulary(backend, option):
    with pytest.raises(ValueError, match=f"{option} has 9; logits have only 9 columns"):
        PrefixModel(V, seed=0).search(1, **{option: [V]})
    with pytest.raises(ValueError, match=r"prefix\[1\] has 9; logits have only 9 columns"):
        PrefixModel(V, seed=0).search(2, prefix=[[3], [V]])


def test_phrases_that_do_not_fit_together_are_said_at_the_end(backend):
    with pytest.raises(ValueError, match="force_words_ids: no sequence of sentence 0 within max_length contains them"):
        PrefixModel(V, seed=0).search(1, num_beams=4, max_length=4, force_words_ids=[[2, 3], [4, 5]])


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("config", [recurrent_config(), transformer_config()], ids=["recurrent", "transformer"])
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True}], ids=str)
def test_a_built_in_model_whose_logits_are_invalid(backend, config, options):
    tensors = random_tensors(config)
    # Sums overflow, whatever the sign of the products; NaN in a file is refused when it is read.
    name = "output.weight" if "output.weight" in tensors else "decoder.embedding.weight"
    tensors[name] = np.full_like(tensors[name], 3e38) * np.where(np.arange(len(tensors[name])) % 2, 1, -1)[:, None]
    if "output.bias" in tensors:
        tensors["output.bias"] = np.full_like(tensors["output.bias"], 3e38)
    broken = fastseq.models.Seq2SeqModel(config, tensors, VOCABULARY, backend)
    with pytest.raises(ValueError, match=r"logits of sentence 0 .* contain NaN, .inf or no finite value"):
        broken.generate([[3, 4]], max_length=5, **options)
    (found,) = broken.generate([[3, 4]], max_length=5, remove_invalid_values=True, **options)
    assert len(found.tokens) <= 4


@pytest.mark.parametrize("num_beams", [1, 3])
def test_remove_invalid_values_makes_search_go_on(backend, num_beams):
    def step(ids, state):
        logits = np.zeros((len(ids), V), np.float32)
        logits[:, 4] = np.inf
        logits[:, 5] = np.nan
        logits[:, EOS] = -np.inf
        return logits, state

    arguments = {"batch_size": 1, "start_id": START, "eos_id": EOS, "num_beams": num_beams, "max_length": 4}
    with pytest.raises(ValueError, match="contain NaN"):
        fastseq.beam_search(step, None, **arguments)
    (found,) = fastseq.beam_search(step, None, remove_invalid_values=True, **arguments)
    assert np.isfinite(found.score)
    if num_beams == 1:  # infinity is the largest number; beam search, as in transformers, sees a log-softmax of NaN
        assert found.tokens == [4, 4, 4]


def test_renormalised_scores_are_log_probabilities_of_what_is_allowed(backend):
    options = {"num_beams": 4, "max_length": 3, "suppress_tokens": [2, 3], "length_penalty": 0.0}
    (found,) = PrefixModel(4, seed=1).search(1, renormalize_logits=True, num_return_sequences=3, **options)
    total = sum(np.exp(h.score) for h in found.hypotheses)  # end; 0 end; 0 0
    np.testing.assert_allclose(total, 1.0, rtol=1e-5)


class FaultError(Exception):
    pass


def _raise(logits, state):
    raise FaultError("out of order")


FAULTS = [
    (lambda logits, state: logits, TypeError, "step returned .*; expected .logits, state."),
    (lambda logits, state: (logits,), TypeError, "step returned 1 values"),
    (lambda logits, state: (logits[:, :, None], state), ValueError, r"logits have shape .*; expected \(rows, vocab"),
    (lambda logits, state: (logits[:-1], state), ValueError, r"expected \(rows, vocabulary\)"),
    (lambda logits, state: (logits.astype(int), state), TypeError, "logits have dtype int64; expected floats"),
    (lambda logits, state: ("no", state), TypeError, "logits have dtype"),
    (lambda logits, state: (logits[:, : 8 if len(state["prefix"][0]) > 1 else 9], state), ValueError,
     "logits have 8 columns; expected 9 as before"),
    (lambda logits, state: (logits, {**state, "sentence": state["sentence"][:0]}), ValueError, "state"),
    (_raise, FaultError, "out of order"),
]  # fmt: skip


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize(("fault", "kind", "message"), FAULTS)
def test_faulty_step_functions(backend, fault, kind, message, num_beams):
    model = PrefixModel(V, seed=0)

    def step(ids, state):
        return fault(*model.step(ids, state))

    options = {"batch_size": 3, "start_id": START, "eos_id": [], "num_beams": num_beams, "max_length": 5}
    if message == "state" and num_beams == 1:
        return  # rows stay where they are: nothing is asked of the state
    with pytest.raises(kind, match=message):
        fastseq.beam_search(step, model.state(3), **options)


def test_an_ensemble_says_whose_vocabulary_differs(backend):
    steps = [PrefixModel(V, seed=0), PrefixModel(V + 1, seed=1)]
    step = fastseq.search.ensemble_step([model.step for model in steps])
    states = tuple(model.state(1) for model in steps)
    with pytest.raises(ValueError, match=r"logits of steps\[1\] have 10 columns; expected 9, the vocabulary of steps"):
        fastseq.beam_search(step, states, batch_size=1, start_id=START, eos_id=EOS)
    models = [random_model(recurrent_config(**changes), backend) for changes in ({}, {"target_vocab_size": 14})]
    with pytest.raises(ValueError, match=r"models\[1\]"):
        fastseq.Ensemble(models)


def test_reorder_is_a_function(backend):
    model = PrefixModel(V, seed=0)
    with pytest.raises(TypeError, match=r"reorder is of type int; expected a function \(state, parents\) -> state"):
        fastseq.beam_search(model.step, model.state(1), batch_size=1, start_id=START, eos_id=EOS, reorder=3)
