"""Configurations and defaults as JSON, in files that come from anywhere."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from fastseq.models.config import ModelConfig
from fastseq.models.generation import GenerationDefaults
from fastseq.search import GenerationConfig

__all__ = ["describe", "describe_defaults", "read_defaults", "read_described"]

_Config = TypeVar("_Config")
_LARGEST = 2**31 - 1
_MOST_LAYERS, _MOST_DISTANCES = 1024, 1 << 22


def describe(config: Any) -> dict[str, Any]:
    """Return what `read_described` takes."""
    if isinstance(config, ModelConfig):
        return config.to_dict()
    values = dataclasses.asdict(config)
    if "id2label" in values:
        values["id2label"] = {str(label): name for label, name in values["id2label"].items()}
    return values


def read_described(cls: type[_Config], values: Any) -> _Config:
    """Make a configuration of what a file says.

    Raises
    ------
    ValueError
        Naming every unknown, missing and wrong field.

    Examples
    --------
    >>> from fastseq.models.kinds import DecoderConfig
    >>> read_described(DecoderConfig, {"model_type": "gpt2", "tie_output": 1, "bos_token_id": 0, "eos_token_id": 0})
    Traceback (most recent call last):
    ValueError: DecoderConfig: missing field decoder; tie_output is 1; expected true or false
    """
    if not isinstance(values, dict):
        raise ValueError(f"{cls.__name__} is {str(values)[:60]!r}; expected an object")
    if issubclass(cls, ModelConfig):
        config: Any = cls.from_dict(values)
        return config  # type: ignore[no-any-return]
    fields: Any = dataclasses.fields(cls)  # type: ignore[arg-type]
    hints = get_type_hints(cls)
    known = {field.name for field in fields}
    problems = [f"unknown field {str(name)[:60]}" for name in values if name not in known]
    given = {}
    for field in fields:
        if field.name in values:
            try:
                most = _MOST_DISTANCES if field.name == "relative_rows" else _MOST_LAYERS
                given[field.name] = _read(hints[field.name], values[field.name], most)
            except ValueError as error:
                problems.append(f"{field.name} is {str(values[field.name])[:60]}; expected {error}")
        elif field.default is dataclasses.MISSING:
            problems.append(f"missing field {field.name}")
    if problems:
        raise ValueError(f"{cls.__name__}: {'; '.join(problems[:20])}")
    return cls(**given)


def _read(hint: Any, value: Any, most: int) -> Any:
    """Return the value of a field; ValueError says what was expected."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else _read(arguments[0], value, most)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return read_described(hint, value)
    if origin is Literal:
        _expect(isinstance(value, str) and value in arguments, "one of " + ", ".join(arguments))
        return value
    if origin is tuple:
        of_sizes = arguments[0] is int
        fits = isinstance(value, list) and len(value) <= most
        fits = fits and all(map(_is_size if of_sizes else _is_number, value))
        _expect(fits, "whole numbers" if of_sizes else "numbers")
        return tuple(map(arguments[0], value))
    if origin is dict:
        named = isinstance(value, dict) and all(isinstance(name, str) for name in value.values())
        _expect(named and all(label.isascii() and label.isdigit() for label in value), "names of whole numbers")
        return {int(label): name for label, name in value.items()}
    if hint is float:
        _expect(_is_number(value), "a number")
        return float(value)
    if hint is int:
        _expect(_is_size(value), f"a whole number from 0 to {_LARGEST}")
    else:
        _expect(type(value) is hint, "true or false" if hint is bool else "a text")
    return value


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _expect(holds: bool, wanted: str) -> None:
    if not holds:
        raise ValueError(wanted)


def describe_defaults(defaults: GenerationDefaults) -> dict[str, Any]:
    """Return what `read_defaults` takes."""
    values = {name: value for name, value in vars(defaults.config).items() if value is not None}
    if isinstance(values.get("sequence_bias"), Mapping):
        values["sequence_bias"] = [[list(ids), bias] for ids, bias in values["sequence_bias"].items()]
    return {"options": values, "start_id": defaults.start_id, "eos_ids": list(defaults.eos_ids)}


def read_defaults(values: Any) -> GenerationDefaults:
    """Make the defaults of a search of what a file says.

    Raises
    ------
    TypeError, ValueError
        If a value is wrong.
    """
    options = values.get("options") if isinstance(values, dict) else None
    known = {field.name for field in dataclasses.fields(GenerationConfig)}
    if (
        not isinstance(options, dict)
        or not options.keys() <= known
        or values.keys() != {"options", "start_id", "eos_ids"}
    ):
        raise ValueError(f"generation is {str(values)[:60]!r}; expected options of a search, start_id and eos_ids")
    ends = {"decoder_start_token_id": values["start_id"], "eos_token_id": values["eos_ids"]}
    return GenerationDefaults.read(options | ends, start_id=0, eos_id=0)
