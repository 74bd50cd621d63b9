"""Small random models in folders as Hugging Face publishes them, made without its library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.text import load_tokenizer
from fastseq.weights import write_safetensors
from tokenizer_folders import deberta, marian, wordpiece

WIDTH, INNER, LAYERS, HEADS, POSITIONS = 32, 48, 2, 4, 64
LABELS = ["O", "B-PER", "I-PER"]
_SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
}
_CLASSES = {
    "feature-extraction": "BertModel",
    "text-classification": "BertForSequenceClassification",
    "token-classification": "BertForTokenClassification",
    "question-answering": "BertForQuestionAnswering",
}


class Weights:
    """Random tensors by name."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(0)
        self.tensors: dict[str, NDArray[np.float32]] = {}

    def table(self, name: str, rows: int, scale: float = 1.0) -> None:
        self.tensors[f"{name}.weight"] = self._generator.normal(0, scale, (rows, WIDTH)).astype(np.float32)

    def dense(self, name: str, outputs: int, inputs: int) -> None:
        self.tensors[f"{name}.weight"] = self._generator.normal(0, 0.3, (outputs, inputs)).astype(np.float32)
        self.tensors[f"{name}.bias"] = self._generator.normal(0, 0.3, outputs).astype(np.float32)

    def norm(self, name: str) -> None:
        self.tensors[f"{name}.weight"] = self._generator.uniform(0.5, 1.5, WIDTH).astype(np.float32)
        self.tensors[f"{name}.bias"] = self._generator.normal(0, 0.3, WIDTH).astype(np.float32)

    def rest_of_layer(self, layer: str) -> None:
        self.dense(f"{layer}.attention.output.dense", WIDTH, WIDTH)
        self.norm(f"{layer}.attention.output.LayerNorm")
        self.dense(f"{layer}.intermediate.dense", INNER, WIDTH)
        self.dense(f"{layer}.output.dense", WIDTH, INNER)
        self.norm(f"{layer}.output.LayerNorm")


def bert_folder(folder: Path, task: str, labels: Sequence[str] = tuple(LABELS)) -> Path:
    """Write a BERT with 64 positions and the head of a task."""
    wordpiece(folder, model_max_length=POSITIONS)
    size = load_tokenizer(folder).vocab_size
    prefix = "" if task == "feature-extraction" else "bert."
    weights = Weights()
    for name, rows in (("word", size), ("position", POSITIONS), ("token_type", 2)):
        weights.table(f"{prefix}embeddings.{name}_embeddings", rows)
    weights.norm(f"{prefix}embeddings.LayerNorm")
    for i in range(LAYERS):
        layer = f"{prefix}encoder.layer.{i}"
        for part in ("query", "key", "value"):
            weights.dense(f"{layer}.attention.self.{part}", WIDTH, WIDTH)
        weights.rest_of_layer(layer)
    if task in ("feature-extraction", "text-classification"):
        weights.dense(f"{prefix}pooler.dense", WIDTH, WIDTH)
    if task == "question-answering":
        weights.dense("qa_outputs", 2, WIDTH)
    elif task != "feature-extraction":
        weights.dense("classifier", len(labels), WIDTH)
    config = _SIZES | {
        "model_type": "bert",
        "architectures": [_CLASSES[task]],
        "vocab_size": size,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
    if task not in ("feature-extraction", "question-answering"):
        config["id2label"] = {str(i): label for i, label in enumerate(labels)}
    return _write(folder, config, weights)


def deberta_folder(folder: Path) -> Path:
    """Write a DeBERTa v2 with 16 vectors of distances and a convolution, without a head."""
    deberta(folder, model_max_length=POSITIONS)
    weights, size = Weights(), load_tokenizer(folder).vocab_size
    weights.table("embeddings.word_embeddings", size)
    weights.table("encoder.rel_embeddings", 16)
    for name in ("embeddings", "encoder", "encoder.conv"):
        weights.norm(f"{name}.LayerNorm")
    weights.dense("encoder.conv.conv", WIDTH, 3 * WIDTH)
    kernel = weights.tensors["encoder.conv.conv.weight"]
    weights.tensors["encoder.conv.conv.weight"] = kernel.reshape(WIDTH, WIDTH, 3)
    for i in range(LAYERS):
        for part in ("query", "key", "value", "pos_query", "pos_key"):
            weights.dense(f"encoder.layer.{i}.attention.self.{part}_proj", WIDTH, WIDTH)
        weights.rest_of_layer(f"encoder.layer.{i}")
    config = _SIZES | {
        "model_type": "deberta-v2",
        "architectures": ["DebertaV2Model"],
        "vocab_size": size,
        "position_biased_input": False,
        "relative_attention": True,
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "pos_att_type": "p2c|c2p",
        "conv_kernel_size": 3,
        "conv_act": "gelu",
    }
    return _write(folder, config, weights)


def marian_folder(folder: Path, languages: tuple[str, ...] = ()) -> Path:
    """Write a Marian with 64 positions."""
    marian(folder, languages)
    size = load_tokenizer(folder).vocab_size
    weights = Weights()
    weights.table("model.shared", size, 0.3)
    for side in ("encoder", "decoder"):
        for i in range(LAYERS):
            layer = f"model.{side}.layers.{i}"
            for attention in ("self_attn", *(["encoder_attn"] if side == "decoder" else [])):
                for part in ("q", "k", "v", "out"):
                    weights.dense(f"{layer}.{attention}.{part}_proj", WIDTH, WIDTH)
                weights.norm(f"{layer}.{attention}_layer_norm")
            weights.dense(f"{layer}.fc1", INNER, WIDTH)
            weights.dense(f"{layer}.fc2", WIDTH, INNER)
            weights.norm(f"{layer}.final_layer_norm")
    weights.tensors["final_logits_bias"] = np.zeros((1, size), np.float32)
    config = {
        "model_type": "marian",
        "architectures": ["MarianMTModel"],
        "vocab_size": size,
        "d_model": WIDTH,
        "encoder_layers": LAYERS,
        "decoder_layers": LAYERS,
        "encoder_attention_heads": HEADS,
        "decoder_attention_heads": HEADS,
        "encoder_ffn_dim": INNER,
        "decoder_ffn_dim": INNER,
        "max_position_embeddings": POSITIONS,
        "activation_function": "swish",
        "scale_embedding": True,
        "pad_token_id": size - 1,
        "eos_token_id": 0,
        "decoder_start_token_id": size - 1,
    }
    return _write(folder, config, weights)


def _write(folder: Path, config: dict[str, Any], weights: Weights) -> Path:
    write_safetensors(folder / "model.safetensors", weights.tensors)
    (folder / "config.json").write_text(json.dumps(config))
    return folder
