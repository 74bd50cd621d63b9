"""A search whose logits come from a step function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq.search.checks import check_integer
from fastseq.search.outputs import Outputs
from fastseq.search.state import reorder_state

__all__ = ["Reorder", "Step", "StepSearch", "call_step", "to_floats"]

Step: TypeAlias = Callable[..., tuple[Any, ...]]
Reorder: TypeAlias = Callable[[Any, NDArray[np.int64]], Any]
Floats: TypeAlias = NDArray[np.float32]


class StepSearch:
    """Drives one of the backend's searches with a step function.

    Parameters
    ----------
    step, state, batch_size, reorder, pass_parents
        As in `beam_search`.
    options : dict
        Of ``GenerationConfig.resolve``.
    outputs : Outputs
    stepwise : bool
        Whether `news`, `stop` and `trace` are wanted.
    """

    def __init__(
        self,
        step: Step,
        state: Any,
        batch_size: int,
        options: dict[str, Any],
        outputs: Outputs,
        reorder: Reorder | None,
        pass_parents: bool,
        stepwise: bool,
    ) -> None:
        if not callable(step):
            raise TypeError(
                f"step is of type {type(step).__name__}; expected a function (ids, state) -> (logits, state)"
            )
        if reorder is not None and not callable(reorder):
            raise TypeError(
                f"reorder is of type {type(reorder).__name__}; expected a function (state, parents) -> state"
            )
        if pass_parents and reorder is not None:
            raise ValueError("both reorder and pass_parents are given; expected one of them")
        backend = _backend.active()
        self._search = search_class(backend, options)(
            check_integer("batch_size", batch_size, 0), options, outputs.resolve(), stepwise
        )
        self._step, self._state, self._reorder, self._pass_parents = step, state, reorder, pass_parents
        self._attends = outputs.attention or options["coverage_penalty"] != 0.0
        self._source_length: int | None = None
        self._parents = self._search.parents
        self.stop: Callable[[], None] = self._search.stop
        self.news: Callable[[], list[tuple[int, list[int], bool]]] = self._search.news
        self.result: Callable[[], list[list[tuple[Any, ...]]]] = self._search.result
        self.trace: Callable[[], tuple[list[Any], list[Any]]] = self._search.trace

    @property
    def done(self) -> bool:
        """Whether every sentence has its hypotheses."""
        return bool(self._search.done)

    def step(self) -> None:
        """One token of every live row."""
        if self.done:
            return
        ids = self._search.ids.astype(np.int64)
        more = (self._parents,) if self._pass_parents else ()
        logits, self._state, attention = call_step(self._step, ids, self._state, *more)
        if not self._attends:
            self._search.advance(logits)
        elif attention is None:
            raise TypeError(
                "return_attention or coverage_penalty is asked for; expected step to return (logits, state, attention)"
            )
        else:
            self._search.advance(logits, self._checked_attention(attention, len(ids)))
        self._parents = self._search.parents
        if self.done or self._pass_parents or np.array_equal(self._parents, np.arange(len(ids))):
            return
        if self._reorder is not None:
            self._state = self._reorder(self._state, self._parents)
        else:
            self._state = reorder_state(self._state, self._parents, len(ids))

    def _checked_attention(self, attention: Any, rows: int) -> Floats:
        """Attention (rows, S) with the S of the first step."""
        weights = _rows("attention", attention, rows, "source length")
        if self._source_length not in (None, weights.shape[1]):
            raise ValueError(f"attention has {weights.shape[1]} columns; expected {self._source_length} as before")
        self._source_length = weights.shape[1]
        return weights


def search_class(backend: Any, options: dict[str, Any]) -> Any:
    """The backend's search that options ask for."""
    if options["force_words_ids"]:
        return backend.ConstrainedBeamSearch
    if options["num_beams"] > 1 or options["return_alternatives"]:
        return backend.BeamSearch
    return backend.SampleSearch if options["do_sample"] else backend.GreedySearch


def call_step(step: Step, ids: NDArray[np.int64], *arguments: Any, name: str = "step") -> tuple[Floats, Any, Any]:
    """Call a step function; return its logits as float32 (n, V) in C order, its state, and attention or None."""
    output = step(ids, *arguments)
    if not isinstance(output, tuple) or len(output) not in (2, 3):
        raise TypeError(f"{name} returned {_describe(output)}; expected (logits, state) or (logits, state, attention)")
    return _rows("logits", output[0], len(ids), "vocabulary"), output[1], output[2] if len(output) == 3 else None


def _rows(name: str, values: Any, rows: int, columns: str) -> Floats:
    array = to_floats(name, values)
    if array.ndim != 2 or len(array) != rows:
        raise ValueError(f"{name} have shape {array.shape}; expected (rows, {columns}) = ({rows}, *)")
    return array


def to_floats(name: str, values: Any) -> Floats:
    """Floats of NumPy, torch or anything with the array protocol as float32 in C order."""
    if hasattr(values, "detach") and hasattr(values, "cpu"):  # a torch tensor
        values = values.detach().cpu()
        if "bfloat16" in str(values.dtype):  # which NumPy does not have
            values = values.float()
    array = np.asarray(values)
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise TypeError(f"{name} have dtype {array.dtype}; expected floats")
    with np.errstate(over="ignore"):  # what overflows is refused as infinite
        return np.ascontiguousarray(array, np.float32)


def _describe(value: Any) -> str:
    return f"{len(value)} values" if isinstance(value, tuple) else f"a value of type {type(value).__name__}"
