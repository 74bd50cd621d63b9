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
    assert_close,
    assert_generates_the_same,
    assert_varied,
    batches,
    ends_for,
    randomise,
    save,
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
