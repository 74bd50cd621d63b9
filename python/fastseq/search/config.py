"""The options of greedy and beam search, with Hugging Face's names and meanings."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["GenerationConfig"]


@dataclass(frozen=True)
class GenerationConfig:
    """How to turn logits into sequences.

    Parameters
    ----------
    num_beams : int, default 1
        Sequences kept at every step; 1 is greedy search.
    num_return_sequences : int, default 1
        Hypotheses returned for each sentence, at most `num_beams`. There are fewer only if fewer exist.
    max_length : int, optional
        Largest number of tokens, the start token and the end token counted; 256 if `max_new_tokens` is not given
        either.
    max_new_tokens : int, optional
        The same without the start token: ``max_length - 1``. Give one of the two.
    min_length : int, optional
        No end token before there are this many tokens, the start token counted. 0 if `min_new_tokens` is not given
        either. Above `max_length` it means that no sequence ends with an end token.
    min_new_tokens : int, optional
        The same without the start token: ``min_length - 1``. Give one of the two.
    length_penalty : float, default 1.0
        Scores are sums of log-probabilities divided by the number of generated tokens to this power: above 0 favours
        long sequences, below 0 short ones.
    early_stopping : bool or "never", default False
        When the search of a sentence ends once `num_beams` hypotheses have finished. True: at once. False: when the
        best running beam, scored at its present length, does not beat the worst of them. ``"never"``: when it could
        not beat it at any length up to `max_length`.

    Raises
    ------
    TypeError
        If a value has the wrong type.
    ValueError
        If a value is out of its range, or both names of one limit are given.

    Examples
    --------
    >>> config = GenerationConfig(num_beams=4, max_new_tokens=20)
    >>> config.resolve(start_id=0, eos_id=2)["max_length"]
    21
    """

    num_beams: int = 1
    num_return_sequences: int = 1
    max_length: int | None = None
    max_new_tokens: int | None = None
    min_length: int | None = None
    min_new_tokens: int | None = None
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False

    def __post_init__(self) -> None:
        at_least = {"num_beams": 1, "num_return_sequences": 1, "max_length": 1}
        for name in ("num_beams", "num_return_sequences"):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), at_least[name]))
        for name in ("max_length", "max_new_tokens", "min_length", "min_new_tokens"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_integer(name, getattr(self, name), at_least.get(name, 0)))
        if self.num_return_sequences > self.num_beams:
            raise ValueError(
                f"num_return_sequences is {self.num_return_sequences}; expected at most num_beams = {self.num_beams}"
            )
        for length, new_tokens in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
            if getattr(self, length) is not None and getattr(self, new_tokens) is not None:
                raise ValueError(f"both {length} and {new_tokens} are given; expected one of them")
        object.__setattr__(self, "length_penalty", _penalty(self.length_penalty, self._max_length()))
        if not isinstance(self.early_stopping, bool) and self.early_stopping != "never":
            raise ValueError(f"early_stopping is {self.early_stopping!r}; expected True, False or 'never'")

    def override(self, **options: Any) -> GenerationConfig:
        """Return a copy with other values; giving one name of a limit drops the other one.

        Parameters
        ----------
        **options
            Fields of this class.

        Returns
        -------
        GenerationConfig

        Raises
        ------
        TypeError
            If an option is not a field.

        Examples
        --------
        >>> GenerationConfig(max_length=100).override(max_new_tokens=5).max_length is None
        True
        """
        unknown = sorted(options.keys() - {field.name for field in dataclasses.fields(self)})
        if unknown:
            known = ", ".join(field.name for field in dataclasses.fields(self))
            raise TypeError(f"unknown option {', '.join(unknown)}; expected some of {known}")
        for pair in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
            for given, other in (pair, pair[::-1]):
                if options.get(given) is not None:
                    options.setdefault(other, None)
        return dataclasses.replace(self, **options)

    def resolve(self, *, start_id: int, eos_id: int | Iterable[int]) -> dict[str, Any]:
        """Return the options as the search classes take them, every one present.

        Parameters
        ----------
        start_id : int
            The token that every sequence starts with.
        eos_id : int or iterable of int
            The end token or tokens; none: sequences end at `max_length` only.

        Returns
        -------
        dict
            ``num_beams``, ``num_return_sequences``, ``max_length``, ``min_length``, ``length_penalty``,
            ``early_stopping``, ``start_id`` and ``eos_ids``.

        Raises
        ------
        TypeError, ValueError
            If an id is not an integer from 0 to 2**31 - 1.

        Examples
        --------
        >>> GenerationConfig(min_new_tokens=2).resolve(start_id=1, eos_id=[2, 3])["min_length"]
        3
        """
        eos = eos_id if isinstance(eos_id, Iterable) else [eos_id]
        return {
            "num_beams": self.num_beams,
            "num_return_sequences": self.num_return_sequences,
            "max_length": self._max_length(),
            "min_length": self.min_new_tokens + 1 if self.min_new_tokens is not None else self.min_length or 0,
            "length_penalty": self.length_penalty,
            "early_stopping": self.early_stopping,
            "start_id": _token("start_id", start_id),
            "eos_ids": [_token("eos_id", token) for token in eos],
        }

    def _max_length(self) -> int:
        if self.max_new_tokens is not None:
            return self.max_new_tokens + 1
        return 256 if self.max_length is None else self.max_length


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


def _token(name: str, value: Any) -> int:
    token = check_integer(name, value, 0)
    if token > 2**31 - 1:
        raise ValueError(f"{name} is {token}; expected an id below 2**31")
    return token


def _penalty(value: Any, max_length: int) -> float:
    if isinstance(value, (str, bytes, bool)):
        raise TypeError(f"length_penalty is {value!r}; expected a number")
    try:
        penalty = float(value)
    except TypeError:
        raise TypeError(f"length_penalty is {value!r}; expected a number") from None
    if not abs(penalty) * math.log(max_length) <= 87.0:  # e ** 87 is near the largest float32
        raise ValueError(
            f"length_penalty is {penalty}; expected a number whose power of max_length = {max_length} is finite in "
            "float32"
        )
    return penalty
