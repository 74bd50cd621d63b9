"""RoBERTa, XLM-RoBERTa and CamemBERT (Liu et al., 2019; Conneau et al., 2020; Martin et al., 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from fastseq.models.families.bert_layout import Head, bert_stack, bert_stack_sources, encoder_blueprint
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.weights import StoredTensor

__all__ = ["CAMEMBERT", "FAMILY", "XLM_ROBERTA"]


def _read(model_type: str, fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    # Positions begin behind the padding id.
    stack = bert_stack(fields, position_offset=fields.token("pad_token_id", 1) + 1)
    head = Head(dense="classifier.dense", output="classifier.out_proj", activation="tanh")
    return encoder_blueprint(fields, model_type, stack, bert_stack_sources(stack), head)


FAMILY = Family(partial(_read, "roberta"), prefix="roberta.")
CAMEMBERT = Family(partial(_read, "camembert"), prefix="roberta.")
XLM_ROBERTA = Family(partial(_read, "xlm-roberta"), prefix="roberta.")
