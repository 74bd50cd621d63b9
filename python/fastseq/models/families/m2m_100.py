"""M2M-100 and NLLB (Fan et al., 2021; Costa-jussà et al., 2022)."""

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
        "m2m_100",
        norm_first=True,
        embedding_norm=False,
        positions="tensor2tensor",
        activation="relu",
        eos_token_id=2,
        pad_token_id=1,
        decoder_start_token_id=2,
    )


FAMILY = Family(_read, prefix="model.")
