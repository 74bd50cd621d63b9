"""The activations that recurrent cells may have instead of tanh and sigmoid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastseq._checks import number

__all__ = ["Activation", "parse_activation", "parse_activations"]


class Activation(NamedTuple):
    """A function of the kernels and its parameters; those that it has not are 0."""

    name: str
    alpha: float = 0.0
    beta: float = 0.0


# Each name with its function, how many parameters a caller may give, and what they are without.
_KNOWN: dict[str, tuple[Activation, int]] = {
    "tanh": (Activation("tanh"), 0),
    "sigmoid": (Activation("sigmoid"), 0),
    "relu": (Activation("relu", np.inf), 0),
    "relu6": (Activation("relu", 6.0), 0),
    "linear": (Activation("affine", 1.0), 0),
    "affine": (Activation("affine", 1.0), 2),
    "leaky_relu": (Activation("leaky_relu", 0.01), 1),
    "thresholded_relu": (Activation("thresholded_relu", 1.0), 1),
    "scaled_tanh": (Activation("scaled_tanh", 1.0, 1.0), 2),
    "hard_sigmoid": (Activation("hard_sigmoid", 0.2, 0.5), 2),
    "elu": (Activation("elu", 1.0, 1.0), 1),
    "selu": (Activation("elu", 1.6732632423543772, 1.0507009873554805), 0),
    "softsign": (Activation("softsign"), 0),
    "softplus": (Activation("softplus"), 0),
    "silu": (Activation("silu"), 0),
    "gelu": (Activation("gelu"), 0),
    "exponential": (Activation("exponential"), 0),
}


def parse_activation(where: str, name: str, value: Any) -> Activation:
    """Return the activation of a name, or of a tuple of a name and its parameters alpha and beta.

    Raises
    ------
    TypeError, ValueError
        If it is not known, or has other parameters; the message names it.
    """
    if isinstance(value, Activation):
        return value
    given, *parameters = value if isinstance(value, Sequence) and not isinstance(value, str) and value else (value,)
    if not isinstance(given, str):
        raise TypeError(f"{where}: {name} is {value!r}; expected a name, or a tuple of a name and its parameters")
    if given not in _KNOWN:
        raise ValueError(f"{where}: {name} is {given!r}; expected one of {', '.join(map(repr, sorted(_KNOWN)))}")
    default, most = _KNOWN[given]
    if len(parameters) > most:
        raise ValueError(f"{where}: {name} {given!r} has {len(parameters)} parameters; expected at most {most}")
    checked: list[Any] = [
        number(where, f"parameter {i} of {name} {given!r}", value) for i, value in enumerate(parameters)
    ]
    return Activation(default.name, *checked, *default[1 + len(checked) :])


def parse_activations(where: str, name: str, value: Any, count: int, directions: int) -> list[tuple[Activation, ...]]:
    """Return `count` activations for each direction from as many in all, or from `count` that serve both.

    Raises
    ------
    TypeError, ValueError
        If they are another number, or one of them is wrong.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{where}: {name} is {value!r}; expected {count} names")
    if len(value) not in (count, count * directions):
        wanted = f"{count}" if directions == 1 else f"{count}, or {2 * count} for both directions"
        raise ValueError(f"{where}: {name} has {len(value)} items; expected {wanted}")
    names = [name] if len(value) == 1 else [f"{name}[{i}]" for i in range(len(value))]
    parsed = [parse_activation(where, *item) for item in zip(names, value, strict=True)]
    first = tuple(parsed[:count])
    return [first, tuple(parsed[count:]) or first][:directions]
