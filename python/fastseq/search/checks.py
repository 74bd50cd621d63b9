"""Checks of the values of search options: each returns the value in its plain form, or raises with its name."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

__all__ = [
    "check_biases",
    "check_decay",
    "check_flag",
    "check_force_words",
    "check_integer",
    "check_length_penalty",
    "check_number",
    "check_seed",
    "check_token",
    "check_token_lists",
    "check_tokens",
]

Tokens: TypeAlias = tuple[int, ...]


def check_integer(name: str, value: Any, at_least: int) -> int:
    """Return `value` as an int; TypeError or ValueError with its name if it is none or too small."""
    if isinstance(value, bool):
        raise TypeError(f"{name} is {value}; expected an integer")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; expected an integer") from None
    if number < at_least:
        raise ValueError(f"{name} is {number}; expected at least {at_least}")
    return number


def check_number(name: str, value: Any, wanted: str, valid: Callable[[float], bool]) -> float:
    """Return `value` as a float for which `valid` holds, which the message calls `wanted`."""
    if isinstance(value, (str, bytes, bool)):
        raise TypeError(f"{name} is {value!r}; expected a number")
    try:
        number = float(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; expected a number") from None
    if not valid(number):
        raise ValueError(f"{name} is {number}; expected {wanted}")
    return number


def check_flag(name: str, value: Any) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; expected True or False")
    return value


def check_token(name: str, value: Any) -> int:
    """Return an id from 0 to 2**31 - 1."""
    token = check_integer(name, value, 0)
    if token > 2**31 - 1:
        raise ValueError(f"{name} is {token}; expected an id below 2**31")
    return token


def check_tokens(name: str, value: Any) -> Tokens:
    """Return the ids of an iterable, or the one id given."""
    if isinstance(value, (str, bytes, Mapping)):
        raise TypeError(f"{name} is {value!r}; expected ids")
    if not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        return (check_token(name, value),)
    return tuple(check_token(name, token) for token in value)


def check_token_lists(name: str, value: Any) -> tuple[Tokens, ...]:
    """Return sequences of ids, none of them empty."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is {value!r}; expected a list of lists of ids")
    lists = []
    for i, tokens in enumerate(value):
        if isinstance(tokens, (str, bytes)) or not isinstance(tokens, Iterable):
            raise TypeError(f"{name}[{i}] is {tokens!r}; expected a list of ids")
        lists.append(check_tokens(f"{name}[{i}]", tokens))
        if not lists[-1]:
            raise ValueError(f"{name}[{i}] is empty; expected at least one id")
    return tuple(lists)


def check_biases(name: str, value: Any) -> tuple[tuple[Tokens, float], ...]:
    """Return pairs of ids and bias from a mapping of tuples to numbers, or from pairs."""
    if not isinstance(value, (Mapping, list, tuple)):
        raise TypeError(f"{name} is {value!r}; expected a dictionary of token tuples and numbers")
    pairs = list(value.items()) if isinstance(value, Mapping) else [tuple(pair) for pair in value]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{name} is {value!r}; expected pairs of ids and a number")
    sequences = check_token_lists(name, [tokens for tokens, _ in pairs])
    biases = [
        check_number(f"{name}[{tokens}]", bias, "a number below infinity", lambda x: x < math.inf)
        for tokens, (_, bias) in zip(sequences, pairs, strict=True)
    ]
    return tuple(dict(zip(sequences, biases, strict=True)).items())


def check_decay(name: str, value: Any) -> tuple[int, float]:
    """Return a start and a factor."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise TypeError(f"{name} is {value!r}; expected (start, factor)")
    start = check_integer(f"{name}[0]", value[0], 0)
    return start, check_number(f"{name}[1]", value[1], "a number above 0", lambda x: 0.0 < x < math.inf)


def check_length_penalty(value: Any, max_length: int) -> float:
    """Return a length penalty whose power of every length is finite in float32."""
    wanted = f"a number whose power of max_length = {max_length} is finite in float32"
    # e ** 87 is near the largest float32.
    return check_number("length_penalty", value, wanted, lambda x: abs(x) * math.log(max(1, max_length)) <= 87.0)


def check_force_words(name: str, value: Any) -> tuple[tuple[Tokens, ...], ...]:
    """Return for each phrase its alternatives: a list of ids has itself only, a list of lists has them all."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is {value!r}; expected a list of phrases")
    phrases = []
    for i, phrase in enumerate(value):
        if isinstance(phrase, (str, bytes)) or not isinstance(phrase, Iterable):
            raise TypeError(f"{name}[{i}] is {phrase!r}; expected a list of ids, or of lists of ids")
        items = list(phrase)
        nested = bool(items) and isinstance(items[0], Iterable) and getattr(items[0], "ndim", 1) > 0
        phrases.append(check_token_lists(f"{name}[{i}]" if nested else name, items if nested else [items]))
    return tuple(phrases)


def check_seed(name: str, value: Any) -> tuple[int, ...]:
    """Return one seed, or one for each sentence."""
    seeds = [value] if not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0 else list(value)
    numbers = tuple(check_integer(name, seed, 0) for seed in seeds)
    for number in numbers:
        if number >= 2**64:
            raise ValueError(f"{name} is {number}; expected numbers below 2**64")
    return numbers
