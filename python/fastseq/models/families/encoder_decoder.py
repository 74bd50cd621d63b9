"""Encoder-decoders of BERT's descendants (Rothe et al., 2020): BERT2BERT, RoBERTa2RoBERTa and the like."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from fastseq.models.families.bert_layout import bert_stack, bert_stack_sources
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.families.sources import Sources, Stored, is_copy, linear, norm
from fastseq.models.kinds import EncoderDecoderConfig
from fastseq.models.stack import Activation, StackConfig
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]

# The types of encoders and decoders, and what begins the names of a decoder's tensors.
_TYPES = {
    "bert": "bert.",
    "bert-generation": "bert.",
    "camembert": "roberta.",
    "roberta": "roberta.",
    "xlm-roberta": "roberta.",
}


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    parts = {name: fields.part(name) for name in ("encoder", "decoder")}
    types = {name: _type(part) for name, part in parts.items()}
    encoder, decoder = (_stack(parts[name], types[name], is_decoder=name == "decoder") for name in parts)
    projected = encoder.hidden_size != decoder.hidden_size
    # Where it is written there is no projection, and the parts fit only if they are equally wide.
    parts["decoder"].require("cross_attention_hidden_size", [decoder.hidden_size])
    if projected and parts["decoder"].get("cross_attention_hidden_size") is not None:
        parts["decoder"].problem(f"hidden_size is {decoder.hidden_size}; expected the encoder's, {encoder.hidden_size}")
    sources, ignored = _decoder_sources(parts["decoder"], types["decoder"], decoder, stored)
    sources |= bert_stack_sources(encoder, "encoder", "encoder.")
    if projected:
        sources |= linear("memory_projection", "enc_to_dec_proj")
    for name, part in parts.items():
        fields.include(name, part)

    # As for generation, the decoder says what the whole does not.
    ids = fields.over("decoder")
    starts = ("decoder_start_token_id", "bos_token_id")
    start = next((name for name in starts if ids.get(name) is not None), starts[0])
    config = EncoderDecoderConfig(
        model_type="encoder-decoder",
        encoder=encoder,
        decoder=decoder,
        shared_embedding=False,
        tie_output="output.weight" not in sources,
        output_bias=True,
        output_dense="output.dense.weight" in sources,
        output_activation=_head_activation(types["decoder"], decoder),
        memory_projection=projected,
        pad_token_id=ids.token("pad_token_id", 0),
        bos_token_id=ids.token(start),
        eos_token_id=ids.first_token("eos_token_id"),
    )
    if decoder.position_offset and config.bos_token_id == decoder.position_offset - 1:
        fields.problem(f"{start} is pad_token_id, which has no position")
    return Blueprint(config=config, sources=sources, ignored=ignored)


def _type(part: Fields) -> str:
    model_type = part.get("model_type")
    if isinstance(model_type, str) and model_type in _TYPES:
        return model_type
    part.problem(f"model_type is {str(model_type)[:60]!r}; expected one of {', '.join(_TYPES)}")
    return "bert"


def _stack(fields: Fields, model_type: str, *, is_decoder: bool) -> StackConfig:
    offset = fields.token("pad_token_id", 1) + 1 if _TYPES[model_type] == "roberta." else 0
    stack = bert_stack(fields, position_offset=offset, token_types=0 if model_type == "bert-generation" else 2)
    for name in ("is_decoder", "add_cross_attention"):
        if fields.flag(name, False) != is_decoder:
            fields.problem(f"{name} is {not is_decoder}; expected {is_decoder}")
    return dataclasses.replace(stack, cross_attention=is_decoder)


def _head_activation(model_type: str, decoder: StackConfig) -> Activation:
    if model_type == "bert-generation":
        return "none"
    return decoder.activation if model_type == "bert" else "gelu"


def _decoder_sources(
    fields: Fields, model_type: str, decoder: StackConfig, stored: Mapping[str, StoredTensor]
) -> tuple[Sources, tuple[str, ...]]:
    """Where the decoder and the output layer come from, and what may be there beside them.

    A tied weight may be stored under either name. The bias has two names as well: ``decoder.bias`` is what is added,
    and has the numbers of ``bias``, or is not stored, unless the weight is not tied.
    """
    head, inner = "decoder.cls.predictions" if model_type == "bert" else "decoder.lm_head", _TYPES[model_type]
    weight, bias = f"{head}.decoder.weight", f"{head}.decoder.bias"
    names = (f"decoder.{inner}embeddings.word_embeddings.weight", weight)
    embedding = next((name for name in names if name in stored), names[0])
    sources = bert_stack_sources(decoder, "decoder", f"decoder.{inner}")
    sources["decoder.embedding.weight"] = Stored(embedding)
    sources["output.bias"] = Stored(bias if bias in stored else f"{head}.bias")
    tied = is_copy(stored, weight, embedding) if weight in stored else fields.flag("tie_word_embeddings", True)
    if not tied:
        sources["output.weight"] = Stored(weight)
    if model_type == "bert":
        sources |= linear("output.dense", f"{head}.transform.dense")
        sources |= norm("output.norm", f"{head}.transform.LayerNorm")
    elif model_type != "bert-generation":
        sources |= linear("output.dense", f"{head}.dense") | norm("output.norm", f"{head}.layer_norm")
    ignored = (r"(.*\.)?(position_ids|token_type_ids)", r"(encoder|decoder\.\w+)\.pooler\..*")
    return sources, (*ignored, *map(re.escape, (weight, bias, f"{head}.bias")))


FAMILY = Family(_read, prefix="")
