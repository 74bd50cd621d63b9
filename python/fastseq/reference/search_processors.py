"""What changes the scores of the next token before the search chooses, as logits_process.py of transformers does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Processor", "Row", "make_processors"]

Array: TypeAlias = NDArray[Any]
Options: TypeAlias = dict[str, Any]


@dataclass
class Row:
    """What a processor may know of the row whose next token is chosen."""

    sentence: int
    ids: list[int]  # so far, with the start token
    prompt_length: int  # how many of them were given
    max_length: int


Processor: TypeAlias = Callable[[Array, Row], None]  # changes scores (V,) in place


def make_processors(options: Options) -> tuple[list[Processor], list[Processor]]:
    """Return those that `options` ask for, in Hugging Face's order: before and after prefix_allowed_tokens_fn."""
    before: list[tuple[bool, Callable[[Options], Processor]]] = [
        (bool(options["sequence_bias"]), lambda o: _sequence_bias(o["sequence_bias"])),
        (options["encoder_repetition_penalty"] != 1.0, _encoder_repetition),
        (options["repetition_penalty"] != 1.0, _repetition),
        (options["no_repeat_ngram_size"] > 0, _no_repeat_ngram),
        (options["encoder_no_repeat_ngram_size"] > 0, _encoder_no_repeat_ngram),
        (bool(options["bad_words_ids"]), _bad_words),
        (options["min_length"] > 1 or options["min_new_tokens"] > 0, _min_length),
    ]
    after: list[tuple[bool, Callable[[Options], Processor]]] = [
        (options["forced_bos_token_id"] is not None, _forced_bos),
        (bool(options["forced_eos_token_id"]), _forced_eos),
        (options["remove_invalid_values"], lambda o: _remove_invalid_values),
        (options["exponential_decay_length_penalty"] is not None, _exponential_decay),
        (bool(options["suppress_tokens"]), _suppress),
        (bool(options["begin_suppress_tokens"]), _begin_suppress),
    ]
    parts = [[make(options) for wanted, make in part if wanted] for part in (before, after)]
    return parts[0], parts[1]


def _sequence_bias(biases: Sequence[tuple[Sequence[int], float]]) -> Processor:
    # One-token biases first, as in Hugging Face, or the last bit of a sum would differ.
    ordered = sorted(biases, key=lambda item: len(item[0]) > 1)

    def process(scores: Array, row: Row) -> None:
        total = np.zeros_like(scores)
        for tokens, bias in ordered:
            *before, last = tokens
            if before == row.ids[len(row.ids) - len(before) :] and len(before) <= len(row.ids):
                total[last] += scores.dtype.type(bias)
        scores += total

    return process


def _penalise(scores: Array, ids: Sequence[int], penalty: float) -> None:
    tokens = np.unique(np.array([token for token in ids if token < len(scores)], np.int64))
    factor = scores.dtype.type(penalty)
    chosen = scores[tokens]
    scores[tokens] = np.where(chosen < 0, chosen * factor, chosen / factor)


def _repetition(options: Options) -> Processor:
    return lambda scores, row: _penalise(scores, row.ids, options["repetition_penalty"])


def _encoder_repetition(options: Options) -> Processor:
    penalty, sources = 1.0 / options["encoder_repetition_penalty"], options["encoder_input_ids"]
    return lambda scores, row: _penalise(scores, sources[row.sentence], penalty)


def _forbid_followers(scores: Array, ids: Sequence[int], text: Sequence[int], size: int) -> None:
    """Forbid every token that follows the last ``size - 1`` of `ids` somewhere in `text`."""
    if len(ids) < size - 1:
        return
    prefix = list(ids[len(ids) - size + 1 :])
    for begin in range(len(text) - size + 1):
        last = text[begin + size - 1]
        if list(text[begin : begin + size - 1]) == prefix and last < len(scores):
            scores[last] = -np.inf


def _no_repeat_ngram(options: Options) -> Processor:
    return lambda scores, row: _forbid_followers(scores, row.ids, row.ids, options["no_repeat_ngram_size"])


def _encoder_no_repeat_ngram(options: Options) -> Processor:
    size, sources = options["encoder_no_repeat_ngram_size"], options["encoder_input_ids"]
    return lambda scores, row: _forbid_followers(scores, row.ids, sources[row.sentence], size)


def _bad_words(options: Options) -> Processor:
    ends = [(token,) for token in options["eos_ids"]]
    return _sequence_bias([(words, -np.inf) for words in options["bad_words_ids"] if tuple(words) not in ends])


def _min_length(options: Options) -> Processor:
    def process(scores: Array, row: Row) -> None:
        generated = len(row.ids) - row.prompt_length
        if len(row.ids) < options["min_length"] or generated < options["min_new_tokens"]:
            scores[options["eos_ids"]] = -np.inf

    return process


def _keep_only(scores: Array, tokens: Sequence[int]) -> None:
    scores[:] = -np.inf
    scores[list(tokens)] = 0.0


def _forced_bos(options: Options) -> Processor:
    def process(scores: Array, row: Row) -> None:
        if len(row.ids) == 1:
            _keep_only(scores, [options["forced_bos_token_id"]])

    return process


def _forced_eos(options: Options) -> Processor:
    def process(scores: Array, row: Row) -> None:
        if len(row.ids) == row.max_length - 1:
            _keep_only(scores, options["forced_eos_token_id"])

    return process


def _remove_invalid_values(scores: Array, row: Row) -> None:
    limits = np.finfo(scores.dtype)
    np.nan_to_num(scores, copy=False, nan=0.0, posinf=limits.max, neginf=limits.min)


def _exponential_decay(options: Options) -> Processor:
    start, factor = options["exponential_decay_length_penalty"]

    def process(scores: Array, row: Row) -> None:
        steps = len(row.ids) - row.prompt_length - start
        if steps > 0:
            raise_by = scores.dtype.type(factor**steps - 1.0)
            for eos in options["eos_ids"]:
                if np.isfinite(scores[eos]):
                    scores[eos] += abs(scores[eos]) * raise_by

    return process


def _suppress(options: Options) -> Processor:
    def process(scores: Array, row: Row) -> None:
        scores[list(options["suppress_tokens"])] = -np.inf

    return process


def _begin_suppress(options: Options) -> Processor:
    def process(scores: Array, row: Row) -> None:
        # A forced first token is not what the list is about: the one after it is.
        after_bos = row.prompt_length == 1 and options["forced_bos_token_id"] is not None
        if len(row.ids) == row.prompt_length + after_bos:
            scores[list(options["begin_suppress_tokens"])] = -np.inf

    return process
