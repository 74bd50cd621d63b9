"""What the pipelines of text have in common: a model with its tokenizer, batches, order, limits, progress.

A task turns each input into units (id sequences; long texts may give several), the base runs all units sorted by
length in batches of a bounded number of tokens, and the task makes a result of each input's outputs.
"""

from __future__ import annotations

import itertools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.models import load_model
from fastseq.models.hub import model_folder
from fastseq.models.ragged import token_batches
from fastseq.pipelines.progress import progress_bar
from fastseq.text import Encoding, Tokenizer, load_tokenizer

__all__ = ["Options", "Pipeline", "Prepared", "batches", "named", "positions_of", "warn"]

Options: TypeAlias = dict[str, Any]

_BATCH_TOKENS = 4096
# An endless input is taken in parts of so many tokens or so many inputs: enough that sorting by length pays.
_PART_TOKENS, _PART_INPUTS = 16 * _BATCH_TOKENS, 2048


@dataclass(frozen=True)
class Prepared:
    """One input, ready for the model.

    Attributes
    ----------
    units : list of Encoding
        What the model reads.
    details : Any
        What else the task needs to make the result.
    """

    units: list[Encoding]
    details: Any = None


class Pipeline(ABC):
    """A model with its tokenizer, called with text.

    Parameters
    ----------
    model : str, path or model
        A model folder, a file of another toolkit, the name of a model on the Hugging Face hub, or what `load_model`
        returned.
    tokenizer : Tokenizer, optional
        That of the model's folder by default; of a file, the folder that it is in.
    backend : {"native", "numpy"}, optional
        Where a model that is loaded here runs; the active backend by default.
    compute_type : str, optional
        What a model that is loaded here computes in; see `load_model`.
    batch_size : int, optional
        Most sequences that run together. Batches are bounded by their number of tokens in any case.
    progress : bool, optional
        Whether a bar on standard error shows how far long work is; by default if it is a terminal.
    **options
        Options of the call that become its defaults.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, its folder is damaged, or its model is for another task.
    """

    task: ClassVar[str]
    #: `model.task` of the models that fit.
    model_tasks: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer | None = None,
        *,
        backend: str | None = None,
        compute_type: str | None = None,
        batch_size: int | None = None,
        progress: bool | None = None,
        **options: Any,
    ) -> None:
        self.model: Any
        if model is None:
            raise ValueError(f"{self.task}: expected a model: a folder, a hub name, or what load_model returned")
        if isinstance(model, (str, Path)) or hasattr(model, "__fspath__"):
            path = Path(model)
            folder = path.parent if path.is_file() else model_folder(model)
            # The tokenizer first: it is quick, and what is missing is known before the weights are read.
            self.tokenizer = load_tokenizer(folder) if tokenizer is None else tokenizer
            self.model = load_model(path if path.is_file() else folder, compute_type, backend)
        else:
            self.model = model
            self.tokenizer = load_tokenizer(_folder_of(model)) if tokenizer is None else tokenizer
        self._check_task()
        self._progress = progress
        self._options: Options = {"batch_size": batch_size}
        self._options = self.check(options)

    @abstractmethod
    def check(self, options: Options) -> Options:
        """Return the defaults with these options, all checked; TypeError for one that is unknown."""

    @abstractmethod
    def prepare(self, item: Any, where: str, options: Options) -> Prepared:
        """Return one input ready for the model; `where` names it in messages."""

    @abstractmethod
    def compute(self, units: list[Encoding], options: Options) -> Sequence[Any]:
        """Run the model on a batch; one output for each unit."""

    @abstractmethod
    def finish(self, prepared: Prepared, outputs: list[Any], options: Options) -> Any:
        """Return the result of one input."""

    def run(self, inputs: Any, options: Options, name: str = "input", numbers: Iterable[int] | None = None) -> Any:
        """Return the result of one input, a list of those of a list, or an iterator for an iterator.

        Parameters
        ----------
        inputs : Any
        options : dict
            What `check` returned.
        name : str
        numbers : iterable of int, optional
            What messages call inputs, and the number of each; from 0 by default.
        """
        if isinstance(inputs, (list, tuple)):
            with progress_bar(len(inputs), self.task, self._progress) as bar:
                return list(self._stream(named(inputs, name, numbers), options, bar))
        if isinstance(inputs, Iterable) and not isinstance(inputs, (str, bytes, Mapping)):
            return self._lazily(named(inputs, name, numbers), options)
        [result] = self._stream([(f"the {name}", inputs)], options, None)
        return result

    def _lazily(self, inputs: Iterable[tuple[str, Any]], options: Options) -> Iterator[Any]:
        with progress_bar(None, self.task, self._progress) as bar:
            yield from self._stream(inputs, options, bar)

    def _stream(self, inputs: Iterable[tuple[str, Any]], options: Options, bar: Any) -> Iterator[Any]:
        part: list[Prepared] = []
        tokens = 0
        for where, item in inputs:
            prepared = self.prepare(item, where, options)
            part.append(prepared)
            tokens += sum(map(len, prepared.units))
            if tokens >= _PART_TOKENS or len(part) >= _PART_INPUTS:
                yield from self._part(part, options, bar)
                part, tokens = [], 0
        yield from self._part(part, options, bar)

    def _part(self, part: list[Prepared], options: Options, bar: Any) -> Iterator[Any]:
        units = [unit for prepared in part for unit in prepared.units]
        outputs: list[Any] = [None] * len(units)
        owners = [i for i, prepared in enumerate(part) for _ in prepared.units]
        waiting = [len(prepared.units) for prepared in part]
        for batch in batches([len(unit) for unit in units], options["batch_size"]):
            for i, output in zip(batch, self.compute([units[i] for i in batch], options), strict=True):
                outputs[i] = output
                waiting[owners[i]] -= 1
                if bar is not None and not waiting[owners[i]]:
                    bar.update()
        remaining = iter(outputs)
        for prepared in part:
            yield self.finish(prepared, [next(remaining) for _ in prepared.units], options)

    @property
    def limit(self) -> int | None:
        """Most tokens that the model reads, or None for no limit."""
        limits = [n for n in (self.tokenizer.max_length, positions_of(self.model)) if n is not None]
        return min(limits, default=None)

    def merge(self, options: Options, known: Mapping[str, Any]) -> Options:
        """Return the defaults of `known`, of the constructor and these options, in this order."""
        unknown = sorted(options.keys() - known.keys() - {"batch_size"})
        if unknown:
            names = ", ".join(sorted([*known, "batch_size"]))
            raise TypeError(f"{self.task}: unknown option {', '.join(unknown)}; expected some of {names}")
        merged = {**known, **self._options, **options}
        size = merged["batch_size"]
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise ValueError(f"{self.task}: batch_size is {size!r}; expected a whole number of at least 1")
        return merged

    def type_ids(self, units: list[Encoding]) -> list[list[int]] | None:
        """Return the token types of a batch, or None if the model reads none."""
        kinds = getattr(getattr(self.model.config, "encoder", None), "token_types", 0)
        return [unit.type_ids for unit in units] if kinds > 1 else None

    def logits(self, units: list[Encoding]) -> list[NDArray[np.float32]]:
        """Return what the model's head makes of each of a batch."""
        logits: list[NDArray[np.float32]] = self.model.logits([unit.ids for unit in units], self.type_ids(units))
        return logits

    def text(self, item: Any, where: str) -> str:
        """Return an input that is text; TypeError otherwise."""
        if not isinstance(item, str):
            raise TypeError(f"{self.task}: {where} is {type(item).__name__}; expected a str")
        return item

    def _check_task(self) -> None:
        task = getattr(self.model, "task", "text2text-generation")
        if task not in self.model_tasks:
            folder = getattr(self.model, "folder", None)
            name = "the model" if folder is None else f"the model of {str(folder)!r}"
            raise ValueError(f"{self.task}: {name} is for {task}; expected one for {' or '.join(self.model_tasks)}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r})"


def named(inputs: Iterable[Any], name: str, numbers: Iterable[int] | None) -> Iterator[tuple[str, Any]]:
    """Yield inputs, each with what messages call it: a name and its number, from 0 if there are none given."""
    numbers = itertools.count() if numbers is None else numbers
    return ((f"{name} {number}", item) for item, number in zip(inputs, numbers, strict=False))


def batches(lengths: Sequence[int], batch_size: int | None) -> Iterator[list[int]]:
    """Yield indices, longest first, in batches of bounded size.

    Parameters
    ----------
    lengths : sequence of int
    batch_size : int or None
        Most indices of a batch.

    Yields
    ------
    list of int
    """
    for batch in token_batches(lengths, _BATCH_TOKENS):
        size = batch_size or len(batch)
        for begin in range(0, len(batch), size):
            yield batch[begin : begin + size]


def positions_of(model: Any) -> int | None:
    """Return how many tokens a model may read, or None if it has no limit."""
    names = ("source_position_limit", "position_limit", "max_positions")
    found = next((limit for name in names if (limit := getattr(model.config, name, None))), None)
    return int(found) if found else None


def warn(message: str) -> None:
    """Warn the user of a pipeline, wherever in here it was noticed."""
    warnings.warn(message, UserWarning, stacklevel=3)


def _folder_of(model: Any) -> Path:
    folder = getattr(model, "folder", None)
    if folder is None:
        raise ValueError("the model knows no folder, and so no tokenizer; give one: load_tokenizer(folder)")
    return Path(folder)
