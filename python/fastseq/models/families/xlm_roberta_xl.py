"""XLM-RoBERTa-XL (Goyal et al., 2021): RoBERTa whose norms come first."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fastseq.models.families.bert_layout import Head, bert_stack, bert_stack_sources, encoder_blueprint
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.families.sources import norm
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    stack = bert_stack(fields, position_offset=fields.token("pad_token_id", 1) + 1, token_types=1, norm_eps=1e-5)
    stack = dataclasses.replace(stack, norm_first=True, final_norm=True, embedding_norm=False)
    head = Head(dense="classifier.dense", output="classifier.out_proj", activation="tanh")
    sources = bert_stack_sources(stack, norms=("self_attn_layer_norm", "LayerNorm"))
    return encoder_blueprint(fields, "xlm-roberta-xl", stack, sources | norm("encoder.norm", "encoder.LayerNorm"), head)


FAMILY = Family(_read, prefix="roberta.")
