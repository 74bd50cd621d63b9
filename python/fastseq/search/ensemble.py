"""Several step functions of one vocabulary that decide together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq.search.stepping import Step, call_step, to_floats

__all__ = ["check_weights", "ensemble_step"]

Floats: TypeAlias = NDArray[np.float32]


def ensemble_step(
    steps: Sequence[Step], weights: Sequence[float] | None = None, average: str = "probability"
) -> Callable[[NDArray[np.int64], Sequence[Any]], tuple[Floats, tuple[Any, ...], Floats | None]]:
    """Combine step functions into one whose state is the tuple of theirs.

    Parameters
    ----------
    steps : sequence of callables
        As `beam_search` takes them: ``step(ids, state) -> (logits, state)``, all of one vocabulary.
    weights : sequence of float, optional
        Above 0; they are scaled to sum to 1. Equal by default.
    average : {"probability", "log"}
        The probabilities' mean, or their logarithms' (a geometric mean), which the search normalises again.

    Returns
    -------
    callable
        ``step(ids, states) -> (logits, states, attention)``: the averaged log-probabilities, the new states, and the
        mean of the attention of the steps if all of them return one.

    Raises
    ------
    TypeError, ValueError
        If there is no step, a weight or `average` is wrong; when it runs, if a step returns something wrong or another
        vocabulary than the first: the message says which.

    Examples
    --------
    >>> import fastseq
    >>> tables = [np.log(np.array([[.1, .6, .3], [.1, .2, .7], [.4, .3, .3]])), np.log(np.full((3, 3), 1 / 3))]
    >>> step = ensemble_step([lambda ids, state, table=table: (table[ids], state) for table in tables])
    >>> best, = fastseq.beam_search(step, (None, None), batch_size=1, start_id=0, eos_id=2)
    >>> best.tokens
    [1]
    """
    functions = list(steps)
    shares = check_weights(weights, len(functions), "steps")
    if average not in ("probability", "log"):
        raise ValueError(f"average is {average!r}; expected 'probability' or 'log'")

    def step(ids: NDArray[np.int64], states: Sequence[Any]) -> tuple[Floats, tuple[Any, ...], Floats | None]:
        if not isinstance(states, (tuple, list)) or len(states) != len(functions):
            given = f"{len(states)} items" if isinstance(states, (tuple, list)) else type(states).__name__
            raise ValueError(f"state is {given}; expected a tuple of the states of the {len(functions)} steps")
        outputs = [
            call_step(function, ids, state, name=f"steps[{m}]")
            for m, (function, state) in enumerate(zip(functions, states, strict=True))
        ]
        for m, (logits, _, _) in enumerate(outputs):
            if logits.shape != outputs[0][0].shape:
                raise ValueError(
                    f"logits of steps[{m}] have {logits.shape[1]} columns; expected {outputs[0][0].shape[1]}, the "
                    "vocabulary of steps[0]"
                )
        combined = _average([logits for logits, _, _ in outputs], shares, average)
        weighted = [
            share * to_floats(f"attention of steps[{m}]", weights)
            for m, (share, (_, _, weights)) in enumerate(zip(shares, outputs, strict=True))
            if weights is not None
        ]
        attention = sum(weighted[1:], start=weighted[0]) if len(weighted) == len(functions) else None
        return combined, tuple(state for _, state, _ in outputs), attention

    return step


def check_weights(weights: Sequence[float] | None, count: int, name: str) -> Floats:
    """Return weights (count,) that sum to 1."""
    if count == 0:
        raise ValueError(f"{name} is empty; expected at least one")
    values = np.ones(count) if weights is None else np.array([float(weight) for weight in weights])
    if len(values) != count:
        raise ValueError(f"weights has {len(values)} numbers; expected one for each of {count} {name}")
    for m, value in enumerate(values):
        if not 0 < value < np.inf:
            raise ValueError(f"weights[{m}] is {value:g}; expected a finite number above 0")
    shares: Floats = (values / values.sum()).astype(np.float32)
    return shares


def _average(logits: list[Floats], shares: Floats, average: str) -> Floats:
    """Average of the log-probabilities (n, V)."""
    log_softmax = _backend.active().log_softmax
    for m, rows in enumerate(logits):
        largest = rows.max(axis=1, initial=-np.inf)
        if not np.isfinite(largest).all():
            row = int(np.flatnonzero(~np.isfinite(largest))[0])
            raise ValueError(f"logits of steps[{m}] contain NaN, +inf or no finite value in row {row}")
    log_probs = np.stack([log_softmax(rows) for rows in logits])
    weights = shares[:, None, None]
    if average == "log":
        geometric: Floats = (weights * log_probs).sum(axis=0)
        return geometric
    largest = log_probs.max(axis=0)
    shift = np.where(np.isinf(largest), np.float32(0), largest)
    with np.errstate(divide="ignore"):  # what no step allows keeps its -inf
        mean: Floats = largest + np.log((weights * np.exp(log_probs - shift)).sum(axis=0))
    return mean
