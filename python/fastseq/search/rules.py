"""What the fields of GenerationConfig may be, each alone and all together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastseq.search.checks import (
    check_biases,
    check_decay,
    check_flag,
    check_force_words,
    check_integer,
    check_number,
    check_seed,
    check_token,
    check_token_lists,
    check_tokens,
)

if TYPE_CHECKING:
    from fastseq.search.config import GenerationConfig

__all__ = ["CHECKS", "LIMITS", "PRESETS", "check_together", "longest_length", "lowered_minima"]

# Two names of one limit.
LIMITS = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))
_MOST_ROWS = 1 << 16  # a number in a folder must not be able to fill the memory
PRESETS = ("hf", "ct2", "marian")


def _at_least(lowest: int) -> Callable[[str, Any], Any]:
    return lambda name, value: check_integer(name, value, lowest)


def _rows(name: str, value: Any) -> int:
    count = check_integer(name, value, 1)
    if count > _MOST_ROWS:
        raise ValueError(f"{name} is {count}; expected at most {_MOST_ROWS}")
    return count


def _number(wanted: str, valid: Callable[[float], bool]) -> Callable[[str, Any], Any]:
    return lambda name, value: check_number(name, value, wanted, valid)


def _preset(name: str, value: Any) -> str:
    if value not in PRESETS:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, PRESETS))}")
    return str(value)


def _early_stopping(name: str, value: Any) -> Any:
    if not isinstance(value, bool) and value != "never":
        raise ValueError(f"{name} is {value!r}; expected True, False or 'never'")
    return value


_POSITIVE = _number("a finite number above 0", lambda x: 0.0 < x < math.inf)
_PROBABILITY = _number("a number from 0 to 1", lambda x: 0.0 <= x <= 1.0)
_CUTOFF = _number("a number of at least 0, below 1", lambda x: 0.0 <= x < 1.0)

CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "num_beams": _rows,
    "num_return_sequences": _rows,
    "max_length": _at_least(1),
    "max_new_tokens": _at_least(0),
    "min_length": _at_least(0),
    "min_new_tokens": _at_least(0),
    "coverage_penalty": _number("a finite number of at least 0", lambda x: 0.0 <= x < math.inf),
    "early_stopping": _early_stopping,
    "patience": _POSITIVE,
    "preset": _preset,
    "num_beam_groups": _at_least(1),
    "diversity_penalty": _number("a finite number of at least 0", lambda x: 0.0 <= x < math.inf),
    "return_alternatives": check_flag,
    "force_words_ids": check_force_words,
    "do_sample": check_flag,
    "temperature": _POSITIVE,
    "top_k": _at_least(0),
    "top_p": _PROBABILITY,
    "min_p": _PROBABILITY,
    "typical_p": _number("a number above 0, at most 1", lambda x: 0.0 < x <= 1.0),
    "top_h": _PROBABILITY,
    "epsilon_cutoff": _CUTOFF,
    "eta_cutoff": _CUTOFF,
    "seed": check_seed,
    "sequence_bias": check_biases,
    "encoder_repetition_penalty": _POSITIVE,
    "repetition_penalty": _POSITIVE,
    "no_repeat_ngram_size": _at_least(0),
    "encoder_no_repeat_ngram_size": _at_least(0),
    "bad_words_ids": check_token_lists,
    "forced_bos_token_id": check_token,
    "forced_eos_token_id": check_tokens,
    "remove_invalid_values": check_flag,
    "exponential_decay_length_penalty": check_decay,
    "suppress_tokens": check_tokens,
    "begin_suppress_tokens": check_tokens,
    "renormalize_logits": check_flag,
}


def longest_length(config: GenerationConfig, prefix_length: int) -> int:
    """Return the largest number of tokens, the start token and a prefix counted."""
    if config.max_new_tokens is not None:
        return 1 + prefix_length + config.max_new_tokens
    return 256 if config.max_length is None else config.max_length


def lowered_minima(known: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, int]:
    """Return what becomes of known minima that give way to a maximum among the options.

    A maximum that the caller names counts before a minimum that he does not: as in transformers no sequence ends before
    it then. A minimum beside it among the options is the caller's own, and contradicts it or not.
    """
    least, least_new = LIMITS[1]
    if options.get(least) is not None or options.get(least_new) is not None:
        return {}
    most, most_new = (options.get(name) for name in LIMITS[0])
    if isinstance(most, int):
        most_new = most - 1
    bounds = {least: most, least_new: most_new}
    return {
        name: bound
        for name, bound in bounds.items()
        if isinstance(bound, int) and isinstance(known.get(name), int) and known[name] > bound
    }


def check_together(config: GenerationConfig) -> None:
    """Raise ValueError if fields contradict each other."""
    for length, new_tokens in LIMITS:
        if getattr(config, length) is not None and getattr(config, new_tokens) is not None:
            raise ValueError(f"both {length} and {new_tokens} are given; expected one of them")
    _check_lengths(config)
    _check_beams(config)
    suppressed = set(config.suppress_tokens or ())
    _check_words(config, suppressed)
    for name in ("forced_bos_token_id", "forced_eos_token_id"):
        forced = getattr(config, name)
        for token in () if forced is None else check_tokens(name, forced):
            if token in suppressed:
                raise ValueError(f"{name} is {token}, which suppress_tokens forbids")


def _check_lengths(config: GenerationConfig) -> None:
    longest = longest_length(config, 0)
    # Whether `min_length` contradicts `max_new_tokens` depends on the prefix or prompt, which it counts.
    total = config.min_length if config.max_new_tokens is None else None
    for name, shortest in (
        ("min_length", total),
        ("min_new_tokens", None if config.min_new_tokens is None else config.min_new_tokens + 1),
    ):
        if shortest is not None and shortest > longest:
            limit = "max_length" if config.max_new_tokens is None else "max_new_tokens"
            raise ValueError(
                f"{name} asks for {shortest} tokens with the start token; {limit} allows no more than {longest}"
            )


def _check_words(config: GenerationConfig, suppressed: set[int]) -> None:
    longest = longest_length(config, 0)
    bad_words = set(config.bad_words_ids or ())
    for i, alternatives in enumerate(config.force_words_ids or ()):
        shortest = min(map(len, alternatives))
        if shortest + 1 > longest:
            raise ValueError(
                f"force_words_ids[{i}] has {shortest} tokens; max_length leaves room for {longest - 1} of them"
            )
        if all(suppressed & set(tokens) or any(_contains(tokens, bad) for bad in bad_words) for tokens in alternatives):
            raise ValueError(f"force_words_ids[{i}] has tokens that suppress_tokens or bad_words_ids forbids")


def _contains(tokens: Any, part: Any) -> bool:
    return any(tokens[begin : begin + len(part)] == part for begin in range(len(tokens) - len(part) + 1))


def _check_beams(config: GenerationConfig) -> None:
    ways = {
        "num_beam_groups": config.num_beam_groups > 1,
        "return_alternatives": config.return_alternatives,
        "do_sample": config.do_sample,
        "force_words_ids": bool(config.force_words_ids),
    }
    chosen = [name for name, wanted in ways.items() if wanted]
    if len(chosen) > 1:
        raise ValueError(f"{chosen[0]} and {chosen[1]} are given; expected one of them")
    if config.num_beams % config.num_beam_groups:
        raise ValueError(
            f"num_beam_groups is {config.num_beam_groups}; expected a divisor of num_beams = {config.num_beams}"
        )
    if config.diversity_penalty and config.num_beam_groups == 1:
        raise ValueError(f"diversity_penalty is {config.diversity_penalty}; it needs num_beam_groups above 1")
    many = config.return_alternatives or (config.do_sample and config.num_beams == 1)
    if config.num_return_sequences > config.num_beams and not many:
        raise ValueError(
            f"num_return_sequences is {config.num_return_sequences}; expected at most num_beams = {config.num_beams}"
        )
    if config.patience != 1.0 and config.preset != "ct2" and config.early_stopping is not True:
        raise ValueError(f"patience is {config.patience}; it needs early_stopping=True or preset='ct2'")
