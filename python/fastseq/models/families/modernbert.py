"""ModernBERT (Warner et al., 2024): rotary positions, and windows of attention in most layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fastseq.models.families.bert_layout import Head, encoder_blueprint
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.families.sources import Part, Sources, Stored, linear, norm
from fastseq.models.stack import StackConfig
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    stack = _stack(fields)
    fields.require("classifier_pooling", ["cls", "mean"])
    head = Head(
        dense="head.dense",
        output="classifier",
        activation=fields.activation("classifier_activation", "gelu"),
        bias=fields.flag("classifier_bias", False),
        norm="head.norm",
        pooling="mean" if fields.get("classifier_pooling") == "mean" else "first",
        of_tokens=True,
    )
    blueprint = encoder_blueprint(fields, "modernbert", stack, _sources(stack), head)
    if blueprint.config.tensor_shapes().keys() & {"head.output.weight"}:
        return blueprint
    return dataclasses.replace(blueprint, ignored=(*blueprint.ignored, r"(head|decoder)\..*"))  # of masked tokens


def _stack(fields: Fields) -> StackConfig:
    hidden, heads = fields.size("hidden_size"), fields.size("num_attention_heads", 12)
    head_size = fields.head_size(hidden, heads)
    if head_size % 2:
        fields.problem(f"{heads} heads of a hidden size of {hidden} are {head_size} wide; expected an even width")
    fields.require("head_dim", [head_size])
    layers = fields.layers("num_hidden_layers", 22)
    kinds = _kinds(fields, len(layers))
    bases = _bases(fields)
    window = fields.size("local_attention", 128) // 2 + 1  # distances up to half of it
    bias = fields.flag("mlp_bias", False)
    return StackConfig(
        vocab_size=fields.size("vocab_size"),
        hidden_size=hidden,
        layers=layers,
        num_heads=heads,
        head_size=head_size,
        intermediate_size=fields.size("intermediate_size", 1152),
        activation=fields.activation("hidden_activation", "gelu"),
        gated=True,
        bias=bias,
        attention_bias=fields.flag("attention_bias", False),
        norm="layer",
        norm_eps=fields.number("norm_eps", 1e-5),
        norm_bias=fields.flag("norm_bias", False),
        norm_first=True,
        first_norm=False,
        final_norm=True,
        embedding_norm=True,
        max_positions=fields.positions("max_position_embeddings", 8192),
        rotary=tuple(bases[kind] for kind in kinds),
        windows=tuple(window if kind == _LOCAL else 0 for kind in kinds),
        attention_scale=head_size**-0.5,
    )


def _kinds(fields: Fields, count: int) -> list[str]:
    """Kinds of attention of the layers; older configurations say after how many layers one sees everything."""
    every = fields.size("global_attn_every_n_layers", 3)
    kinds = fields.get("layer_types", [_LOCAL if i % every else _GLOBAL for i in range(count)])
    if isinstance(kinds, list) and len(kinds) == count and all(kind in (_GLOBAL, _LOCAL) for kind in kinds):
        return kinds
    fields.problem(f"layer_types is {str(kinds)[:60]}; expected {_GLOBAL} or {_LOCAL} for each of {count} layers")
    return [_GLOBAL] * count


def _bases(fields: Fields) -> dict[str, float]:
    """Bases of the rotary angles by the kind of attention; older configurations have a field for each."""
    everywhere = fields.number("global_rope_theta", 160000.0)
    # The first releases let null stand for the other one.
    nearby = fields.number("local_rope_theta", everywhere if "local_rope_theta" in fields.values else 10000.0)
    if fields.get("rope_scaling") is not None:
        fields.problem(f"rope_scaling is {str(fields.get('rope_scaling'))[:60]}; expected none")
    given = fields.part("rope_parameters") if fields.get("rope_parameters") is not None else Fields({})
    bases = {}
    for kind, base in ((_GLOBAL, everywhere), (_LOCAL, nearby)):
        parameters = given.part(kind) if given.get(kind) is not None else Fields({})
        parameters.require("rope_type", ["default"])
        parameters.require("type", ["default"])
        bases[kind] = parameters.number("rope_theta", base)
        given.include(kind, parameters)
    for name in sorted(given.values.keys() - {_GLOBAL, _LOCAL}):
        given.problem(f"{name} is not expected")
    fields.include("rope_parameters", given)
    return bases


def _sources(stack: StackConfig) -> Sources:
    attention_bias, norm_bias = bool(stack.attention_bias), stack.norm_bias
    sources: Sources = {"encoder.embedding.weight": Stored("embeddings.tok_embeddings.weight")}
    sources |= norm("encoder.embedding_norm", "embeddings.norm", norm_bias)
    for i in stack.layers:
        ours, theirs = f"encoder.layers.{i}", f"layers.{i}"
        for kind in ("weight", "bias") if attention_bias else ("weight",):
            sources[f"{ours}.self_attn.in_proj_{kind}"] = Stored(f"{theirs}.attn.Wqkv.{kind}")
        sources |= linear(f"{ours}.self_attn.out_proj", f"{theirs}.attn.Wo", attention_bias)
        if i > 0:
            sources |= norm(f"{ours}.norm1", f"{theirs}.attn_norm", norm_bias)
        for kind in ("weight", "bias") if stack.bias else ("weight",):  # the activated half comes first
            sources[f"{ours}.gate.{kind}"] = Part(f"{theirs}.mlp.Wi.{kind}", 0, 2)
            sources[f"{ours}.linear1.{kind}"] = Part(f"{theirs}.mlp.Wi.{kind}", 1, 2)
        sources |= linear(f"{ours}.linear2", f"{theirs}.mlp.Wo", stack.bias)
        sources |= norm(f"{ours}.norm2", f"{theirs}.mlp_norm", norm_bias)
    return sources | norm("encoder.norm", "final_norm", norm_bias)


FAMILY = Family(_read, prefix="model.")
