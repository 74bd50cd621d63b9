"""The encoder of BertGeneration (Rothe et al., 2020): BERT without token types."""

from __future__ import annotations

from collections.abc import Mapping

from fastseq.models.families.bert_layout import Head, bert_stack, bert_stack_sources, encoder_blueprint
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    stack = bert_stack(fields, token_types=0)
    head = Head(dense="pooler.dense", output="classifier", activation="tanh")
    return encoder_blueprint(fields, "bert-generation", stack, bert_stack_sources(stack), head)


FAMILY = Family(_read, prefix="bert.")
