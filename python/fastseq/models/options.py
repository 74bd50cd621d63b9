"""The options of a search, as far as they must fit the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastseq.models.generation import GenerationDefaults
from fastseq.models.ragged import ragged
from fastseq.search import Outputs

__all__ = ["options_of", "resolve_options"]


def resolve_options(
    config: Any, defaults: GenerationDefaults, options: dict[str, Any], prefix: Any, sources: Sequence[Any]
) -> tuple[dict[str, Any], Outputs]:
    """Return the options of the search as the backends take them, and what else is wanted.

    Raises
    ------
    TypeError, ValueError
        If an option or the prefix is wrong, `max_length` is beyond the model's positions, or attention is wanted of a
        model without.
    """
    outputs, fields = Outputs.split(options)
    if outputs.attention and not config.attends:
        raise ValueError("return_attention is asked for; this model has no attention")
    if prefix is not None:
        ragged(prefix, None, config.target_vocab_size, "prefix")
    resolved = defaults.override(fields).resolve(config.target_vocab_size, prefix, sources)
    limit = config.position_limit
    if limit is not None and resolved["max_length"] > limit + 1:
        raise ValueError(
            f"max_length is {resolved['max_length']}; expected at most {limit + 1}: the model has {limit} positions"
        )
    return resolved, outputs


def options_of(options: dict[str, Any], first: int, last: int) -> dict[str, Any]:
    """Return the resolved options of the sentences from `first` to before `last`."""
    return options | {name: options[name][first:last] for name in ("prefix", "encoder_input_ids")}
