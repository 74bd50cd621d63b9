"""The options of a search, as far as they must fit the model."""

from __future__ import annotations

from typing import Any

from fastseq.models.generation import GenerationDefaults
from fastseq.search import Outputs
from fastseq.search.inputs import split_inputs

__all__ = ["resolve_options"]


def resolve_options(
    config: Any, defaults: GenerationDefaults, options: dict[str, Any]
) -> tuple[dict[str, Any], Outputs]:
    """Return the options of the search as the backends take them, and what else is wanted.

    Raises
    ------
    TypeError, ValueError
        If an option is wrong, `max_length` is beyond the model's positions, or attention is wanted of a model without.
    """
    outputs, rest = Outputs.split(options)
    inputs, fields = split_inputs(rest)
    if outputs.attention and not config.attends:
        raise ValueError("return_attention is asked for; this model has no attention")
    resolved = defaults.override(fields).resolve(config.target_vocab_size, **inputs)
    for b, tokens in enumerate(resolved["prefix"]):
        for token in tokens:
            if not token < config.target_vocab_size:
                raise ValueError(f"prefix[{b}] has id {token}; expected ids below {config.target_vocab_size}")
    if resolved["coverage_penalty"] and not config.attends:
        raise ValueError(f"coverage_penalty is {resolved['coverage_penalty']}; this model has no attention")
    limit = config.position_limit
    if limit is not None and resolved["max_length"] > limit + 1:
        raise ValueError(
            f"max_length is {resolved['max_length']}; expected at most {limit + 1}: the model has {limit} positions"
        )
    return resolved, outputs
