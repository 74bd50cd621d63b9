"""From text to text: a pipeline is a model with what stands before and after it.

Each task is one file here and one line in the table below.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

__all__ = ["pipeline"]

_TASKS = {
    "pronounce": ("fastseq.pipelines.pronounce", "Pronouncer"),
    "translation": ("fastseq.pipelines.text2text", "Translation"),
    "summarization": ("fastseq.pipelines.text2text", "Summarization"),
    "text2text-generation": ("fastseq.pipelines.text2text", "Text2Text"),
    "text-generation": ("fastseq.pipelines.text_generation", "TextGeneration"),
    "text-classification": ("fastseq.pipelines.text_classification", "TextClassification"),
    "zero-shot-classification": ("fastseq.pipelines.zero_shot", "ZeroShotClassification"),
    "token-classification": ("fastseq.pipelines.token_classification", "TokenClassification"),
    "question-answering": ("fastseq.pipelines.question_answering", "QuestionAnswering"),
    "feature-extraction": ("fastseq.pipelines.feature_extraction", "FeatureExtraction"),
    "sentence-similarity": ("fastseq.pipelines.sentence_similarity", "SentenceSimilarity"),
}
_ALIASES = {
    "grapheme-to-phoneme": "pronounce",
    "sentiment-analysis": "text-classification",
    "ner": "token-classification",
}
_TRANSLATION = re.compile(r"translation_\w+_to_\w+")


def pipeline(task: str, model: Any = None, **options: Any) -> Any:
    """Make the pipeline for a task.

    Parameters
    ----------
    task : str
        "pronounce" (or "grapheme-to-phoneme"), "translation" (or "translation_xx_to_yy"), "summarization",
        "text2text-generation", "text-generation", "text-classification" (or "sentiment-analysis"),
        "zero-shot-classification", "token-classification" (or "ner"), "question-answering", "feature-extraction",
        "sentence-similarity".
    model : str, path or model
        A model folder, a file of another toolkit, the name of a model on the Hugging Face hub, or what `load_model`
        returned. Only "pronounce" has a bundled one by default.
    **options
        Further arguments of the task's class: `backend`, `compute_type`, `tokenizer`, `batch_size`, `progress`, and
        options of the call that become its defaults.

    Returns
    -------
    callable
        Call it with a text, a list of texts, or an iterator of texts of any length.

    Raises
    ------
    FileNotFoundError
        If there is no such model.
    ValueError
        If there is no such task, or the model is for another; the message lists those there are.

    Examples
    --------
    >>> pronounce = pipeline("pronounce")
    >>> [word["pronunciation"] for word in pronounce("Green light")]
    ['G R IY1 N', 'L AY1 T']
    """
    name = _ALIASES.get(task, task)
    if isinstance(task, str) and _TRANSLATION.fullmatch(task):
        name = "translation"
        options["task"] = task
    if name not in _TASKS:
        known = ", ".join([*_TASKS, *_ALIASES])
        raise ValueError(f"no task {task!r}; expected one of {known}, or translation_xx_to_yy")
    module, kind = _TASKS[name]
    return getattr(importlib.import_module(module), kind)(model, **options)
