"""XLM-RoBERTa-XL (Goyal et al., 2021): RoBERTa whose norms come first."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fastseq.models.families.bert_layout import Head, bert_stack, embedding_sources, encoder_blueprint
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.families.sources import Sources, attention, linear, norm
from fastseq.models.stack import StackConfig
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    stack = bert_stack(fields, position_offset=fields.token("pad_token_id", 1) + 1, token_types=1, norm_eps=1e-5)
    stack = dataclasses.replace(stack, norm_first=True, final_norm=True, embedding_norm=False)
    head = Head(dense="classifier.dense", output="classifier.out_proj", activation="tanh")
    return encoder_blueprint(fields, "xlm-roberta-xl", stack, embedding_sources(stack) | _sources(stack), head)


def _sources(stack: StackConfig) -> Sources:
    sources: Sources = norm("encoder.norm", "encoder.LayerNorm")
    for i in stack.layers:
        ours, theirs = f"encoder.layers.{i}", f"encoder.layer.{i}"
        inside = [f"{theirs}.attention.{name}" for name in ("self.query", "self.key", "self.value", "output.dense")]
        sources |= norm(f"{ours}.norm1", f"{theirs}.attention.self_attn_layer_norm")
        sources |= attention(f"{ours}.self_attn", inside)
        sources |= norm(f"{ours}.norm2", f"{theirs}.LayerNorm")
        sources |= linear(f"{ours}.linear1", f"{theirs}.intermediate.dense")
        sources |= linear(f"{ours}.linear2", f"{theirs}.output.dense")
    return sources


FAMILY = Family(_read, prefix="roberta.")
