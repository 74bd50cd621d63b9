"""M2M-100 and NLLB (Fan et al., 2021; Costa-jussà et al., 2022)."""

from __future__ import annotations

from collections.abc import Mapping

from fastseq.models.families.bart_layout import read_bart_layout
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.kinds import EncoderDecoderConfig
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    blueprint = read_bart_layout(
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
    config = blueprint.config
    if isinstance(config, EncoderDecoderConfig):
        if config.bos_token_id == config.pad_token_id:
            fields.problem("decoder_start_token_id is pad_token_id, which has no position")
        if config.memory_size < 4:
            fields.problem(f"d_model is {config.memory_size}; expected at least 4 for sines and cosines")
    return blueprint


FAMILY = Family(_read, prefix="model.")
