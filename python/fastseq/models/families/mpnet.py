"""MPNet (Song et al., 2020): BERT without token types, with T5's relative positions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial

from fastseq.models.families.bert_layout import Head, bert_stack, embedding_sources, encoder_blueprint
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.families.positions import relative_biases
from fastseq.models.families.sources import Computed, Sources, attention, linear, norm
from fastseq.models.stack import StackConfig
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]

_BUCKETS, _FARTHEST = 32, 128  # whatever the configuration says


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    fields.require("relative_attention_num_buckets", [_BUCKETS])
    stack = bert_stack(fields, position_offset=2, token_types=0)
    stack = dataclasses.replace(stack, relative_positions=_FARTHEST)
    sources = embedding_sources(stack) | _sources(stack)
    table = {"encoder.relative_attention_bias.weight": (_BUCKETS, stack.num_heads)}
    expand = partial(relative_biases, bidirectional=True, max_distance=_FARTHEST)
    sources["encoder.relative_bias.weight"] = Computed(expand, table)
    head = Head(dense="classifier.dense", output="classifier.out_proj", activation="tanh")
    return encoder_blueprint(fields, "mpnet", stack, sources, head)


def _sources(stack: StackConfig) -> Sources:
    sources: Sources = {}
    for i in stack.layers:
        ours, theirs = f"encoder.layers.{i}", f"encoder.layer.{i}"
        sources |= attention(f"{ours}.self_attn", [f"{theirs}.attention.attn.{name}" for name in "qkvo"])
        sources |= norm(f"{ours}.norm1", f"{theirs}.attention.LayerNorm")
        sources |= linear(f"{ours}.linear1", f"{theirs}.intermediate.dense")
        sources |= linear(f"{ours}.linear2", f"{theirs}.output.dense")
        sources |= norm(f"{ours}.norm2", f"{theirs}.output.LayerNorm")
    return sources


FAMILY = Family(_read, prefix="mpnet.")
