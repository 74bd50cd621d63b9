"""The ranges of the options of a search."""

from __future__ import annotations

import math
from typing import Any

from fastseq.reference.search_processors import check_processors

__all__ = ["check_options"]


def check_options(options: dict[str, Any], batch_size: int) -> None:
    """ValueError naming the first option out of its range."""
    num_beams = options["num_beams"]
    early_stopping = options["early_stopping"]
    needs_source = options["encoder_repetition_penalty"] != 1.0 or options["encoder_no_repeat_ngram_size"] > 0
    longest = max(1, options["max_length"])
    room = options["max_length"] - 2 if options["max_new_tokens"] is None else math.inf
    ranges = [
        ("batch_size", batch_size, batch_size >= 0, "at least 0"),
        ("num_beams", num_beams, num_beams >= 1, "at least 1"),
        (
            "num_return_sequences",
            options["num_return_sequences"],
            1 <= options["num_return_sequences"] <= num_beams,
            f"1 to num_beams = {num_beams}",
        ),
        ("max_length", options["max_length"], options["max_length"] >= 1, "at least 1 (the start token counts)"),
        ("min_length", options["min_length"], options["min_length"] >= 0, "at least 0"),
        ("min_new_tokens", options["min_new_tokens"], options["min_new_tokens"] >= 0, "at least 0"),
        ("start_id", options["start_id"], options["start_id"] >= 0, "at least 0"),
        *check_processors(options),
        (
            "length_penalty",
            options["length_penalty"],
            abs(options["length_penalty"]) * math.log(longest) <= 87.0,  # e ** 87 is in float32
            "a number whose power of max_length is finite in float32",
        ),
        ("early_stopping", early_stopping, early_stopping in (True, False, "never"), "True, False or 'never'"),
    ]
    for name, needed in (("prefix", False), ("encoder_input_ids", needs_source)):
        count = len(options[name])
        ranges.append((name, f"of {count} entries", count == batch_size or not (count or needed), f"{batch_size}"))
    for b, prefix in enumerate(options["prefix"]):
        fits = not prefix or len(prefix) <= room
        ranges.append((f"prefix[{b}]", f"of {len(prefix)} tokens", fits, f"fewer than max_length - 1 = {room + 1}"))
    for name, value, valid, wanted in ranges:
        if not valid:
            raise ValueError(f"{name} is {value}; expected {wanted}")
