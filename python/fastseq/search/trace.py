"""How a search came to its hypotheses: the sequences it kept at every step, and those that ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["SearchTrace", "TraceEnding", "TraceStep"]

Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TraceStep:
    """The sequences of one sentence that a step went on with.

    Attributes
    ----------
    tokens : (n,) int64 array
        The last token of each; at the first step the start token.
    parents : (n,) int64 array
        Which sequence of the step before each continues.
    scores : (n,) float32 array
        Sum of the log-probabilities of each.
    """

    tokens: Ints
    parents: Ints
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class TraceEnding:
    """A hypothesis that ended.

    Attributes
    ----------
    step : int
        Index of the step whose logits ended it.
    parent : int
        Which sequence of that step it continues.
    token : int or None
        What it wrote last: an end token if it is finished. None if nothing could follow.
    score : float
        As of a `Hypothesis`.
    finished : bool
        Whether an end token ended it.
    """

    step: int
    parent: int
    token: int | None
    score: float
    finished: bool


@dataclass(frozen=True, eq=False)
class SearchTrace:
    """The search of one sentence.

    Attributes
    ----------
    steps : list of TraceStep
        The first has one sequence, the start token.
    endings : list of TraceEnding
        Every hypothesis that could have been an answer when it ended, in the order in which they did.

    Examples
    --------
    >>> import fastseq
    >>> table = np.log(np.array([[.1, .6, .3], [.1, .2, .7], [.4, .3, .3]]))
    >>> best, = fastseq.beam_search(lambda ids, state: (table[ids], state), None, batch_size=1, start_id=0, eos_id=2,
    ...                             num_beams=2, max_length=3, return_trace=True)
    >>> [step.tokens.tolist() for step in best.trace.steps]
    [[0], [1, 0]]
    """

    steps: list[TraceStep]
    endings: list[TraceEnding]

    @classmethod
    def of_sentence(cls, trace: tuple[list[Any], list[Any]], sentence: int) -> SearchTrace:
        """Take one sentence from the trace of a backend."""
        steps: list[TraceStep] = []
        place = np.zeros(0, np.int64)  # of each row of the step before among the rows of this sentence
        places: list[Ints] = []
        for ids, parents, sentences, scores in trace[0]:
            rows = np.flatnonzero(sentences == sentence)
            if len(rows) == 0:
                break
            before = place[parents[rows]] if steps else np.zeros(len(rows), np.int64)
            steps.append(TraceStep(ids[rows].astype(np.int64), before, scores[rows]))
            place = np.cumsum(sentences == sentence) - 1
            places.append(place)
        endings = [
            TraceEnding(step, int(places[step][row]), None if token < 0 else token, score, finished)
            for of, step, row, token, score, finished in trace[1]
            if of == sentence
        ]
        return cls(steps, endings)
