"""FSMT: fairseq's translation models of WMT 2019 (Ng et al., 2019), with a vocabulary for each language."""

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
        "fsmt",
        norm_first=False,
        embedding_norm=False,
        positions="tensor2tensor",
        activation="relu",
        eos_token_id=2,
        pad_token_id=1,
        decoder_start_token_id=2,
        separate_embeddings=True,
        scale_embedding=True,
        vocab_sizes=("src_vocab_size", "tgt_vocab_size"),
        output="decoder.output_projection.weight",
    )


FAMILY = Family(_read, prefix="model.")
