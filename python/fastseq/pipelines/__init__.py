"""From text to text: a pipeline is a model with what stands before and after it.

Each task is one file here and one line in the table below.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["pipeline"]

_TASKS = {
    "pronounce": ("fastseq.pipelines.pronounce", "Pronouncer"),
}
_ALIASES = {"grapheme-to-phoneme": "pronounce"}


def pipeline(task: str, model: Any = None, **options: Any) -> Any:
    """Make the pipeline for a task.

    Parameters
    ----------
    task : {"pronounce"}
        What to do; "grapheme-to-phoneme" is another name of "pronounce".
    model : str, path or Seq2SeqModel, optional
        The name of a bundled model, a model folder, or a model; each task has a bundled one by default.
    **options
        Further arguments of the task's class: see `fastseq.pipelines.pronounce.Pronouncer`.

    Returns
    -------
    callable
        Call it with a text or a list of texts.

    Raises
    ------
    ValueError
        If there is no such task; the message lists those there are.

    Examples
    --------
    >>> pronounce = pipeline("pronounce")
    >>> [word["pronunciation"] for word in pronounce("Green light")]
    ['G R IY1 N', 'L AY1 T']
    """
    name = _ALIASES.get(task, task)
    if name not in _TASKS:
        raise ValueError(f"no task {task!r}; expected one of {', '.join([*_TASKS, *_ALIASES])}")
    module, kind = _TASKS[name]
    return getattr(importlib.import_module(module), kind)(model, **options)
