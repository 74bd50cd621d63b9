"""ELECTRA's discriminator (Clark et al., 2020): BERT with narrower embeddings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fastseq.models.families.bert_layout import Head, bert_stack, bert_stack_sources, encoder_blueprint
from fastseq.models.families.blueprint import Blueprint, Family
from fastseq.models.families.fields import Fields
from fastseq.models.families.sources import linear
from fastseq.weights import StoredTensor

__all__ = ["FAMILY"]


def _read(fields: Fields, stored: Mapping[str, StoredTensor]) -> Blueprint:
    stack = bert_stack(fields)
    size = fields.size("embedding_size", 128)
    if size != stack.hidden_size:
        stack = dataclasses.replace(stack, embedding_size=size)
    sources = bert_stack_sources(stack)
    if stack.embedding_size:
        sources |= linear("encoder.embedding_projection", "embeddings_project")
    head = Head(dense="classifier.dense", output="classifier.out_proj", activation="gelu")
    return encoder_blueprint(fields, "electra", stack, sources, head)


FAMILY = Family(_read, prefix="electra.")
