"""GenerationConfig: its checks, and the options it resolves to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastseq import Generation, GenerationConfig, Hypothesis
from fastseq.models.generation import GenerationDefaults


def resolve(**options):
    return GenerationConfig(**options).resolve(start_id=5, eos_id=2)


def test_the_defaults_are_those_of_transformers_but_for_the_length():
    resolved = resolve()
    theirs = {
        "num_beams": 1, "num_return_sequences": 1, "length_penalty": 1.0, "early_stopping": False, "num_beam_groups": 1,
        "diversity_penalty": 0.0, "do_sample": False, "temperature": 1.0, "top_k": 50, "top_p": 1.0, "typical_p": 1.0,
        "encoder_repetition_penalty": 1.0, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0,
        "encoder_no_repeat_ngram_size": 0, "remove_invalid_values": False, "renormalize_logits": False,
    }  # fmt: skip
    assert {name: resolved[name] for name in theirs} == theirs
    assert (resolved["max_length"], resolved["start_id"], resolved["eos_ids"]) == (256, 5, [2])


def test_new_tokens_do_not_count_the_start_token():
    assert resolve(max_new_tokens=7)["max_length"] == 8
    assert resolve(max_new_tokens=0)["max_length"] == 1
    assert resolve(min_new_tokens=3)["min_new_tokens"] == 3
    assert resolve(min_length=3)["min_length"] == 3


def test_a_minimum_gives_way_to_a_given_maximum():
    config = GenerationConfig(min_length=30, max_length=60)
    assert config.override(max_length=20).resolve(start_id=0, eos_id=2)["min_length"] == 20
    assert config.override(max_new_tokens=20).resolve(start_id=0, eos_id=2)["min_length"] == 21
    assert config.override(max_new_tokens=20).resolve(start_id=0, eos_id=2, prefix=[[7] * 15])["min_length"] == 30
    new = GenerationConfig(min_new_tokens=30)
    assert new.override(max_length=20).min_new_tokens == 19
    assert new.override(max_new_tokens=20).min_new_tokens == 20
    assert new.override(max_length=50).min_new_tokens == 30
    with pytest.raises(ValueError, match="min_length asks for 30 tokens with the start token; max_length allows no"):
        config.override(max_length=20, min_length=30)
    with pytest.raises(TypeError, match="max_length is '20'; expected an integer"):
        config.override(max_length="20")


def test_end_tokens_are_one_several_or_none():
    config = GenerationConfig()
    assert config.resolve(start_id=0, eos_id=np.int64(3))["eos_ids"] == [3]
    assert config.resolve(start_id=0, eos_id=np.array([3, 4]))["eos_ids"] == [3, 4]
    assert config.resolve(start_id=0, eos_id=())["eos_ids"] == []


def test_numbers_of_numpy_become_numbers_of_python():
    options = resolve(num_beams=np.int32(4), length_penalty=np.float32(0.5), max_length=np.int64(9))
    assert [type(options[name]) for name in ("num_beams", "length_penalty", "max_length")] == [int, float, int]


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"num_beams": 0}, ValueError, "num_beams is 0; expected at least 1"),
        ({"num_beams": 10**9}, ValueError, "num_beams is 1000000000; expected at most 65536"),
        ({"num_beams": 2.0}, TypeError, "num_beams is 2.0; expected an integer"),
        ({"num_return_sequences": 2}, ValueError, "num_return_sequences is 2; expected at most num_beams = 1"),
        ({"max_length": 0}, ValueError, "max_length is 0"),
        ({"max_new_tokens": -1}, ValueError, "max_new_tokens is -1"),
        ({"min_length": -1}, ValueError, "min_length is -1"),
        ({"min_new_tokens": "3"}, TypeError, "min_new_tokens is '3'"),
        ({"max_length": 3, "max_new_tokens": 2}, ValueError, "both max_length and max_new_tokens"),
        ({"top_h": 1.5}, ValueError, "top_h is 1.5; expected a number from 0 to 1"),
        ({"epsilon_cutoff": 1.0}, ValueError, "epsilon_cutoff is 1.0; expected a number of at least 0, below 1"),
        ({"eta_cutoff": -0.1}, ValueError, "eta_cutoff is -0.1; expected a number of at least 0, below 1"),
        ({"min_length": 3, "min_new_tokens": 2}, ValueError, "both min_length and min_new_tokens"),
        ({"length_penalty": "1"}, TypeError, "length_penalty is '1'"),
        ({"length_penalty": None}, TypeError, "length_penalty is None"),
        ({"length_penalty": float("nan")}, ValueError, "length_penalty is nan"),
        ({"length_penalty": -40.0}, ValueError, "length_penalty is -40.0"),
        ({"early_stopping": "always"}, ValueError, "early_stopping is 'always'; expected True, False or 'never'"),
        ({"early_stopping": 1}, ValueError, "early_stopping is 1"),
    ],
)
def test_values_that_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        GenerationConfig(**options)


def test_override_changes_fields_and_one_name_of_a_limit_drops_the_other():
    config = GenerationConfig(num_beams=4, max_length=30, min_new_tokens=2)
    assert config.override(length_penalty=2.0) == dataclasses.replace(config, length_penalty=2.0)
    assert config.override(max_new_tokens=5).max_length is None
    assert config.override(min_length=5).min_new_tokens is None
    assert config.override(max_new_tokens=None) == config
    with pytest.raises(ValueError, match="both"):
        config.override(max_length=5, max_new_tokens=5)
    with pytest.raises(TypeError, match="unknown option beams; expected some of num_beams"):
        config.override(beams=3)


def test_a_generation_is_its_best_hypothesis():
    best, other = Hypothesis([4, 5], -0.25, True), Hypothesis([4], -0.5, False)
    generation = Generation([best, other])
    assert (generation.tokens, generation.score, generation.finished) == ([4, 5], -0.25, True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        best.score = 0.0


def test_options_of_a_model_are_remembered_with_their_types():
    defaults = GenerationDefaults.read({}, start_id=1, eos_id=2).within(None)
    assert defaults.override({"num_beams": 1}) is defaults.override({"num_beams": 1})
    for wrong in (True, 1.5, "1"):
        with pytest.raises((TypeError, ValueError), match="num_beams"):
            defaults.override({"num_beams": wrong})
    assert defaults.override({"length_penalty": 1}).config == defaults.override({"length_penalty": 1.0}).config
    assert defaults.override({"eos_token_id": [4]}).eos_ids == (4,)
    assert defaults.override({"eos_token_id": 4}).eos_ids == (4,)
    for seed in range(200):
        assert defaults.override({"do_sample": True, "seed": seed}).config.seed == (seed,)
    assert defaults.override({"num_beams": 3}).config.num_beams == 3
    assert defaults.config.num_beams == 1
