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
    architectures = fields.get("architectures")
    name = str(architectures[0]) if isinstance(architectures, list) and architectures else "Model"
    tasks = _TASKS if classifiers else {}
    for suffix, task in tasks.items():
        if name.endswith(suffix):
            return task
    generates = "For" not in name.replace("ForConditionalGeneration", "")
    if not generates or name.endswith(("Encoder", "Decoder", "DecoderWrapper")):
        known = ["Model", "ForConditionalGeneration", *tasks]
        fields.problem(f"architectures is {name!r}; expected one that ends with {', '.join(known)}")
    return None


def head_sources(task: ClassifierTask) -> Sources:
    """Return the sources of a head."""
    if task == "question-answering":
        return linear("head.output", "qa_outputs")
    theirs = "classification_head"
    return linear("head.dense", f"{theirs}.dense") | linear("head.output", f"{theirs}.out_proj")
