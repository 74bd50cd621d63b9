"""The fields of a published `config.json`, read with checks: it may come from anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastseq.models.stack import Activation

__all__ = ["Fields"]

_LARGEST = 2**31 - 1
_MOST_LAYERS = 1024
_MOST_POSITIONS = 1 << 20
_ACTIVATIONS: dict[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
    "linear": "none",
}


class Fields:
    """The values of a configuration; what is wrong with them is collected, and named all at once by `check`.

    Examples
    --------
    >>> fields = Fields({"d_model": "wide", "dropout": 0.1})
    >>> width, layers = fields.size("d_model"), fields.size("encoder_layers", 6)
    >>> fields.check()
    Traceback (most recent call last):
    ValueError: d_model is 'wide'; expected a whole number from 1 to 2147483647
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self._problems: list[str] = []

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value unchecked; null is as good as absent."""
        value = self.values.get(name)
        return default if value is None else value

    def _whole(self, name: str, value: Any, least: int, most: int) -> int:
        if value is None:
            self._problems.append(f"{name} is missing")
        elif isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self._problems.append(f"{name} is {_short(value)}; expected a whole number from {least} to {most}")
        else:
            return value
        return least

    def size(self, name: str, default: int | None = None) -> int:
        """Return a size of at least 1."""
        return self._whole(name, self.get(name, default), 1, _LARGEST)

    def count(self, name: str, default: int | None = None) -> int:
        """Return a number of at least 0."""
        return self._whole(name, self.get(name, default), 0, _LARGEST)

    def layers(self, name: str, default: int | None = None) -> tuple[int, ...]:
        """Return 0, 1, 2, ... for a number of layers."""
        return tuple(range(self._whole(name, self.get(name, default), 0, _MOST_LAYERS)))

    def positions(self, name: str, default: int | None = None) -> int:
        """Return a number of positions."""
        return self._whole(name, self.get(name, default), 1, _MOST_POSITIONS)

    def token(self, name: str, default: int | None = None) -> int:
        """Return a token id."""
        return self._whole(name, self.get(name, default), 0, _LARGEST)

    def first_token(self, name: str, default: int | None = None) -> int:
        """Return a token id, the first where there are several."""
        value = self.get(name, default)
        return self._whole(name, value[0] if isinstance(value, list) and value else value, 0, _LARGEST)

    def number(self, name: str, default: float) -> float:
        """Return a number above 0."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            self._problems.append(f"{name} is {_short(value)}; expected a number above 0")
            return default
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self.get(name, default)
        if not isinstance(value, bool):
            self._problems.append(f"{name} is {_short(value)}; expected true or false")
            return default
        return value

    def activation(self, name: str, default: str, prefix: str = "") -> Activation:
        """Return an activation by the name that Hugging Face has for it, perhaps after a prefix."""
        value = self.get(name, default)
        if not isinstance(value, str) or value.removeprefix(prefix) not in _ACTIVATIONS:
            self._problems.append(f"{name} is {_short(value)}; expected one of {', '.join(_ACTIVATIONS)}")
            return "relu"
        return _ACTIVATIONS[value.removeprefix(prefix)]

    def architecture(self, default: str, endings: Sequence[str]) -> str:
        """Return which of the endings, the first that fits, the name of the model's class has."""
        value = self.get("architectures", [])
        name = value[0] if isinstance(value, list) and value else default
        ending = next((ending for ending in endings if str(name).endswith(ending)), None)
        if ending is None:
            self._problems.append(f"architectures is {_short(name)}; expected one that ends with {', '.join(endings)}")
        return ending or default

    def require(self, name: str, wanted: Sequence[Any]) -> None:
        """Refuse what is not supported; absent is fine."""
        value = self.get(name)
        if value is not None and value not in wanted:
            self._problems.append(f"{name} is {_short(value)}; expected {' or '.join(map(repr, wanted))}")

    def part(self, name: str) -> Fields:
        """Return the fields of a configuration inside this one, whose problems are to be included."""
        value = self.get(name)
        if isinstance(value, dict):
            return Fields(value)
        self._problems.append(f"{name} is {_short(value)}; expected an object")
        return Fields({})

    def over(self, name: str) -> Fields:
        """Return these fields and, where they say nothing, those of a configuration inside; one list of problems."""
        inner = self.get(name)
        given = {key: value for key, value in self.values.items() if value is not None}
        fields = Fields({**(inner if isinstance(inner, dict) else {}), **given})
        fields._problems = self._problems
        return fields

    def head_size(self, hidden_size: int, num_heads: int) -> int:
        """Return the width of a head where the heads share the hidden size."""
        if hidden_size % num_heads:
            self._problems.append(f"{num_heads} heads do not divide a hidden size of {hidden_size}")
        return max(1, hidden_size // num_heads)

    def problem(self, text: str) -> None:
        """Add something that is wrong."""
        self._problems.append(text)

    def include(self, name: str, part: Fields) -> None:
        """Add what is wrong with a configuration inside this one."""
        self._problems += [f"{name}: {text}" for text in part._problems]

    def check(self) -> None:
        """Raise ValueError if anything was wrong."""
        if self._problems:
            raise ValueError("; ".join(dict.fromkeys(self._problems)))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
