"""Heads on BART's descendants: what `architectures` says, and where their tensors are."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fastseq.models.families.fields import Fields
from fastseq.models.families.sources import Sources, linear

__all__ = ["ClassifierStart", "ClassifierTask", "head_sources", "read_task"]

ClassifierStart: TypeAlias = Literal["start_token", "last_token"]
ClassifierTask: TypeAlias = Literal["text-classification", "question-answering"]

_TASKS: dict[str, ClassifierTask] = {
    "ForSequenceClassification": "text-classification",
    "ForQuestionAnswering": "question-answering",
}


def read_task(fields: Fields, classifiers: bool) -> ClassifierTask | None:
    """Return what the head is for, None if the model generates; parts of a model and other heads are a problem."""
    tasks = _TASKS if classifiers else {}
    ending = fields.architecture("Model", ["Model", "ForConditionalGeneration", *tasks])
    return tasks.get(ending)


def head_sources(task: ClassifierTask) -> Sources:
    """Return the sources of a head."""
    if task == "question-answering":
        return linear("head.output", "qa_outputs")
    theirs = "classification_head"
    return linear("head.dense", f"{theirs}.dense") | linear("head.output", f"{theirs}.out_proj")
