"""What a search gives back beside tokens and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastseq.search.checks import check_integer

__all__ = ["Outputs"]


@dataclass(frozen=True)
class Outputs:
    """What is wanted of every hypothesis; nothing costs anything otherwise.

    Parameters
    ----------
    token_log_probs, attention, logits, trace : bool, default False
    top_logits : int, default 0
        So many of each step.

    Raises
    ------
    TypeError, ValueError
        If a value is of another type or negative.

    Examples
    --------
    >>> Outputs.split({"num_beams": 2, "return_top_logits": 3})
    (Outputs(token_log_probs=False, attention=False, logits=False, top_logits=3, trace=False), {'num_beams': 2})
    """

    token_log_probs: bool = False
    attention: bool = False
    logits: bool = False
    top_logits: int = 0
    trace: bool = False

    def __post_init__(self) -> None:
        for name in ("token_log_probs", "attention", "logits", "trace"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"return_{name} is {getattr(self, name)!r}; expected True or False")
        object.__setattr__(self, "top_logits", check_integer("return_top_logits", self.top_logits, 0))

    @classmethod
    def split(cls, options: dict[str, Any]) -> tuple[Outputs, dict[str, Any]]:
        """Return what the options named ``return_...`` ask for, and the other options."""
        names = {f"return_{name}": name for name in cls.__dataclass_fields__}
        wanted = {names[key]: value for key, value in options.items() if key in names}
        return cls(**wanted), {key: value for key, value in options.items() if key not in names}

    def resolve(self) -> dict[str, Any] | None:
        """Return what the search classes take: None if nothing is wanted."""
        values = {name: getattr(self, name) for name in ("token_log_probs", "attention", "logits", "top_logits")}
        return values if any(values.values()) else None
