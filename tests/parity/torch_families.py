"""Published models on small random configurations, made by transformers as the tests run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastseq

torch.set_num_threads(1)  # the models are tiny


def randomise(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Give every parameter random numbers, large enough for no part to be negligible; given positions stay.

    Weights of one value repeated, as initialisation leaves norms and biases, would hide a wrong name; large biases
    would make one token the most likely always.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim < 2:
                is_weight = name.endswith("weight")
                parameter.copy_(1 + 0.2 * noise if is_weight else 0.05 * noise)
            elif any(word in name for word in ("embed", "shared", "wte", "wpe", "relative")):
                parameter.copy_(noise * 0.5)
            else:
                parameter.copy_(noise * 2 / parameter.shape[1] ** 0.5)
        for name, buffer in model.named_buffers():
            if name.endswith("final_logits_bias"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.1)
    return model.eval()


def save(model: Any, folder: Path, **options: Any) -> Path:
    model.save_pretrained(folder, **options)
    return folder


def ends_for(folder: Path, count: int = 8) -> list[int]:
    """Tokens that a random model writes sooner or later, as end tokens for searches to end at different lengths."""
    rows = batches(80, [5] * count, 11)
    found = fastseq.load_model(folder, backend="numpy").generate(rows, max_new_tokens=9, eos_token_id=[])
    return sorted({generation.tokens[i % 8 + 1] for i, generation in enumerate(found)})


def batches(vocab_size: int, lengths: list[int], seed: int, lowest: int = 3) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    return [generator.integers(lowest, vocab_size, n).tolist() for n in lengths]


def padded(rows: list[list[int]], pad: int, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask (B, T)."""
    width = max(map(len, rows))
    fill = [[pad] * (width - len(row)) for row in rows]
    ids = [blank + row if left else row + blank for row, blank in zip(rows, fill, strict=True)]
    ones = [
        [0] * len(b) + [1] * len(r) if left else [1] * len(r) + [0] * len(b) for r, b in zip(rows, fill, strict=True)
    ]
    return torch.tensor(ids), torch.tensor(ones)


def assert_close(actual: np.ndarray, expected: Any, tolerance: float = 1e-4) -> None:
    expected = np.asarray(expected.detach() if hasattr(expected, "detach") else expected)
    assert actual.shape == expected.shape
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max(initial=0)))


# Searches that differ in every way that concerns the model: beams, penalties, ways to stop, several answers.
SEARCHES: list[dict[str, Any]] = [
    {"num_beams": 1},
    {"num_beams": 2, "length_penalty": 0.0, "early_stopping": False},
    {"num_beams": 4, "length_penalty": 0.6, "early_stopping": True, "num_return_sequences": 2},
    {"num_beams": 5, "length_penalty": 1.0, "early_stopping": "never", "num_return_sequences": 5},
    {"num_beams": 4, "length_penalty": 2.0, "early_stopping": False, "num_return_sequences": 4},
]


def their_answers(
    hf: Any, ends: set[int], *, count: int = 1, prompt: int = 1, **arguments: Any
) -> list[list[tuple[list[int], float]]]:
    """Tokens and score of the `count` hypotheses that `generate` gives each sentence, behind the prompt's tokens.

    Greedy search has no score there: it is the mean of the log-probabilities of the model.
    """
    with torch.no_grad():
        found = hf.generate(
            do_sample=False, return_dict_in_generate=True, output_scores=True, output_logits=True, **arguments
        )
    answers = []
    for i, row in enumerate(found.sequences[:, prompt:].tolist()):
        end = next((t for t, token in enumerate(row) if token in ends), len(row))
        if "sequences_scores" in found:
            score = float(found.sequences_scores[i])
        else:
            steps = [torch.log_softmax(step[i], -1)[token] for step, token in zip(found.logits, row, strict=True)]
            score = float(torch.stack(steps[: end + 1]).mean())
        answers.append((row[:end], score))
    return [answers[i : i + count] for i in range(0, len(answers), count)]


def assert_answers(found: list[fastseq.Generation], expected: list[list[tuple[list[int], float]]], where: Any) -> None:
    assert len(found) == len(expected), where
    for b, (generation, wanted) in enumerate(zip(found, expected, strict=True)):
        assert [h.tokens for h in generation.hypotheses] == [tokens for tokens, _ in wanted], (where, b)
        scores = np.array([h.score for h in generation.hypotheses], np.float32)
        assert_close(scores, np.array([score for _, score in wanted], np.float32))


def assert_generates_the_same(hf: Any, folder: Path, rows: list[list[int]], **options: Any) -> None:
    """Both backends give the tokens and scores of transformers, which gets the batch padded."""
    decoder_only = not hf.config.is_encoder_decoder
    pad = hf.config.pad_token_id
    ids, mask = padded(rows, pad if pad is not None else 0, left=decoder_only)
    models = [fastseq.load_model(folder, backend=backend) for backend in ("native", "numpy")]
    for search in SEARCHES:
        settings = options | search
        expected = their_answers(
            hf, set(settings["eos_token_id"]), count=settings.get("num_return_sequences", 1),
            prompt=ids.shape[1] if decoder_only else 1, input_ids=ids, attention_mask=mask, **settings,
        )  # fmt: skip
        for model in models:
            assert_answers(model.generate(rows, **settings), expected, (search, model.backend))
