"""Small random classifiers and language models for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseq.models import (
    RecurrentClassifier,
    RecurrentClassifierConfig,
    RecurrentLanguageModel,
    RecurrentLanguageModelConfig,
)
from fastseq.text import WordTokenizer

WORDS = ["<unk>", "<s>", "</s>", "the", "film", "is", "good", "bad", "not", ",", "."]
TOKENIZER = WordTokenizer(WORDS, "<unk>")
STACK: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "embedding_size": 7,
    "cell": "lstm",
    "hidden_size": 9,
    "num_layers": 2,
}


def classifier_config(**changes: Any) -> RecurrentClassifierConfig:
    values = STACK | {"bidirectional": True, "pooling": "max", "labels": ["negative", "neutral", "positive"]}
    return RecurrentClassifierConfig.from_dict(values | changes)


def language_config(**changes: Any) -> RecurrentLanguageModelConfig:
    return RecurrentLanguageModelConfig.from_dict(STACK | {"bos_token_id": 1, "eos_token_id": 2} | changes)


def tensors_of(config: Any, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: generator.uniform(-1, 1, shape).astype(np.float32) for name, shape in config.tensor_shapes().items()}


def classifier(backend: str | None = None, **changes: Any) -> RecurrentClassifier:
    config = classifier_config(**changes)
    return RecurrentClassifier(config, tensors_of(config), TOKENIZER, backend)


def language_model(backend: str | None = None, **changes: Any) -> RecurrentLanguageModel:
    config = language_config(**changes)
    return RecurrentLanguageModel(config, tensors_of(config), TOKENIZER, backend)


def sentences(count: int, longest: int = 20, seed: int = 3) -> list[list[int]]:
    """Ragged sentences of words; the second has none."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, longest, count)
    lengths[1] = 0
    return [generator.integers(3, len(WORDS), length).tolist() for length in lengths]
