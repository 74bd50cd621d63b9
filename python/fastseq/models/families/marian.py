"""Marian: OPUS-MT's translation models (Junczys-Dowmunt et al., 2018)."""

from __future__ import annotations

from collections.abc import Mapping

from fastseq.models.families.bart_layout import read_bart_layout
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    return read_bart_layout(
        fields,
        stored,
        "marian",
        norm_first=False,
        embedding_norm=False,
        positions="marian",
        activation="gelu",
        eos_token_id=0,
        pad_token_id=58100,
        decoder_start_token_id=58100,
        separate_embeddings=not fields.flag("share_encoder_decoder_embeddings", True),
    )


FAMILY = Family(_read, prefix="model.")
