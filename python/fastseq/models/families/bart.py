"""BART (Lewis et al., 2020)."""

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
        "bart",
        norm_first=False,
        embedding_norm=True,
        positions="learned",
        activation="gelu",
        eos_token_id=2,
        pad_token_id=1,
        decoder_start_token_id=2,
        classifier_start="start_token",
    )


FAMILY = Family(_read, prefix="model.")
