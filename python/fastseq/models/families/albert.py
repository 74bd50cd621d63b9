"""ALBERT (Lan et al., 2020): BERT whose layers share their weights, with narrower embeddings."""

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
    stack = bert_stack(fields, activation="gelu_new")
    layers, inner = len(stack.layers), fields.size("inner_group_num", 1)
    groups = fields.size("num_hidden_groups", 1)
    if groups > max(1, layers) or inner > 64:
        fields.problem(f"{groups} groups of {inner} layers do not make {layers} layers")
        groups, inner = 1, 1
    # Layer i of the configuration is group i / (layers / groups), whose inner layers come one after the other.
    order = tuple(int(i / (layers / groups)) * inner + j for i in range(layers) for j in range(inner))
    stack = dataclasses.replace(stack, layers=order, embedding_size=fields.size("embedding_size", 128))
    sources = embedding_sources(stack) | _sources(stack, inner)
    head = Head(dense="pooler", output="classifier", activation="tanh")
    return encoder_blueprint(fields, "albert", stack, sources, head)


def _sources(stack: StackConfig, inner: int) -> Sources:
    sources: Sources = linear("encoder.embedding_projection", "encoder.embedding_hidden_mapping_in")
    for i in sorted(set(stack.layers)):
        ours = f"encoder.layers.{i}"
        theirs = f"encoder.albert_layer_groups.{i // inner}.albert_layers.{i % inner}"
        inside = [f"{theirs}.attention.{name}" for name in ("query", "key", "value", "dense")]
        sources |= attention(f"{ours}.self_attn", inside)
        sources |= norm(f"{ours}.norm1", f"{theirs}.attention.LayerNorm")
        sources |= linear(f"{ours}.linear1", f"{theirs}.ffn") | linear(f"{ours}.linear2", f"{theirs}.ffn_output")
        sources |= norm(f"{ours}.norm2", f"{theirs}.full_layer_layer_norm")
    return sources


FAMILY = Family(_read, prefix="albert.")
