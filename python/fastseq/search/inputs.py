"""What a search is told beside the fields of GenerationConfig: about each sentence, and functions of the caller."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.search.checks import check_tokens

__all__ = ["of_sentences", "resolve_inputs", "split_inputs"]

Ids: TypeAlias = NDArray[np.int64]
Scores: TypeAlias = NDArray[np.float32]

_NAMES = ("prompt", "prefix", "encoder_input_ids", "prefix_allowed_tokens_fn", "logits_processor")


def split_inputs(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (arguments of `GenerationConfig.resolve`, all others)."""
    inputs = {name: options[name] for name in _NAMES if name in options}
    return inputs, {name: value for name, value in options.items() if name not in _NAMES}


def resolve_inputs(
    prompt: Iterable[Any] | None,
    prefix: Iterable[Any] | None,
    encoder_input_ids: Iterable[Any] | None,
    prefix_allowed_tokens_fn: Any,
    logits_processor: Any,
) -> dict[str, Any]:
    """Return them as the search classes take them."""
    allow = prefix_allowed_tokens_fn
    if allow is not None and not callable(allow):
        raise TypeError(f"prefix_allowed_tokens_fn is {allow!r}; expected a function (sentence, ids) -> ids")
    if logits_processor is None:
        processors = []
    else:
        processors = [logits_processor] if callable(logits_processor) else list(logits_processor)
    for processor in processors:
        if not callable(processor):
            raise TypeError(f"logits_processor has {processor!r}; expected functions (ids, scores) -> scores")
    return {
        "prompt": _of_each("prompt", prompt),
        "prefix": _of_each("prefix", prefix),
        "encoder_input_ids": _of_each("encoder_input_ids", encoder_input_ids),
        "prefix_allowed_tokens_fn": None if allow is None else _checked_allowed(allow),
        "logits_processor": [_checked_processor(processor) for processor in processors],
    }


def _of_each(name: str, sentences: Iterable[Any] | None) -> list[tuple[int, ...]]:
    """Return the ids of each sentence; none for None."""
    if sentences is None:
        return []
    if isinstance(sentences, (str, bytes)) or not isinstance(sentences, Iterable):
        raise TypeError(f"{name} is {sentences!r}; expected ids of each sentence")
    return [check_tokens(f"{name}[{i}]", ids) for i, ids in enumerate(sentences)]


def of_sentences(options: dict[str, Any], first: int, count: int) -> dict[str, Any]:
    """Return resolved options for `count` sentences from `first` on, which a search then numbers from 0."""
    own = {
        name: options[name][first : first + count]
        for name in ("prompt", "prefix", "encoder_input_ids", "seed")
        if len(options[name]) > (name == "seed")
    }
    allow = options["prefix_allowed_tokens_fn"]
    if allow is not None:
        return options | own | {"prefix_allowed_tokens_fn": lambda b, ids: allow(first + b, ids)}
    return options | own


def _checked_allowed(allow: Callable[[int, Ids], Any]) -> Callable[[int, Ids], list[int]]:
    def allowed(sentence: int, ids: Ids) -> list[int]:
        tokens = allow(sentence, ids)
        try:
            numbers = [operator.index(token) for token in tokens]
        except TypeError:
            raise TypeError(f"prefix_allowed_tokens_fn returned {tokens!r}; expected ids") from None
        for number in numbers:
            if not 0 <= number < 2**31:
                raise ValueError(f"prefix_allowed_tokens_fn returned {number}; expected ids from 0 to 2**31 - 1")
        return numbers

    return allowed


def _checked_processor(process: Callable[[Ids, Scores], Any]) -> Callable[[Ids, Scores], Scores]:
    def processed(ids: Ids, scores: Scores) -> Scores:
        shape = scores.shape
        changed = process(ids, scores)
        array = np.asarray(changed.detach().cpu() if hasattr(changed, "detach") else changed)
        if array.dtype.kind != "f" or array.shape != shape:
            raise ValueError(
                f"logits_processor returned shape {array.shape} of {array.dtype}; expected floats of shape {shape}"
            )
        return np.ascontiguousarray(array, np.float32)

    return processed
