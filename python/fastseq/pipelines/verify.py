"""How far the fast path of a model is from the NumPy reference, stage by stage."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseq.models import JointNgram, load_model
from fastseq.models.hub import model_folder
from fastseq.models.prefix import encoder_prefixes
from fastseq.pipelines.base import positions_of

__all__ = ["Stage", "verify"]

# What two float32 computations of a deep model may differ by, relative to the largest number of the stage.
_TOLERANCE = 1e-3
_SAMPLE = (
    "The ship leaves the harbour at seven, and nobody waves.",
    "Prices rose by 3.5 % in 2021.",
    "Short.",
)
_LENGTHS = (24, 7, 1)  # of random sentences, where there is no tokenizer


@dataclass(frozen=True)
class Stage:
    """One stage of a model, computed by both.

    Attributes
    ----------
    name : str
    difference : float
        The largest absolute difference; of tokens, how many sentences differ.
    scale : float
        The largest absolute number of the reference; of tokens, the number of sentences.
    passed : bool
    """

    name: str
    difference: float
    scale: float
    passed: bool


def verify(
    model: str | os.PathLike[str],
    texts: Sequence[str] | None = None,
    *,
    compute_type: str = "float32",
    tolerance: float = _TOLERANCE,
) -> list[Stage]:
    """Run a model natively and on the NumPy reference, and compare.

    Parameters
    ----------
    model : str or path
        A model folder or the name of a model on the hub.
    texts : sequence of str, optional
        What both read; some sentences by default, or random ids if the folder has no tokenizer.
    compute_type : str, default "float32"
        Of the native model; the reference computes in float32.
    tolerance : float, default 1e-3
        Largest difference that passes, relative to the largest number of the stage.

    Returns
    -------
    list of Stage
        Of a Transformer's encoder "encoder layer 1" and so on: what leaves this layer after all before it. Then
        "encoder output", "logits" and "tokens", as far as the model has them. Tokens are greedy ones; those of a
        compute type with less precision may differ and are only counted.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, its folder is damaged, or it is no network.
    ImportError
        If the compiled extension does not load.
    """
    folder = model_folder(model)
    fast: Any = load_model(folder, compute_type, "native")
    if isinstance(fast, JointNgram):
        raise ValueError(f"model folder {str(folder)!r} is for {fast.task}; expected a network, whose layers differ")
    slow: Any = load_model(folder, "float32", "numpy")
    ids = _sample(folder, fast, texts)
    stages = [
        _compared(f"encoder layer {depth}", ours.encode(ids), theirs.encode(ids), tolerance)
        for depth, (ours, theirs) in enumerate(encoder_prefixes(slow, compute_type), 1)
    ]
    if hasattr(fast, "encode"):
        stages.append(_compared("encoder output", fast.encode(ids), slow.encode(ids), tolerance))
    if hasattr(fast, "generate"):
        # Greedy whatever the folder's defaults are: it is the search that sees every logit.
        plain = {"num_beams": 1, "num_return_sequences": 1, "max_new_tokens": 16}
        ours, theirs = ([g.tokens for g in one.generate(ids, **plain)] for one in (fast, slow))
        stages.append(_logits(fast, slow, ids, theirs, tolerance))
        wrong = sum(one != other for one, other in zip(ours, theirs, strict=True))
        stages.append(Stage("tokens", wrong, len(ids), not wrong or compute_type != "float32"))
    elif fast.task != "feature-extraction":
        stages.append(_compared("logits", fast.logits(ids), slow.logits(ids), tolerance))
    return stages


def _logits(fast: Any, slow: Any, ids: list[list[int]], targets: list[list[int]], tolerance: float) -> Stage:
    """Logits of both along the tokens of the reference."""
    if hasattr(fast, "decode"):
        start = slow.config.bos_token_id
        inputs = [[start, *target] for target in targets]
        return _compared("logits", fast.decode(ids, inputs), slow.decode(ids, inputs), tolerance)
    inputs = [[*prompt, *target] for prompt, target in zip(ids, targets, strict=True)]
    return _compared("logits", fast.logits(inputs), slow.logits(inputs), tolerance)


def _compared(name: str, ours: list[Any], theirs: list[Any], tolerance: float) -> Stage:
    finite = [np.isfinite(other) for other in theirs]  # what a model never says has logits of -inf
    pairs = [(one[keep], other[keep]) for one, other, keep in zip(ours, theirs, finite, strict=True)]
    difference = max((float(np.abs(one - other).max(initial=0)) for one, other in pairs), default=0.0)
    scale = max((float(np.abs(other).max(initial=0)) for _, other in pairs), default=0.0)
    alike = all(np.array_equal(np.isfinite(one), keep) for one, keep in zip(ours, finite, strict=True))
    return Stage(name, difference, scale, alike and difference <= tolerance * max(scale, 1.0))


def _sample(folder: Any, model: Any, texts: Sequence[str] | None) -> list[list[int]]:
    from fastseq.text import load_tokenizer

    limit = positions_of(model)
    try:
        tokenizer = load_tokenizer(folder)
    except FileNotFoundError:
        if texts is not None:
            raise
        size = getattr(model.config, "source_vocab_size", model.vocab_size)
        generator = np.random.default_rng(0)
        rows = [generator.integers(1, size, min(n, limit or n)).tolist() for n in _LENGTHS]
        end = getattr(model.config, "eos_token_id", None)
        if model.task == "text-classification" and end is not None:  # what is decoded there is classified
            rows = [[*row[:-1], end] for row in rows]
        return rows
    return [tokenizer.encode(text, max_length=limit).ids for text in (_SAMPLE if texts is None else texts)]
