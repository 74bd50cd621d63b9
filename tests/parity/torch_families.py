"""Published models on small random configurations, made by transformers as the tests run."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastseq

torch.set_num_threads(1)  # the models are tiny

# What encoders of these classes are for.
TASKS = {
    "Model": "feature-extraction",
    "ForMaskedLM": "feature-extraction",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
}


# Standard deviation of the weights whose name has one of the words, the first that fits; those of dense layers are for
# inputs of length 1. Attention adds less than feed-forward layers do, or a decoder would look at the same sentence in
# every step and write the same token.
SCALES: dict[tuple[str, ...], float] = {
    ("relative_attention",): 3.0,
    ("wte", "wpe"): 0.5,
    ("embed", "shared"): 2.0,
    ("fc2", "DenseReluDense.wo", "mlp.c_proj"): 40.0,
    ("fc1", "DenseReluDense.wi", "mlp.c_fc"): 3.0,
    ("out_proj", "Attention.o", "attn.c_proj"): 0.5,
}


def randomise(model: Any, seed: int) -> Any:
    """Give every parameter random numbers for no part to be negligible and generation to be varied; positions stay.

    Weights of one value repeated, as initialisation leaves norms and biases, would hide a wrong name. The inner biases
    of feed-forward layers are negative: where half of all units are active, the mean of what they give is the same for
    all tokens, and after two layers most tokens would be followed by the same one.
    """
    generator = torch.Generator().manual_seed(seed)
    hidden = model.config.d_model if getattr(model.config, "scale_embedding", False) else 1
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            noise = torch.randn(parameter.shape, generator=generator)
            scale = next((scale for words, scale in SCALES.items() if any(word in name for word in words)), 2.0)
            if name.endswith(("fc1.bias", "c_fc.bias")):
                parameter.copy_(0.05 * noise - scale)
            elif parameter.ndim < 2:
                parameter.copy_(1 + 0.2 * noise if name.endswith("weight") else 0.05 * noise)
            elif any(word in name for word in ("embed_positions", "relative_attention", "wpe")):
                parameter.copy_(noise * scale)
            elif any(word in name for word in ("embed", "shared", "wte")):
                parameter.copy_(noise * scale / hidden**0.5)
            else:
                parameter.copy_(noise * scale / parameter.shape[1] ** 0.5)
        for name, buffer in model.named_buffers():
            if name.endswith("final_logits_bias"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.1)
    return model.eval()


def save(model: Any, folder: Path, **options: Any) -> Path:
    model.save_pretrained(folder, **options)
    return folder


def ends_for(folder: Path, count: int = 40) -> list[int]:
    """Tokens that half of `count` random sentences come to sooner or later, none of them at once.

    As end tokens they let sequences end at different lengths, and some not at all.
    """
    found = fastseq.load_model(folder).generate(batches(80, [5] * count, 11), max_new_tokens=12, eos_token_id=[])
    rows = [generation.tokens for generation in found]
    first = {row[0] for row in rows}
    ends: list[int] = []
    for token in sorted({token for row in rows for token in row} - first):
        if sum(not set(row).isdisjoint([*ends, token]) for row in rows) <= count // 2:
            ends.append(token)
    return ends


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
    {"num_beams": 3, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3, "num_return_sequences": 2},
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
    # Where a search looks back at the tokens, padding in front of a prompt would count as its text.
    for search in (search for search in SEARCHES if not (decoder_only and "repetition_penalty" in search)):
        settings = options | search
        expected = their_answers(
            hf, set(settings["eos_token_id"]), count=settings.get("num_return_sequences", 1),
            prompt=ids.shape[1] if decoder_only else 1, input_ids=ids, attention_mask=mask, **settings,
        )  # fmt: skip
        for model in models:
            assert_answers(model.generate(rows, **settings), expected, (search, model.backend))


def assert_varied(folder: Path, **options: Any) -> None:
    """Parity means something only if answers differ, end at different lengths and do not repeat one token."""
    model, ends = fastseq.load_model(folder), ends_for(folder)
    for num_beams in (1, 2, 4):
        found = model.generate(batches(80, [5] * 40, 4), num_beams=num_beams, eos_token_id=ends, **options)
        rows = [generation.tokens for generation in found]
        repeated = [before == after for row in rows for before, after in itertools.pairwise(row)]
        assert np.mean(repeated) < 0.5, num_beams
        assert len({len(row) for row in rows}) >= 3, num_beams
        assert len({tuple(row) for row in rows}) >= 20, num_beams
        assert any(generation.finished for generation in found), num_beams
        assert not all(generation.finished for generation in found), num_beams
