"""GPT-2 (Radford et al., 2019): a decoder alone. Its dense layers are stored the other way round."""

from __future__ import annotations

from collections.abc import Mapping

from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.families.sources import Sources, Stored, is_copy, norm
from fastseq.models.kinds import DecoderConfig
from fastseq.models.stack import StackConfig
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    fields.require("scale_attn_by_inverse_layer_idx", [False])
    fields.require("add_cross_attention", [False])
    stack = _stack(fields)
    eos = fields.first_token("eos_token_id", 50256)
    tied = fields.flag("tie_word_embeddings", True)
    if "lm_head.weight" in stored:
        tied = is_copy(stored, "lm_head.weight", "wte.weight")
    config = DecoderConfig(
        model_type="gpt2",
        decoder=stack,
        tie_output=tied,
        bos_token_id=fields.token("bos_token_id", eos),
        eos_token_id=eos,
    )
    sources = _sources(stack)
    if not tied:
        sources["output.weight"] = Stored("lm_head.weight")
    ignored = (r"h\.\d+\.attn\.(masked_)?bias", r"lm_head\.weight")  # masks, and the tied weight
    return Blueprint(config=config, sources=sources, ignored=ignored)


def _stack(fields: Fields) -> StackConfig:
    hidden, heads = fields.size("n_embd"), fields.size("n_head")
    head_size = fields.head_size(hidden, heads)
    return StackConfig(
        vocab_size=fields.size("vocab_size"),
        hidden_size=hidden,
        layers=fields.layers("n_layer"),
        num_heads=heads,
        head_size=head_size,
        intermediate_size=fields.size("n_inner", 4 * hidden),
        activation=fields.activation("activation_function", "gelu_new"),
        norm="layer",
        norm_eps=fields.number("layer_norm_epsilon", 1e-5),
        norm_first=True,
        final_norm=True,
        positions="table",
        max_positions=fields.positions("n_positions", 1024),
        attention_scale=head_size**-0.5 if fields.flag("scale_attn_weights", True) else 1.0,
    )


def _sources(stack: StackConfig) -> Sources:
    sources: Sources = norm("decoder.norm", "ln_f")
    sources["decoder.embedding.weight"] = Stored("wte.weight")
    sources["decoder.positions.weight"] = Stored("wpe.weight")
    for i in stack.layers:
        ours, theirs = f"decoder.layers.{i}", f"h.{i}"
        sources |= norm(f"{ours}.norm1", f"{theirs}.ln_1") | norm(f"{ours}.norm2", f"{theirs}.ln_2")
        for name, stored in (
            ("self_attn.in_proj_", "attn.c_attn."),
            ("self_attn.out_proj.", "attn.c_proj."),
            ("linear1.", "mlp.c_fc."),
            ("linear2.", "mlp.c_proj."),
        ):
            sources[f"{ours}.{name}weight"] = Stored(f"{theirs}.{stored}weight", transposed=True)
            sources[f"{ours}.{name}bias"] = Stored(f"{theirs}.{stored}bias")
    return sources


FAMILY = Family(_read, prefix="transformer.")
