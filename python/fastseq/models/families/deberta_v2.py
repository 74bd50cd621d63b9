"""DeBERTa v2 and v3 (He et al., 2021): BERT whose scores depend on vectors of distances."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq.models.families.bert_layout import Head, bert_stack, embedding_sources, encoder_blueprint
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.families.positions import deberta_rows
from fastseq.models.families.sources import Computed, Sources, attention, linear, norm
from fastseq.models.stack import Shapes, StackConfig
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]

Array = NDArray[np.float32]

# Stored and not needed: what predicts masked tokens, and tables that the configuration does not use.
_IGNORED = (r"(lm_predictions|mask_predictions)\..*",)


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    stack = bert_stack(fields, token_types=0, norm_eps=1e-7)
    fields.require("attention_head_size", [stack.head_size])
    for name in ("embedding_size", "pooler_hidden_size"):
        fields.require(name, [stack.hidden_size])
    kinds = _attention_types(fields)
    changes: dict[str, Any] = {"attention_scale": (stack.head_size * (1 + len(kinds))) ** -0.5}
    changes["token_types"] = fields.count("type_vocab_size", 0)
    ignored = list(_IGNORED)
    if not fields.flag("position_biased_input", True):
        changes |= {"positions": "none", "max_positions": 0}
        ignored.append(r"embeddings\.position_embeddings\..*")
    changes["convolution"] = fields.count("conv_kernel_size", 0)
    if changes["convolution"]:
        changes["convolution_activation"] = fields.activation("conv_act", "tanh")
        fields.require("conv_groups", [1])
        if changes["convolution"] % 2 == 0:
            fields.problem(f"conv_kernel_size is {changes['convolution']}; expected an odd number")
    relative = fields.flag("relative_attention", False)
    span, rows = _distances(fields) if relative else (0, ())
    if relative and kinds:
        changes |= {"relative_rows": rows, "relative_keys": "c2p" in kinds, "relative_queries": "p2c" in kinds}
    else:
        ignored.append(r"encoder\.(rel_embeddings|LayerNorm)\..*")
    stack = dataclasses.replace(stack, **changes)
    sources = embedding_sources(stack) | _sources(stack) | _distance_sources(stack, fields, span)
    head = Head("pooler.dense", "classifier", fields.activation("pooler_hidden_act", "gelu"))
    blueprint = encoder_blueprint(fields, "deberta-v2", stack, sources, head)
    return dataclasses.replace(blueprint, ignored=(*blueprint.ignored, *ignored))


def _attention_types(fields: Fields) -> set[str]:
    given = fields.get("pos_att_type", [])
    kinds = [kind.strip() for kind in given.lower().split("|")] if isinstance(given, str) else given
    known = {"c2p", "p2c"}
    if not isinstance(kinds, list) or any(not isinstance(kind, str) or kind not in {*known, ""} for kind in kinds):
        fields.problem(f"pos_att_type is {repr(given)[:60]}; expected c2p, p2c, both or none")
        return set()
    return known & set(kinds)


def _distances(fields: Fields) -> tuple[int, tuple[int, ...]]:
    """Half of the number of stored vectors, and which of them each distance has."""
    farthest, buckets = (fields.get(name, -1) for name in ("max_relative_positions", "position_buckets"))
    if farthest in (-1, 0):
        farthest = fields.positions("max_position_embeddings", 512)
    else:
        farthest = fields.positions("max_relative_positions")
    if buckets in (-1, 0):
        return farthest, deberta_rows(farthest, 0, farthest)
    buckets = fields.positions("position_buckets")
    if buckets % 2 or buckets > farthest or farthest == 2:
        fields.problem(f"position_buckets is {buckets}; expected an even number of at most {farthest} distances")
        return 1, deberta_rows(1, 0, 1)
    return buckets, deberta_rows(buckets, buckets, farthest)


def _sources(stack: StackConfig) -> Sources:
    sources: Sources = {}
    for i in stack.layers:
        ours, theirs = f"encoder.layers.{i}", f"encoder.layer.{i}"
        inside = [f"{theirs}.attention.self.{part}_proj" for part in ("query", "key", "value")]
        sources |= attention(f"{ours}.self_attn", [*inside, f"{theirs}.attention.output.dense"])
        sources |= norm(f"{ours}.norm1", f"{theirs}.attention.output.LayerNorm")
        sources |= linear(f"{ours}.linear1", f"{theirs}.intermediate.dense")
        sources |= linear(f"{ours}.linear2", f"{theirs}.output.dense")
        sources |= norm(f"{ours}.norm2", f"{theirs}.output.LayerNorm")
    if stack.convolution:
        theirs, shape = "encoder.conv", (stack.hidden_size, stack.hidden_size, stack.convolution)
        sources |= norm("encoder.convolution_norm", f"{theirs}.LayerNorm")
        sources |= linear("encoder.convolution", f"{theirs}.conv")
        sources["encoder.convolution.weight"] = Computed(_in_a_row, {f"{theirs}.conv.weight": shape})
    return sources


def _in_a_row(weight: Array) -> Array:
    """The weight of a convolution (O, I, K) as that of a dense layer of K tokens, (O, K * I)."""
    rows: Array = weight.transpose(0, 2, 1).reshape(len(weight), -1)
    return rows


def _distance_sources(stack: StackConfig, fields: Fields, span: int) -> Sources:
    """The vectors of each layer: those of all layers, normed, through the layer's projection of keys or queries."""
    shared = fields.flag("share_att_key", False)
    given = fields.get("norm_rel_ebd", "none")
    if not isinstance(given, str):
        fields.problem(f"norm_rel_ebd is {repr(given)[:60]}; expected 'layer_norm' or 'none'")
        return {}
    normed = "layer_norm" in [part.strip() for part in given.lower().split("|")]
    sources: Sources = {}
    hidden = stack.hidden_size
    for i in stack.layers:
        for kind, has in (("key", stack.relative_keys), ("query", stack.relative_queries)):
            layer = f"encoder.layer.{i}.attention.self.{'' if shared else 'pos_'}{kind}_proj"
            names: Shapes = {"encoder.rel_embeddings.weight": (2 * span, hidden)}
            names |= {f"{layer}.weight": (hidden, hidden), f"{layer}.bias": (hidden,)}
            if normed:
                names |= dict.fromkeys(("encoder.LayerNorm.weight", "encoder.LayerNorm.bias"), (hidden,))
            vectors = partial(_vectors, stack)
            plural = "keys" if kind == "key" else "queries"
            if has:
                sources[f"encoder.layers.{i}.self_attn.relative_{plural}.weight"] = Computed(vectors, names)
    return sources


def _vectors(stack: StackConfig, stored: Array, weight: Array, bias: Array, *norm: Array) -> Array:
    """Vectors by the distance key - query, (heads * V, head_size), of those by query - key (2 * span, hidden)."""
    functions = _backend.active()
    if norm:
        stored = functions.layer_norm(stored, *norm, stack.norm_eps)
    count = stack.relative_rows[-1] + 1
    projected: Array = functions.linear(stored, weight, bias)[::-1][:count]
    heads: Array = projected.reshape(count, stack.num_heads, stack.head_size).swapaxes(0, 1)
    return heads.reshape(-1, stack.head_size)


FAMILY = Family(_read, prefix="deberta.")
