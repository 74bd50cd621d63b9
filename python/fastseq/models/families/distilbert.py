"""DistilBERT (Sanh et al., 2019): BERT without token types, with names of its own."""

from __future__ import annotations

from collections.abc import Mapping

from fastseq.models.families.bert_layout import Head, embedding_sources, encoder_blueprint
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.families.sources import Sources, attention, linear, norm
from fastseq.models.stack import StackConfig
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    stack = _stack(fields)
    head = Head(dense="pre_classifier", output="classifier", activation="relu")
    return encoder_blueprint(fields, "distilbert", stack, embedding_sources(stack) | _sources(stack), head)


def _stack(fields: Fields) -> StackConfig:
    hidden, heads = fields.size("dim", 768), fields.size("n_heads", 12)
    head_size = fields.head_size(hidden, heads)
    fields.require("position_embedding_type", ["absolute"])
    return StackConfig(
        vocab_size=fields.size("vocab_size"),
        hidden_size=hidden,
        layers=fields.layers("n_layers", 6),
        num_heads=heads,
        head_size=head_size,
        intermediate_size=fields.size("hidden_dim", 3072),
        activation=fields.activation("activation", "gelu"),
        norm="layer",
        norm_eps=1e-12,
        norm_first=False,
        final_norm=False,
        embedding_norm=True,
        positions="table",
        max_positions=fields.positions("max_position_embeddings", 512),
        attention_scale=head_size**-0.5,
    )


def _sources(stack: StackConfig) -> Sources:
    sources: Sources = {}
    for i in stack.layers:
        ours, theirs = f"encoder.layers.{i}", f"transformer.layer.{i}"
        inside = [f"{theirs}.attention.{name}_lin" for name in ("q", "k", "v", "out")]
        sources |= attention(f"{ours}.self_attn", inside)
        sources |= norm(f"{ours}.norm1", f"{theirs}.sa_layer_norm")
        sources |= linear(f"{ours}.linear1", f"{theirs}.ffn.lin1") | linear(f"{ours}.linear2", f"{theirs}.ffn.lin2")
        sources |= norm(f"{ours}.norm2", f"{theirs}.output_layer_norm")
    return sources


FAMILY = Family(_read, prefix="distilbert.")
