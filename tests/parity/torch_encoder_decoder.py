"""Encoder-decoders made of two of BERT's descendants, on small random configurations."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from test_family_encoders import BERT
from torch_families import randomise

PART: dict[str, Any] = BERT | {"vocab_size": 83}
ROBERTA: dict[str, Any] = PART | {"pad_token_id": 1, "type_vocab_size": 1}
GENERATION: dict[str, Any] = {name: value for name, value in PART.items() if name != "type_vocab_size"}
UNTIED: dict[str, Any] = {"tie_word_embeddings": False}
NARROW: dict[str, Any] = {"hidden_size": 20, "num_attention_heads": 2, "max_position_embeddings": 22}
# The classes and configurations of encoder and decoder.
CASES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "bert2bert": ("Bert", PART, "Bert", PART | {"hidden_act": "silu"}),
    "roberta2roberta": ("Roberta", ROBERTA, "Roberta", ROBERTA | UNTIED | {"hidden_act": "relu"}),
    "bert-generation": ("BertGeneration", GENERATION | {"hidden_act": "gelu_new"}, "BertGeneration", GENERATION),
    "wide-to-narrow": ("XLMRoberta", ROBERTA, "Bert", PART | NARROW | UNTIED),
    "narrow-to-wide": ("Bert", PART | NARROW | {"max_position_embeddings": 30}, "Camembert", ROBERTA),
}


def make(case: str, **options: Any) -> Any:
    """Padding is never written: RoBERTa has no position for it, and transformers one that depends on its cache.

    Feed-forward parts count for more than attention, and a unit of theirs is seldom active: see `randomise`.
    """
    encoder, encoder_values, decoder, decoder_values = CASES[case]
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(
        getattr(transformers, f"{encoder}Config")(**encoder_values),
        getattr(transformers, f"{decoder}Config")(**decoder_values),
        **{"decoder_start_token_id": 2, "eos_token_id": 0, "pad_token_id": 1, "vocab_size": 83, **options},
    )
    torch.manual_seed(0)
    model = randomise(transformers.EncoderDecoderModel(config), seed=2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("attention.output.dense.weight"):
                parameter.mul_(0.25)
            elif name.endswith("output.dense.weight"):
                parameter.mul_(10)
            elif name.endswith("intermediate.dense.weight"):
                parameter.mul_(1.5)
            elif name.endswith("intermediate.dense.bias"):
                parameter.sub_(3)
        model.get_output_embeddings().bias[1] = -100
    return model
