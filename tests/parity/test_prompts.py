"""Prompts of a decoder: what transformers does with them in every option, in streams, and for any step function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from tiny_models import BACKENDS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCAB_SIZE, END, NEW_TOKENS = 40, 39, 8


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCAB_SIZE, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    config = transformers.GPT2Config(**sizes, initializer_range=0.5, bos_token_id=0, eos_token_id=END, pad_token_id=END)
    folder = tmp_path_factory.mktemp("gpt2")
    model = transformers.GPT2LMHeadModel(config).eval()
    model.save_pretrained(folder)
    return model, folder


def prompts(count: int, seed: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(1, END, rng.integers(2, 12)).tolist() for _ in range(count)]


def continued(hf: Any, prompt: list[int], **options: Any) -> list[int]:
    """What transformers writes after a prompt, without the end token and what pads it."""
    ids = torch.tensor([prompt])
    with torch.no_grad():
        output = hf.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, **options)
    tokens: list[int] = output[0, len(prompt) :].tolist()
    return tokens[: tokens.index(END)] if END in tokens else tokens


def options_of(prompt: list[int]) -> list[dict[str, Any]]:
    """Options in which tokens of the prompt count."""
    return [
        {"repetition_penalty": 1.8},
        {"no_repeat_ngram_size": 1},
        {"no_repeat_ngram_size": 2, "num_beams": 3},
        {"repetition_penalty": 1.4, "num_beams": 3, "length_penalty": 2.0},
        {"bad_words_ids": [[prompt[-1], token] for token in range(END)][:20]},
        {"sequence_bias": {(prompt[-1], token): 9.0 for token in range(5, 9)}, "num_beams": 2},
        {"forced_bos_token_id": 7},
        {"forced_eos_token_id": END, "num_beams": 2},
        {"exponential_decay_length_penalty": (2, 1.7), "num_beams": 2},
        {"begin_suppress_tokens": list(range(20)), "min_new_tokens": 5},
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_tokens_of_the_prompt_count_as_in_transformers(reference: tuple[Any, Path], backend: str) -> None:
    hf, folder = reference
    model = fastseq.load_model(folder, backend=backend)
    changed = 0
    for prompt in prompts(12, 1):
        for options in options_of(prompt):
            limit = options | {"max_new_tokens": NEW_TOKENS}
            [found] = model.generate([prompt], **limit)
            assert found.tokens == continued(hf, prompt, **limit), (prompt, options)
            changed += found.tokens != model.generate([prompt], max_new_tokens=NEW_TOKENS)[0].tokens
    assert changed > 40  # of 120


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_prompt_of_a_batch_counts_for_itself(reference: tuple[Any, Path], backend: str) -> None:
    model = fastseq.load_model(reference[1], backend=backend)
    rows = prompts(9, 2)
    for limits in ({"max_new_tokens": 6}, {"max_length": 15}):
        options = {"num_beams": 3, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3, **limits}
        together = model.generate(rows, **options)
        assert [found.tokens for found in together] == [model.generate([row], **options)[0].tokens for row in rows]
        streamed: list[list[int]] = [[] for _ in rows]
        for sentence, tokens, _ in model.stream(rows, **options):
            streamed[sentence] += tokens
        assert streamed == [found.tokens for found in together]
    seeds = list(range(9))
    sampled = model.generate(rows, do_sample=True, seed=seeds, max_length=15)
    alone = [
        model.generate([row], do_sample=True, seed=s, max_length=15)[0] for row, s in zip(rows, seeds, strict=True)
    ]
    assert [found.tokens for found in sampled] == [found.tokens for found in alone]


@pytest.mark.parametrize("backend", BACKENDS)
def test_functions_of_the_caller_see_prompts(reference: tuple[Any, Path], backend: str) -> None:
    model = fastseq.load_model(reference[1], backend=backend)
    rows = prompts(6, 3)
    seen: dict[int, list[int]] = {}

    def allow(sentence: int, ids: Any) -> list[int]:
        seen.setdefault(sentence, ids.tolist())
        return [int(ids[0]), END]

    for row, found in zip(rows, model.generate(rows, prefix_allowed_tokens_fn=allow, max_length=14), strict=True):
        assert set(found.tokens) <= {row[0]}
    assert seen == dict(enumerate(rows))

    lengths = set()

    def process(ids: Any, scores: Any) -> Any:
        lengths.add(ids.shape[1])
        banned = scores.copy()
        np.put_along_axis(banned, ids, -np.inf, axis=1)
        return banned

    custom = model.generate(rows, logits_processor=process, max_new_tokens=5)
    same = model.generate(rows, no_repeat_ngram_size=1, max_new_tokens=5)
    assert [found.tokens for found in custom] == [found.tokens for found in same]
    assert lengths >= {len(row) for row in rows}


def test_a_step_function_with_prompts_is_searched_like_the_model(reference: tuple[Any, Path], backend: str) -> None:
    """The state of each row is what it has read: the model computes everything anew."""
    model = fastseq.load_model(reference[1], backend=backend)
    rows = [row[:5] for row in prompts(20, 4) if len(row) >= 5]

    def step(ids: Any, state: Any) -> Any:
        read = np.concatenate((state, ids[:, None]), axis=1)
        return np.stack([logits[-1] for logits in model.logits(read)]), read

    options = {"num_beams": 3, "repetition_penalty": 1.5, "no_repeat_ngram_size": 2, "max_length": 12, "min_length": 9}
    with fastseq.use_backend(backend):
        state = np.array([row[:-1] for row in rows])
        found = fastseq.beam_search(step, state, batch_size=len(rows), start_id=0, eos_id=END, prompt=rows, **options)
    for ours, theirs in zip(found, model.generate(rows, **options), strict=True):
        assert ours.tokens == theirs.tokens
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)


def test_what_is_wrong_with_a_prompt_is_said(reference: tuple[Any, Path], backend: str) -> None:
    model = fastseq.load_model(reference[1], backend=backend)
    for name, value in (("prefix", [[1]]), ("prompt", [[1]]), ("encoder_input_ids", [[1]])):
        with pytest.raises(ValueError, match=f"{name} is given; what this model continues is input_ids"):
            model.generate([[1, 2]], **{name: value})
    with pytest.raises(ValueError, match="seed has 2 entries; expected one for each of the 3 prompts"):
        model.generate([[1], [2], [3]], do_sample=True, seed=[1, 2])
    with pytest.raises(ValueError, match="return_attention and coverage_penalty are for models that attend"):
        model.generate([[1]], coverage_penalty=0.5)

    def search(**options: Any) -> Any:
        table = np.zeros((4, 4), np.float32)
        with fastseq.use_backend(backend):
            return fastseq.beam_search(
                lambda ids, state: (table[ids % 4], state), None, batch_size=2, start_id=0, eos_id=3, **options
            )

    for options, message in (
        ({"prompt": [[1]]}, "prompt has 1 entries; expected one for each of the 2 sentences"),
        ({"prompt": [[1], []]}, r"prompt\[1\] is empty; expected at least one token"),
        ({"prompt": [[1], [1, 2, 1]], "max_length": 3}, r"prompt\[1\] has 3 tokens, which leaves no room"),
        ({"prompt": [[1], [2, 4]]}, r"prompt\[1\] has 4; logits have only 4 columns"),
        (
            {"prompt": [[1], [2, 1]], "logits_processor": lambda ids, scores: scores},
            r"logits_processor needs prompts of one length; prompt\[0\] has 1 tokens, prompt\[1\] has 2",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            search(**options)
