"""Small random models and folders for tests."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.models import (
    RecurrentSeq2SeqConfig,
    Seq2SeqClassifierConfig,
    Seq2SeqConfig,
    Seq2SeqModel,
    StackConfig,
    TransformerSeq2SeqConfig,
    save_model,
)
from fastseq.text import Vocabulary

BACKENDS = ["numpy", "native"]
LETTERS = "abcdefghij"
PHONEMES = ["AA1", "AE0", "B", "EH1", "IY0", "K", "L", "S", "T", "Z"]

COMMON: dict[str, Any] = {
    "source_vocab_size": 1 + len(LETTERS),
    "target_vocab_size": 3 + len(PHONEMES),
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
RECURRENT: dict[str, Any] = COMMON | {
    "cell": "lstm",
    "source_embedding_size": 5,
    "target_embedding_size": 7,
    "encoder_hidden_size": 6,
    "encoder_num_layers": 2,
    "encoder_bidirectional": True,
    "decoder_hidden_size": 12,
    "decoder_num_layers": 2,
    "bridge": "copy",
    "attention": "general",
    "input_feeding": True,
}
TRANSFORMER: dict[str, Any] = COMMON | {
    "hidden_size": 12,
    "num_heads": 3,
    "intermediate_size": 17,
    "encoder_num_layers": 2,
    "decoder_num_layers": 2,
    "activation": "relu",
    "norm_first": True,
    "positions": "sinusoidal",
    "scale_embedding": True,
    "tie_output": True,
}


def recurrent_config(**changes: Any) -> RecurrentSeq2SeqConfig:
    return RecurrentSeq2SeqConfig.from_dict(RECURRENT | changes)


def transformer_config(**changes: Any) -> TransformerSeq2SeqConfig:
    return TransformerSeq2SeqConfig.from_dict(TRANSFORMER | changes)


def classifier_config(**changes: Any) -> Seq2SeqClassifierConfig:
    """An encoder-decoder of BART's kind with a head: 8 tokens, of which 2 ends a sequence, and 20 positions."""
    encoder = StackConfig(
        vocab_size=8, hidden_size=12, layers=(0, 1), num_heads=3, head_size=4, intermediate_size=17, activation="gelu",
        norm="layer", norm_eps=1e-5, norm_first=False, final_norm=False, embedding_norm=True, positions="table",
        max_positions=20, position_offset=2, attention_scale=0.5,
    )  # fmt: skip
    values: dict[str, Any] = {
        "model_type": "bart",
        "encoder": encoder,
        "decoder": dataclasses.replace(encoder, cross_attention=True),
        "shared_embedding": True,
        "task": "text-classification",
        "id2label": {0: "no", 1: "yes", 2: "perhaps"},
        "decoder_start_token_id": 2,
        "pad_token_id": 1,
        "eos_token_id": 2,
    }
    return Seq2SeqClassifierConfig(**values | changes)


MODEL_CONFIGS: dict[str, RecurrentSeq2SeqConfig | TransformerSeq2SeqConfig] = {
    "recurrent": recurrent_config(),
    # Vocabularies that are smaller than the embeddings: what the first layers make of every token is known beforehand.
    "few-tokens": recurrent_config(source_embedding_size=16, target_embedding_size=14, input_feeding=False),
    "transformer": transformer_config(),
}


def random_tensors(config: Seq2SeqConfig | Seq2SeqClassifierConfig, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights large enough that every part matters, norms around 1."""
    generator = np.random.default_rng(seed)
    tensors = {}
    for name, shape in (config.tensor_shapes() | config.optional_tensor_shapes()).items():
        values = generator.uniform(-1, 1, shape) * (1.0 if "embedding" in name else 0.5)
        if "norm" in name and name.endswith("weight"):
            values = 1 + 0.3 * values
        tensors[name] = values.astype(np.float32)
    return tensors


def random_model(config: Seq2SeqConfig, backend: str, seed: int = 0) -> Seq2SeqModel:
    return Seq2SeqModel(config, random_tensors(config, seed), VOCABULARY, backend)


def write_folder(path: Path, config: Seq2SeqConfig | None = None) -> Path:
    config = config or recurrent_config()
    save_model(path, config, random_tensors(config), VOCABULARY)
    return path


VOCABULARY = Vocabulary(["<pad>", *LETTERS], ["<pad>", "<bos>", "<eos>", *PHONEMES])
