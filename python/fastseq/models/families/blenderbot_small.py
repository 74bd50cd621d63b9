"""Blenderbot 90M (Roller et al., 2021): its decoder normalises token embeddings before it adds positions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from fastseq import _backend
from fastseq.models.families.bart_layout import read_bart_layout
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.families.sources import Computed, Stored
from fastseq.models.kinds import EncoderDecoderConfig
from fastseq.models.stack import Shapes
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    blueprint = read_bart_layout(
        fields,
        stored,
        "blenderbot-small",
        norm_first=False,
        embedding_norm=True,
        positions="learned",
        activation="gelu",
        eos_token_id=2,
        pad_token_id=0,
        decoder_start_token_id=1,
        position_offset=0,
    )
    config, sources = blueprint.config, dict(blueprint.sources)
    embedding = sources["decoder.embedding.weight"]
    if not isinstance(config, EncoderDecoderConfig) or not isinstance(embedding, Stored):
        return blueprint
    # What is normalised depends on the token only, and is not scaled before: the decoder reads a table of normalised
    # embeddings, which is neither the encoder's nor the output layer's.
    decoder = config.decoder
    size, name = decoder.hidden_size, "decoder.layernorm_embedding"
    stored_shapes: Shapes = dict.fromkeys(embedding.names, (decoder.vocab_size, size))
    stored_shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    table = partial(_normalised, epsilon=decoder.norm_eps)
    sources.setdefault("encoder.embedding.weight", embedding)
    sources.setdefault("output.weight", embedding)
    sources["decoder.embedding.weight"] = Computed(table, stored_shapes)
    config = dataclasses.replace(
        config,
        decoder=dataclasses.replace(decoder, embedding_norm=False, embedding_scale=1.0),
        shared_embedding=False,
        tie_output=False,
    )
    return dataclasses.replace(blueprint, config=config, sources=sources)


def _normalised(embedding: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], *, epsilon: float) -> NDArray[Any]:
    normalised: NDArray[Any] = _backend.active().layer_norm(embedding, weight, bias, epsilon)
    return normalised


FAMILY = Family(_read, prefix="model.")
