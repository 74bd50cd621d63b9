"""GPT-2 against transformers: logits, and continuing prompts of unequal lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from tiny_models import BACKENDS

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import torch  # noqa: E402
from torch_families import (  # noqa: E402
    assert_answers,
    assert_close,
    assert_generates_the_same,
    assert_varied,
    batches,
    ends_for,
    randomise,
    save,
    their_answers,
)

GPT2: dict[str, Any] = {"vocab_size": 83, "n_positions": 40, "n_embd": 24, "n_layer": 2, "n_head": 3}
CASES: dict[str, dict[str, Any]] = {
    "tied": GPT2,
    "untied": GPT2 | {"tie_word_embeddings": False, "n_inner": 31, "activation_function": "relu", "n_layer": 1},
    "unscaled": GPT2 | {"scale_attn_weights": False, "n_head": 4},
}
PROMPTS = [7, 1, 19, 4, 12, 3, 9, 2, 24, 6]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    config = transformers.GPT2Config(**CASES[request.param], bos_token_id=0, eos_token_id=0, pad_token_id=82)
    model = randomise(transformers.GPT2LMHeadModel(config), seed=2)
    return model, save(model, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("backend", BACKENDS)
def test_logits(case: tuple[Any, Path], backend: str) -> None:
    hf, folder = case
    model = fastseq.load_model(folder, backend=backend)
    assert (model.model_type, model.task, model.vocab_size) == ("gpt2", "text-generation", 83)
    rows = batches(80, PROMPTS, 1)
    for row, logits in zip(rows, model.logits(rows), strict=True):
        with torch.no_grad():
            assert_close(logits, hf(torch.tensor([row])).logits[0])


def test_greedy_and_beams(case: tuple[Any, Path]) -> None:
    hf, folder = case
    assert_generates_the_same(hf, folder, batches(80, PROMPTS, 3), max_new_tokens=12, eos_token_id=ends_for(folder))


def test_generation_is_varied(case: tuple[Any, Path]) -> None:
    assert_varied(case[1], max_new_tokens=13)


def test_limits_count_the_prompt_as_in_transformers(case: tuple[Any, Path]) -> None:
    hf, folder = case
    for row in batches(80, [3, 9], 4):
        with torch.no_grad():
            expected = hf.generate(torch.tensor([row]), max_length=14, min_length=13, do_sample=False)
        for backend in BACKENDS:
            [found] = fastseq.load_model(folder, backend=backend).generate([row], max_length=14, min_length=13)
            wanted = expected[0, len(row) :].tolist()
            assert found.tokens == (wanted[:-1] if wanted[-1] == 0 else wanted)


@pytest.mark.filterwarnings("ignore:Unfeasible length constraints")
@pytest.mark.parametrize("options", [{"min_length": 40, "max_new_tokens": 6}, {"min_new_tokens": 9, "max_length": 16}])
def test_a_minimum_that_is_out_of_reach_lets_no_sequence_end_early(case: tuple[Any, Path], options: Any) -> None:
    hf, folder = case
    for row in batches(80, [3, 9], 4):  # whether it is out of reach depends on the prompt
        with torch.no_grad():
            expected = hf.generate(torch.tensor([row]), do_sample=False, **options)[0, len(row) :].tolist()
        for backend in BACKENDS:
            assert fastseq.load_model(folder, backend=backend).generate([row], **options)[0].tokens == expected


LOOKING_BACK: list[dict[str, Any]] = [
    {"repetition_penalty": 1.5},
    {"repetition_penalty": 0.7, "num_beams": 3, "num_return_sequences": 2},
    {"encoder_repetition_penalty": 1.6},
    {"encoder_no_repeat_ngram_size": 2, "num_beams": 3},
    {"no_repeat_ngram_size": 1},
    {"no_repeat_ngram_size": 2, "num_beams": 4, "num_return_sequences": 3, "length_penalty": 0.5},
]


@pytest.mark.parametrize("options", LOOKING_BACK, ids=str)
def test_the_prompt_counts_where_a_search_looks_back(case: tuple[Any, Path], options: dict[str, Any]) -> None:
    hf, folder = case
    model = fastseq.load_model(folder)
    rows = [[3, 0, 5, 3, 0], *batches(80, [1, 5, 30], 4)]  # the end token may be in a prompt
    options = {"num_beams": 1, "max_new_tokens": 9, **options}
    count = options.get("num_return_sequences", 1)
    expected = [
        their_answers(hf, {0}, count=count, prompt=len(row), input_ids=torch.tensor([row]), **options)[0]
        for row in rows
    ]
    for backend in BACKENDS:
        assert_answers(fastseq.load_model(folder, backend=backend).generate(rows, **options), expected, backend)
    [found] = model.generate(rows[-1:], return_token_log_probs=True, return_logits=True, **options)
    for hypothesis in found.hypotheses:
        assert len(hypothesis.token_log_probs) == len(hypothesis.logits) == hypothesis.steps


@pytest.mark.parametrize("name", ["bad_words_ids", "sequence_bias"])
def test_a_sequence_may_begin_in_the_prompt(case: tuple[Any, Path], name: str) -> None:
    hf, folder = case
    [row] = batches(80, [6], 4)
    options: dict[str, Any] = {"max_new_tokens": 5, "eos_token_id": [0]}
    model = fastseq.load_model(folder)
    [first, *_] = model.generate([row], **options)[0].tokens
    sequence = (*row[-2:], first)
    options[name] = [list(sequence)] if name == "bad_words_ids" else {sequence: -99.0}
    expected = their_answers(hf, {0}, prompt=6, input_ids=torch.tensor([row]), **options)
    for backend in BACKENDS:
        found = fastseq.load_model(folder, backend=backend).generate([row], **options)
        assert found[0].tokens[0] != first
        assert_answers(found, expected, backend)


def test_seeds_follow_their_prompts(case: tuple[Any, Path]) -> None:
    model = fastseq.load_model(case[1])
    rows, options = batches(80, [3, 5, 3], 6), {"do_sample": True, "max_new_tokens": 5}
    alone = [model.generate([row], seed=seed, **options)[0] for seed, row in enumerate(rows)]
    assert model.generate(rows, seed=[0, 1, 2], **options) == alone
    assert model.generate(rows, seed=[0, 1, 2], max_length=8, do_sample=True)[1].tokens == alone[1].tokens[:3]


def test_a_prompt_gives_the_same_bits_in_any_batch(case: tuple[Any, Path]) -> None:
    model = fastseq.load_model(case[1], backend="native")
    rows = batches(80, [int(n) for n in np.random.default_rng(1).integers(0, 20, 30)], 5)
    options: dict[str, Any] = {"num_beams": 3, "num_return_sequences": 3, "max_new_tokens": 10}
    together = model.generate(rows, **options)
    threads = fastseq.get_num_threads()
    try:
        for count in (1, 2):
            fastseq.set_num_threads(count)
            assert model.generate(rows[::-1], **options)[::-1] == together
            assert [model.generate([row], **options)[0] for row in rows[::5]] == together[::5]
    finally:
        fastseq.set_num_threads(threads)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_does_not_fit_is_refused(case: tuple[Any, Path], backend: str) -> None:
    model = fastseq.load_model(case[1], backend=backend)
    with pytest.raises(ValueError, match=r"max_length is 5; expected more than the 6 tokens of a prompt"):
        model.generate([[1, 2, 3, 4, 5, 6]], max_length=5)
    with pytest.raises(ValueError, match=r"a prompt of 3 tokens and 39 new ones need 41 positions; the model has 40"):
        model.generate([[1, 2, 3]], max_new_tokens=39)
    with pytest.raises(ValueError, match=r"input_ids\[0\] has 41 tokens; expected at most 40"):
        model.logits([[1] * 41])
    assert len(model.generate([[1, 2, 3]], eos_token_id=[])[0].tokens) == 38
    [empty], [start] = model.generate([[]], max_new_tokens=3), model.generate([[0]], max_new_tokens=3)
    assert empty == start
