"""What a search refuses in its options."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

__all__ = ["check_options", "named_tokens"]

Options: TypeAlias = dict[str, Any]
Check: TypeAlias = tuple[str, Any, bool, str]  # name, value, whether it is valid, what is wanted


def check_options(options: Options, batch_size: int) -> None:
    """Raise ValueError naming the first option out of its range."""
    checks = [("batch_size", batch_size, batch_size >= 0, "at least 0")]
    for name, value, valid, wanted in checks + _beams(options) + _lengths(options) + _processors(options):
        if not valid:
            raise ValueError(f"{name} is {value}; expected {wanted}")
    needs_source = options["encoder_repetition_penalty"] != 1.0 or options["encoder_no_repeat_ngram_size"] > 0
    counts = [("prompt", False), ("prefix", False), ("encoder_input_ids", needs_source)]
    if len(options["seed"]) != 1:
        counts.append(("seed", options["do_sample"]))
    for name, needed in counts:
        count = len(options[name])
        if count != batch_size and (needed or count):
            raise ValueError(f"{name} has {count} entries; expected one for each of the {batch_size} sentences")
    prompts = options["prompt"]
    for b, prompt in enumerate(prompts):
        if not prompt:
            raise ValueError(f"prompt[{b}] is empty; expected at least one token")
        if len(prompt) > 1:
            _check_room(options, f"prompt[{b}]", len(prompt), len(prompt))
        if options["logits_processor"] and len(prompt) != len(prompts[0]):
            raise ValueError(
                f"logits_processor needs prompts of one length; prompt[0] has {len(prompts[0])} tokens, prompt[{b}] has"
                f" {len(prompt)}"
            )
    for b, prefix in enumerate(options["prefix"]):
        if prefix:
            given = len(prompts[b]) if prompts else 1
            _check_room(options, f"prefix[{b}]", len(prefix), given + len(prefix))


def _check_room(options: Options, name: str, tokens: int, counted: int) -> None:
    limit = options["max_new_tokens"]
    if not (counted < options["max_length"] if limit is None else limit > 0):
        raise ValueError(
            f"{name} has {tokens} tokens, which leaves no room for others; expected a larger max_length or "
            "max_new_tokens"
        )


def named_tokens(options: Options) -> list[tuple[str, int]]:
    """Return (name of the option, token) for every token that has to be in the vocabulary."""
    named = [("eos_ids", token) for token in options["eos_ids"]]
    named += [("sequence_bias", token) for tokens, _ in options["sequence_bias"] for token in tokens]
    named += [("bad_words_ids", token) for tokens in options["bad_words_ids"] for token in tokens]
    if options["forced_bos_token_id"] is not None:
        named.append(("forced_bos_token_id", options["forced_bos_token_id"]))
    words = [tokens for alternatives in options["force_words_ids"] for tokens in alternatives]
    named += [("force_words_ids", token) for tokens in words for token in tokens]
    for name in ("forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens"):
        named += [(name, token) for token in options[name]]
    return named + [
        (f"{name}[{b}]", token)
        for name in ("prefix", "prompt")
        for b, tokens in enumerate(options[name])
        for token in tokens
    ]


def _beams(options: Options) -> list[Check]:
    num_beams, returned, groups = options["num_beams"], options["num_return_sequences"], options["num_beam_groups"]
    many = options["return_alternatives"] or (options["do_sample"] and num_beams == 1)
    words = options["force_words_ids"]
    special = (groups > 1) + bool(options["return_alternatives"]) + bool(options["do_sample"]) + bool(words)
    eos = set(options["eos_ids"])
    phrases_fit = all(alternatives and all(a and not eos & set(a) for a in alternatives) for alternatives in words)
    early_stopping, preset = options["early_stopping"], options["preset"]
    return [
        ("num_beams", num_beams, num_beams >= 1, "at least 1"),
        (
            "num_return_sequences",
            returned,
            returned >= 1 and (many or returned <= num_beams),
            f"1 to num_beams = {num_beams}",
        ),
        (
            "num_beam_groups",
            groups,
            groups >= 1 and num_beams % groups == 0,
            f"a divisor of num_beams = {num_beams}",
        ),
        _finite("diversity_penalty", options, "of at least 0", options["diversity_penalty"] >= 0.0),
        _finite("coverage_penalty", options, "of at least 0", options["coverage_penalty"] >= 0.0),
        _finite("patience", options, "above 0", options["patience"] > 0.0),
        (
            "num_beam_groups",
            groups,
            special <= 1,
            "at most one of num_beam_groups, return_alternatives, do_sample and force_words_ids",
        ),
        ("force_words_ids", words, phrases_fit, "phrases of at least one token, of other tokens than end tokens"),
        ("early_stopping", early_stopping, early_stopping in (True, False, "never"), "True, False or 'never'"),
        ("preset", repr(preset), preset in ("hf", "ct2", "marian"), "'hf', 'ct2' or 'marian'"),
    ]


def _lengths(options: Options) -> list[Check]:
    longest = max(1, options["max_length"])
    return [
        ("max_length", options["max_length"], options["max_length"] >= 1, "at least 1 (the start token counts)"),
        ("min_length", options["min_length"], options["min_length"] >= 0, "at least 0"),
        ("min_new_tokens", options["min_new_tokens"], options["min_new_tokens"] >= 0, "at least 0"),
        (
            "length_penalty",
            options["length_penalty"],
            abs(options["length_penalty"]) * math.log(longest) <= 87.0,  # e ** 87 is in float32
            "a number whose power of max_length is finite in float32",
        ),
    ]


def _processors(options: Options) -> list[Check]:
    decay = options["exponential_decay_length_penalty"]
    unit = {name: options[name] for name in ("top_p", "min_p", "typical_p", "top_h")}
    return [
        *(
            _finite(name, options, "above 0", options[name] > 0.0)
            for name in ("encoder_repetition_penalty", "repetition_penalty", "temperature")
        ),
        ("exponential_decay_length_penalty", decay, decay is None or 0.0 < decay[1] < math.inf, "a factor above 0"),
        *(
            (name, options[name], options[name] >= 0, "at least 0")
            for name in ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "top_k", "start_id")
        ),
        *((name, value, 0.0 <= value <= 1.0, "a number from 0 to 1") for name, value in unit.items()),
        ("typical_p", unit["typical_p"], unit["typical_p"] > 0.0, "a number above 0, at most 1"),
        *(
            (name, options[name], 0.0 <= options[name] < 1.0, "a number of at least 0, below 1")
            for name in ("epsilon_cutoff", "eta_cutoff")
        ),
        *((name, token, token >= 0, "at least 0") for name, token in named_tokens(options)),
    ]


def _finite(name: str, options: Options, range_: str, valid: bool) -> Check:
    return name, options[name], valid and math.isfinite(options[name]), f"a finite number {range_}"
