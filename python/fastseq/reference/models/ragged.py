"""Ragged batches in groups of sentences of equal length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["groups", "of_sentences", "positions"]

Array: TypeAlias = NDArray[Any]

# Options with an entry for each sentence, or none.
_LISTS = ("prompt", "prefix", "encoder_input_ids")


def groups(offsets: Array, most: int) -> Iterator[Array]:
    """Indices of sentences of one length, at most `most` at a time."""
    lengths = np.diff(offsets)
    for length in np.unique(lengths):
        sentences = np.flatnonzero(lengths == length)
        for first in range(0, len(sentences), most):
            yield sentences[first : first + most]


def positions(offsets: Array, sentences: Array) -> Array:
    """Where the tokens of sentences of one length lie, (b, S)."""
    length = offsets[sentences[0] + 1] - offsets[sentences[0]]
    positions: Array = offsets[sentences][:, None] + np.arange(length)
    return positions


def of_sentences(options: dict[str, Any], sentences: Array) -> dict[str, Any]:
    """Return the options of a search for some of the sentences, which it then numbers from 0."""
    own = {name: [options[name][b] for b in sentences] for name in _LISTS if options[name]}
    if len(options["seed"]) > 1:
        own["seed"] = [options["seed"][b] for b in sentences]
    allow = options["prefix_allowed_tokens_fn"]
    if allow is not None:
        return options | own | {"prefix_allowed_tokens_fn": lambda b, ids: allow(int(sentences[b]), ids)}
    return options | own
