"""Blenderbot (Roller et al., 2021)."""

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
        "blenderbot",
        norm_first=True,
        embedding_norm=False,
        positions="learned",
        activation="gelu",
        eos_token_id=2,
        pad_token_id=0,
        decoder_start_token_id=1,
        position_offset=0,
    )


FAMILY = Family(_read, prefix="model.")
