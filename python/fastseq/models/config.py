"""What every configuration has, and how one is read from a dictionary and checked."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

__all__ = ["CONFIG_FILE", "FORMAT", "FORMAT_VERSION", "ModelConfig", "Seq2SeqConfig"]

CONFIG_FILE, FORMAT, FORMAT_VERSION = "config.json", "fastseq", 1

_Config = TypeVar("_Config", bound="ModelConfig")

# A folder comes from anywhere: sizes beyond these are damage, and would cost memory before anything else notices.
_LARGEST_SIZE = 2**31 - 1
_MOST_LAYERS = 1024


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Fields that are checked together, and the shapes of the tensors that follow from them.

    Raises
    ------
    ValueError
        If any field is wrong; the message names all of them.
    """

    model_type: ClassVar[str]

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        problems = [
            f"{name} is {_short(values[name])}; expected {wanted}"
            for name, annotation in _annotations(type(self)).items()
            if (wanted := _wrong(name, values[name], annotation)) is not None
        ]
        _raise(type(self), problems or self._disagreements())

    def _disagreements(self) -> list[str]:
        """What is wrong between fields that are right by themselves."""
        return []

    @classmethod
    def from_dict(cls: type[_Config], values: dict[str, Any]) -> _Config:
        """Make a configuration from what a `config.json` holds.

        Parameters
        ----------
        values : dict
            Fields of this class; `format`, `format_version` and `model_type` may be there too.

        Returns
        -------
        config

        Raises
        ------
        ValueError
            Naming every unknown, missing and wrong field.
        """
        given = {key: value for key, value in values.items() if key not in ("format", "format_version", "model_type")}
        fields = {field.name: field for field in dataclasses.fields(cls)}
        annotations = _annotations(cls)
        problems = [f"unknown field {_short(name)}" for name in given if name not in fields]
        for name, field in fields.items():
            if name not in given:
                if field.default is dataclasses.MISSING:
                    problems.append(f"missing field {name}")
            elif (wanted := _wrong(name, given[name], annotations[name])) is not None:
                problems.append(f"{name} is {_short(given[name])}; expected {wanted}")
        _raise(cls, problems)
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes, with `model_type` first and without fields that are None."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"model_type": self.model_type} | {name: value for name, value in values.items() if value is not None}

    def to_json(self) -> str:
        """Return the text of a `config.json`."""
        return json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION} | self.to_dict(), indent=1) + "\n"

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model must have, by name."""
        raise NotImplementedError

    def optional_tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model may have."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig(ModelConfig):
    """What is common to all encoder-decoder models.

    Parameters
    ----------
    source_vocab_size, target_vocab_size : int
        Number of source and target tokens, special ones included.
    pad_token_id, bos_token_id, eos_token_id : int
        Padding, start and end among the target tokens.

    Raises
    ------
    ValueError
        If any field is wrong; the message names all of them.
    """

    backend_class: ClassVar[str]  # its name in the backends

    source_vocab_size: int
    target_vocab_size: int
    pad_token_id: int
    bos_token_id: int
    eos_token_id: int

    def _disagreements(self) -> list[str]:
        """What is wrong between fields that are right by themselves."""
        return super()._disagreements() + [
            f"{name} is {getattr(self, name)}; expected an id below target_vocab_size = {self.target_vocab_size}"
            for name in ("pad_token_id", "bos_token_id", "eos_token_id")
            if getattr(self, name) >= self.target_vocab_size
        ]

    def backend_options(self) -> dict[str, Any]:
        """Return what the backends read: every field, None too, as they know no defaults."""
        return dict(vars(self))

    @property
    def memory_size(self) -> int:
        """Width of the encoder's output."""
        raise NotImplementedError

    @property
    def attends(self) -> bool:
        """Whether the decoder has attention on the source."""
        raise NotImplementedError

    @property
    def position_limit(self) -> int | None:
        """Longest decoder input, or None for no limit."""
        return None

    @property
    def source_position_limit(self) -> int | None:
        """Longest source, or None for no limit."""
        return self.position_limit


def _raise(cls: type, problems: list[str]) -> None:
    if problems:
        raise ValueError(f"{cls.__name__}: {'; '.join(problems)}")


def _annotations(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _wrong(name: str, value: Any, annotation: Any) -> str | None:
    """What was expected of a field, or None if its value is fine."""
    if value is None and type(None) in get_args(annotation):
        return None
    if str(get_origin(annotation)) == "typing.Literal":
        choices = get_args(annotation)
        return None if isinstance(value, str) and value in choices else "one of " + ", ".join(choices)
    if get_origin(annotation) is tuple:
        texts = isinstance(value, (list, tuple)) and len(value) > 0 and all(isinstance(item, str) for item in value)
        return None if texts and len(set(value)) == len(value) else "a list of different texts"
    if annotation is bool:
        return None if isinstance(value, bool) else "true or false"
    if annotation is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return None if number and 0 < value < math.inf else "a number above 0"
    least = 0 if name.endswith("_id") else 1
    most = _MOST_LAYERS if name.endswith("num_layers") else _LARGEST_SIZE
    whole = isinstance(value, int) and not isinstance(value, bool)
    return None if whole and least <= value <= most else f"a whole number from {least} to {most}"
