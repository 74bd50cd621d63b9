"""Folders of published families that lack something or say what is not supported: errors that name it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import fastseq

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import torch  # noqa: E402
from test_family_encoders import BERT  # noqa: E402
from test_family_seq2seq import T5  # noqa: E402
from torch_encoder_decoder import make  # noqa: E402

MODELS: dict[str, Any] = {
    "umt5": lambda: transformers.UMT5ForConditionalGeneration(transformers.UMT5Config(**T5)),
    "bert2bert": lambda: make("bert2bert"),
    "xlm-roberta-xl": lambda: transformers.XLMRobertaXLModel(transformers.XLMRobertaXLConfig(**BERT, pad_token_id=1)),
    "narrow-to-wide": lambda: make("narrow-to-wide"),
}


def write(model: Any, folder: Path, tensors: dict[str, Any], changes: dict[str, Any]) -> None:
    """Save a model, with other tensors and with other values in its configuration; None takes one away."""
    model.config.save_pretrained(folder)
    given = {name: tensor for name, tensor in (model.state_dict() | tensors).items() if tensor is not None}
    torch.save({name: tensor.clone() for name, tensor in given.items()}, folder / "pytorch_model.bin")
    values = json.loads((folder / "config.json").read_text())
    for path, value in changes.items():
        *outer, name = path.split(".")
        inner = values[outer[0]] if outer else values
        inner[name] = value
    (folder / "config.json").write_text(json.dumps(values))


BIAS = "block.1.layer.0.SelfAttention.relative_attention_bias.weight"
DAMAGE: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("umt5", {f"encoder.{BIAS}": None}, {}, [f"tensor encoder.{BIAS} is missing"]),
    (
        "umt5",
        {f"decoder.{BIAS}": torch.zeros(31, 3), "encoder.block.2.layer.0.layer_norm.weight": torch.zeros(24)},
        {},
        [f"tensor decoder.{BIAS} has shape (31, 3); expected (32, 3)", "block.2.layer.0.layer_norm.weight is not exp"],
    ),
    (
        "umt5",
        {},
        {"feed_forward_proj": "gated-mish", "dense_act_fn": None},
        ["feed_forward_proj is 'gated-mish'; expected one of relu"],
    ),
    ("umt5", {}, {"dense_act_fn": "mish", "d_kv": 0}, ["dense_act_fn is 'mish'; expected one of relu", "d_kv is 0"]),
    (
        "bert2bert",
        {
            "decoder.cls.predictions.transform.dense.weight": None,
            "decoder.bert.encoder.layer.1.crossattention.self.key.bias": torch.zeros(23),
            "enc_to_dec_proj.bias": torch.zeros(24),
        },
        {},
        [
            "tensor decoder.cls.predictions.transform.dense.weight is missing",
            "tensor decoder.bert.encoder.layer.1.crossattention.self.key.bias has shape (23,); expected (24,)",
            "tensor enc_to_dec_proj.bias is not expected",
        ],
    ),
    (
        "narrow-to-wide",
        {"enc_to_dec_proj.weight": None, "decoder.lm_head.layer_norm.bias": None},
        {},
        ["tensor enc_to_dec_proj.weight is missing", "tensor decoder.lm_head.layer_norm.bias is missing"],
    ),
    (
        "bert2bert",
        {},
        {
            "encoder.model_type": "gpt2",
            "encoder.is_decoder": True,
            "decoder.add_cross_attention": None,
            "decoder.hidden_act": "mish",
            "decoder.position_embedding_type": "relative_key",
            "eos_token_id": None,
        },
        [
            "encoder: model_type is 'gpt2'; expected one of bert, bert-generation, camembert, roberta, xlm-roberta",
            "encoder: is_decoder is True; expected False",
            "decoder: add_cross_attention is False; expected True",
            "decoder: hidden_act is 'mish'; expected one of relu",
            "decoder: position_embedding_type is 'relative_key'; expected 'absolute'",
            "eos_token_id is missing",
        ],
    ),
    (
        "xlm-roberta-xl",
        {
            "encoder.LayerNorm.weight": None,
            "encoder.layer.0.LayerNorm.bias": torch.zeros(37),
            "embeddings.LayerNorm.bias": torch.zeros(24),
        },
        {},
        [
            "tensor encoder.LayerNorm.weight is missing",
            "tensor encoder.layer.0.LayerNorm.bias has shape (37,); expected (24,)",
            "tensor embeddings.LayerNorm.bias is not expected",
        ],
    ),
    (
        "xlm-roberta-xl",
        {},
        {"position_embedding_type": "relative_key", "is_decoder": True, "hidden_act": "mish"},
        ["position_embedding_type is 'relative_key'", "is_decoder is True; expected False", "hidden_act is 'mish'"],
    ),
    (
        "narrow-to-wide",
        {},
        {"decoder.cross_attention_hidden_size": 20, "decoder_start_token_id": 1},
        [
            "decoder: hidden_size is 24; expected the encoder's, 20",
            "decoder_start_token_id is pad_token_id, which has no position",
        ],
    ),
    (
        "bert2bert",
        {},
        {"encoder": "bert", "decoder": None},
        ["encoder is 'bert'; expected an object", "decoder is None"],
    ),
]


@pytest.mark.parametrize("case", range(len(DAMAGE)))
def test_what_is_wrong_is_named(case: int, tmp_path: Path) -> None:
    name, tensors, changes, parts = DAMAGE[case]
    write(MODELS[name](), tmp_path, {}, {})
    fastseq.load_model(tmp_path)
    write(MODELS[name](), tmp_path, tensors, changes)
    with pytest.raises(ValueError, match=re.escape(parts[0])) as caught:
        fastseq.load_model(tmp_path)
    for part in parts:
        assert part in str(caught.value)
