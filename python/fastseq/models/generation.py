"""How a model generates unless it is told otherwise: what its folder says, in the terms of the search."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastseq.search import GenerationConfig
from fastseq.search.rules import LIMITS

__all__ = ["GenerationDefaults"]

_DEFAULT_LENGTH = 256
_SCALARS = (bool, int, float, str, type(None))
_MOST_KNOWN = 64  # sets of options that a model remembers
# What would change the result, and the value with which it does not.
_UNSUPPORTED: dict[str, Any] = {"guidance_scale": 1, "stop_strings": [], "watermarking_config": {}}


@dataclass(frozen=True)
class GenerationDefaults:
    """The options of a search that a model brings along.

    Parameters
    ----------
    config : GenerationConfig
        Without limits of length it means 256 tokens, or what the positions of the model allow.
    start_id : int
        What the decoder reads first.
    eos_ids : tuple of int
        Any of them ends a sequence.

    Examples
    --------
    >>> GenerationDefaults.read({"num_beams": 4, "eos_token_id": [2, 5], "use_cache": True}, start_id=1, eos_id=2)
    GenerationDefaults(config=GenerationConfig(num_beams=4, ...), start_id=1, eos_ids=(2, 5))
    """

    config: GenerationConfig
    start_id: int
    eos_ids: tuple[int, ...]
    # Checking the options takes longer than a step of a small model, and most calls have those of the call before.
    _known: dict[Any, GenerationDefaults] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def read(cls, values: Mapping[str, Any], *, start_id: int, eos_id: int) -> GenerationDefaults:
        """Make them of what `generation_config.json` holds; what does not concern the search is passed over.

        Parameters
        ----------
        values : mapping
        start_id, eos_id : int
            Where `values` do not say.

        Raises
        ------
        TypeError, ValueError
            If a value is wrong.
        """
        for name, without in _UNSUPPORTED.items():
            if values.get(name) not in (None, without):
                raise ValueError(f"{name} is {str(values[name])[:60]}; it is not supported")
        known = {field.name for field in dataclasses.fields(GenerationConfig)}
        options = {name: value for name, value in values.items() if name in known and value is not None}
        for length, new_tokens in LIMITS:
            if new_tokens in options:
                options.pop(length, None)  # as transformers has it
        start, eos = values.get("decoder_start_token_id"), values.get("eos_token_id")
        return cls(
            GenerationConfig(**options),
            _token("decoder_start_token_id", start_id if start is None else start),
            _tokens("eos_token_id", eos_id if eos is None else eos),
        )

    def override(self, options: dict[str, Any]) -> GenerationDefaults:
        """Return the same with other fields of `GenerationConfig`, `decoder_start_token_id` or `eos_token_id`."""
        # With their types: 1, 1.0 and True are equal, but not all of them are right.
        key = tuple((name, type(options[name]), options[name]) for name in sorted(options))
        if any(kind not in _SCALARS for _, kind, _ in key):
            return self._override(options)
        found = self._known.get(key)
        if found is None:
            found = self._override(options)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = found
        return found

    def _override(self, options: dict[str, Any]) -> GenerationDefaults:
        rest = dict(options)
        start, eos = rest.pop("decoder_start_token_id", None), rest.pop("eos_token_id", None)
        return GenerationDefaults(
            self.config.override(**rest),
            self.start_id if start is None else _token("decoder_start_token_id", start),
            self.eos_ids if eos is None else _tokens("eos_token_id", eos),
        )

    def within(self, position_limit: int | None) -> GenerationDefaults:
        """Return the same with a length that the model has positions for."""
        most = _DEFAULT_LENGTH if position_limit is None else min(_DEFAULT_LENGTH, position_limit + 1)
        config = self.config
        if config.max_length is None and config.max_new_tokens is None:
            return dataclasses.replace(self, config=config.override(max_length=most))
        if position_limit is not None and config.max_length is not None and config.max_length > position_limit + 1:
            return dataclasses.replace(self, config=config.override(max_length=position_limit + 1))
        if position_limit is not None and config.max_new_tokens is not None and config.max_new_tokens > position_limit:
            return dataclasses.replace(self, config=config.override(max_new_tokens=position_limit))
        return self

    def resolve(self, vocab_size: int, **inputs: Any) -> dict[str, Any]:
        """Return the options as the backends take them, ids checked; `inputs` go to `GenerationConfig.resolve`."""
        for name, tokens in (("decoder_start_token_id", (self.start_id,)), ("eos_token_id", self.eos_ids)):
            for token in tokens:
                if token >= vocab_size:
                    raise ValueError(f"{name} is {token}; expected an id below {vocab_size}")
        return self.config.resolve(start_id=self.start_id, eos_id=self.eos_ids, **inputs)


def _token(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is {value!r}; expected a token id")
    token = operator.index(value)
    if not 0 <= token < 2**31:
        raise ValueError(f"{name} is {token}; expected an id from 0 to 2**31 - 1")
    return token


def _tokens(name: str, value: Any) -> tuple[int, ...]:
    return tuple(_token(name, item) for item in (value if isinstance(value, Iterable) else (value,)))
