"""A folder of a translation model with random weights, of the size of OPUS-MT's: 6 + 6 layers of width 512, 300 MB."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.models.families import find_family
from fastseq.models.families.fields import Fields
from fastseq.weights import write_safetensors

__all__ = ["CONFIG", "convert", "write_marian_base"]

CONFIG: dict[str, Any] = {
    "model_type": "marian",
    "architectures": ["MarianMTModel"],
    "vocab_size": 58101,
    "d_model": 512,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048,
    "max_position_embeddings": 512,
    "activation_function": "swish",
    "scale_embedding": True,
    "pad_token_id": 58100,
    "eos_token_id": 0,
    "bos_token_id": None,
    "decoder_start_token_id": 58100,
    "forced_eos_token_id": None,
    "is_encoder_decoder": True,
}


def write_marian_base(folder: Path, seed: int = 0) -> Path:
    """Write `config.json` and `model.safetensors` of float32 numbers, the same for every seed."""
    folder.mkdir(parents=True, exist_ok=True)
    published: Any = {"final_logits_bias": None}  # its name says that there is one
    blueprint = find_family("marian").read(Fields(CONFIG), published)
    generator = np.random.default_rng(seed)
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, shape in blueprint.config.tensor_shapes().items():
        for stored, wanted in blueprint.sources[name].stored_shapes(shape).items():
            prefix = "" if stored == "final_logits_bias" else "model."
            tensors[prefix + stored] = _random(generator, stored, wanted)
    # As in trained ones: decoding starts from the padding, whose embedding is zero.
    tensors["model.shared.weight"][CONFIG["pad_token_id"]] = 0.0
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return folder


def convert(hub: Path, target: Path, quantization: str | None = None) -> str:
    """Return the folder that CTranslate2 reads; it needs PyTorch and transformers."""
    from ctranslate2.converters import TransformersConverter

    class Converter(TransformersConverter):  # type: ignore[misc]
        """The random model has no text for its tokens: their numbers do."""

        def load_tokenizer(self, tokenizer_class: Any, model_name_or_path: str, **kwargs: Any) -> Any:
            vocab = {f"t{i}": i for i in range(CONFIG["vocab_size"])}
            names = {0: "</s>", 1: "<unk>", CONFIG["pad_token_id"]: "<pad>"}
            for i, name in names.items():
                del vocab[f"t{i}"]
                vocab[name] = i
            return SimpleNamespace(get_vocab=lambda: vocab, eos_token="</s>", unk_token="<unk>")

    return str(Converter(str(hub)).convert(str(target), quantization=quantization, force=True))


def _random(generator: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Large enough that the next token depends on everything; norms near 1."""
    numbers = generator.standard_normal(shape, np.float32)
    if len(shape) < 2:
        mean, deviation = (1.0, 0.1) if "norm" in name and name.endswith("weight") else (0.0, 0.05)
    else:
        mean, deviation = 0.0, 0.05 if "shared" in name else 2 / shape[1] ** 0.5
    numbers *= np.float32(deviation)
    numbers += np.float32(mean)
    return numbers
