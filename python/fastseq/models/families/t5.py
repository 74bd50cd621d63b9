"""T5, T5 v1.1, FLAN-T5, mT5 and umT5 (Raffel et al., 2020; Xue et al., 2021; Chung et al., 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.families.positions import relative_biases
from fastseq.models.families.sources import Computed, Sources, Stored, attention, is_copy, linear, norm
from fastseq.models.kinds import EncoderConfig, EncoderDecoderConfig
from fastseq.models.stack import Activation, StackConfig
from fastseq.weights import StoredTensor

__all__ = ["FAMILY", "MT5", "UMT5"]


def _read(model_type: str, fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    kind = fields.architecture("ForConditionalGeneration", ["ForConditionalGeneration", "EncoderModel", "Model"])
    encoder = _stack(model_type, fields, fields.layers("num_layers"), is_decoder=False)
    if kind == "EncoderModel":
        return _encoder_blueprint(model_type, fields, stored, encoder)
    decoder = _stack(model_type, fields, fields.layers("num_decoder_layers", len(encoder.layers)), is_decoder=True)
    names = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    embedding = next((name for name in names if name in stored), names[0])
    tied = "lm_head.weight" not in stored or is_copy(stored, "lm_head.weight", embedding)
    # The first T5 tied and scaled; T5 v1.1 and umT5 do neither, and say so by tie_word_embeddings; mT5 never scales.
    scaled = model_type != "mt5" and fields.flag("scale_decoder_outputs", fields.flag("tie_word_embeddings", True))
    config = EncoderDecoderConfig(
        model_type=model_type,
        encoder=encoder,
        decoder=decoder,
        shared_embedding=True,
        tie_output=tied,
        output_bias=False,
        logits_scale=encoder.hidden_size**-0.5 if scaled else 1.0,
        pad_token_id=fields.token("pad_token_id", 0),
        bos_token_id=fields.token("decoder_start_token_id", fields.token("pad_token_id", 0)),
        eos_token_id=fields.first_token("eos_token_id", 1),
    )
    sources = _sources(fields, "encoder", encoder) | _sources(fields, "decoder", decoder)
    sources["decoder.embedding.weight"] = Stored(embedding)
    if not tied:
        sources["output.weight"] = Stored("lm_head.weight")
    ignored = (
        r"((encoder|decoder)\.embed_tokens|lm_head)\.weight",
        r"decoder\..*\.EncDecAttention\.relative_attention_bias\.weight",
    )
    return Blueprint(config=config, sources=sources, ignored=ignored)


def _encoder_blueprint(
    model_type: str, fields: Fields, stored: Mapping[str, StoredTensor], encoder: StackConfig
) -> Blueprint:
    """The encoder alone, of a folder that may have the whole model's weights."""
    own = "encoder.embed_tokens.weight"  # what is computed with where it is not the shared one
    sources = _sources(fields, "encoder", encoder)
    sources["encoder.embedding.weight"] = Stored(own if own in stored else "shared.weight")
    config = EncoderConfig(
        model_type=model_type,
        encoder=encoder,
        task="feature-extraction",
        id2label={},
        pad_token_id=fields.token("pad_token_id", 0),
    )
    return Blueprint(config=config, sources=sources, ignored=(r"decoder\..*", r"(shared|lm_head)\.weight"))


def _stack(model_type: str, fields: Fields, layers: tuple[int, ...], *, is_decoder: bool) -> StackConfig:
    usual = "relu" if model_type == "t5" else "gated-gelu"
    kind = fields.get("feed_forward_proj", usual)
    gated = fields.flag("is_gated_act", isinstance(kind, str) and kind.startswith("gated-"))
    # What is called gelu there is the approximation.
    activation: Activation = "gelu_tanh"
    if fields.get("dense_act_fn") is not None:  # follows from feed_forward_proj unless it is written
        activation = fields.activation("dense_act_fn", "relu")
    elif kind != "gated-gelu":
        activation = fields.activation("feed_forward_proj", usual, "gated-")
    buckets = fields.size("relative_attention_num_buckets", 32)
    farthest = fields.positions("relative_attention_max_distance", 128)
    exact = buckets // (2 if is_decoder else 4)  # for one distance each; half of an encoder's are for those that follow
    if not 1 <= exact < farthest:
        fields.problem(f"{buckets} buckets of relative positions do not fit a largest distance of {farthest}")
    return StackConfig(
        vocab_size=fields.size("vocab_size"),
        hidden_size=fields.size("d_model"),
        layers=layers,
        num_heads=fields.size("num_heads"),
        head_size=fields.size("d_kv"),
        intermediate_size=fields.size("d_ff"),
        activation=activation,
        gated=gated,
        bias=False,
        norm="rms",
        norm_eps=fields.number("layer_norm_epsilon", 1e-6),
        norm_first=True,
        final_norm=True,
        relative_positions=farthest,
        relative_layers=model_type == "umt5",
        attention_scale=1.0,
        cross_attention=is_decoder,
    )


def _sources(fields: Fields, part: str, stack: StackConfig) -> Sources:
    heads, buckets = stack.num_heads, fields.size("relative_attention_num_buckets", 32)
    expand = partial(relative_biases, bidirectional=part == "encoder", max_distance=stack.relative_positions)
    sources: Sources = norm(f"{part}.norm", f"{part}.final_layer_norm", bias=False)
    for i in stack.layers if stack.relative_layers else (0,):
        table = {f"{part}.block.{i}.layer.0.SelfAttention.relative_attention_bias.weight": (buckets, heads)}
        owner = f"{part}.layers.{i}" if stack.relative_layers else part
        sources[f"{owner}.relative_bias.weight"] = Computed(expand, table)
    for i in stack.layers:
        ours, theirs = f"{part}.layers.{i}", f"{part}.block.{i}.layer"
        for number, name in enumerate(stack.attentions):
            inside = f"{theirs}.{number}.{'EncDecAttention' if number else 'SelfAttention'}"
            sources |= attention(f"{ours}.{name}", [f"{inside}.{which}" for which in "qkvo"], bias=False)
            sources |= norm(f"{ours}.norm{number + 1}", f"{theirs}.{number}.layer_norm", bias=False)
        last = len(stack.attentions)
        dense = f"{theirs}.{last}.DenseReluDense"
        sources |= linear(f"{ours}.linear1", f"{dense}.{'wi_1' if stack.gated else 'wi'}", bias=False)
        if stack.gated:
            sources |= linear(f"{ours}.gate", f"{dense}.wi_0", bias=False)
        sources |= linear(f"{ours}.linear2", f"{dense}.wo", bias=False)
        sources |= norm(f"{ours}.norm{last + 1}", f"{theirs}.{last}.layer_norm", bias=False)
    return sources


FAMILY = Family(partial(_read, "t5"), prefix="")
MT5 = Family(partial(_read, "mt5"), prefix="")
UMT5 = Family(partial(_read, "umt5"), prefix="")
