"""Greedy and beam search for any model: a step function computes logits, the search chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq.search.checks import check_integer
from fastseq.search.config import GenerationConfig
from fastseq.search.result import Generation, Hypothesis
from fastseq.search.state import reorder_state

__all__ = ["beam_search", "greedy_search"]

Step: TypeAlias = Callable[[NDArray[np.int64], Any], tuple[Any, Any]]
Reorder: TypeAlias = Callable[[Any, NDArray[np.int64]], Any]


def beam_search(
    step: Step,
    state: Any,
    *,
    batch_size: int,
    start_id: int,
    eos_id: int | Iterable[int],
    num_beams: int = 4,
    prefix: Sequence[Sequence[int]] | None = None,
    encoder_input_ids: Sequence[Sequence[int]] | None = None,
    reorder: Reorder | None = None,
    **options: Any,
) -> list[Generation]:
    """Search the most probable sequences of a model given by its step function.

    The hypotheses, scores and stopping rules are those of Hugging Face's ``generate``. The first step has one row for
    each sentence; from the second on a sentence has up to `num_beams` rows, and none once its search has ended.

    Parameters
    ----------
    step : callable
        ``step(ids, state) -> (logits, state)``: feed the int64 `ids` (n,), one a row, and return the logits (n, V) of
        the next token, floats of NumPy, torch or anything with the array protocol, and the new state.
    state : nested containers of arrays
        What the first step gets, its arrays with axis 0 of length `batch_size`: dictionaries, lists, tuples, named
        tuples and dataclass instances of NumPy arrays, torch tensors and the like. Between steps row ``i`` of every
        array becomes what row ``parents[i]`` was.
    batch_size : int
        Number of sentences.
    start_id : int
        The token that every sequence starts with.
    eos_id : int or iterable of int
        The end token or tokens.
    num_beams : int, default 4
        Sequences kept of each sentence; 1 is greedy search.
    prefix : list of lists of int, optional
        For each sentence the tokens after the start token that its target has to start with; they may differ in number.
        They are part of the result and do not count in its score.
    encoder_input_ids : list of lists of int, optional
        The tokens of each source, which `encoder_repetition_penalty` and `encoder_no_repeat_ngram_size` compare with.
    reorder : callable, optional
        ``reorder(state, parents) -> state`` replaces the reordering described above; it is called whenever rows move.
    **options
        Further fields of `GenerationConfig`.

    Returns
    -------
    list of Generation
        One for each sentence.

    Raises
    ------
    TypeError
        If an option, the logits or something in the state has the wrong type.
    ValueError
        If an option is out of range, the logits or the state do not have the rows of the step, or logits of a sentence
        (which the message names) contain NaN, +inf or no finite value.

    See Also
    --------
    greedy_search : One beam.

    Notes
    -----
    As in ``_beam_search`` of transformers 5 (``generation/utils.py``), except that tokens of probability zero are never
    chosen, and a finished sentence leaves the batch.

    Examples
    --------
    A model whose next token depends on the last one only; 0 starts, 3 ends.

    >>> import numpy as np
    >>> probabilities = np.array([[0, .6, .4, 0], [0, .3, .3, .4], [0, .05, .05, .9], [.25] * 4])
    >>> table = np.log(probabilities + 1e-9)
    >>> def step(ids, state):
    ...     return table[ids], state
    >>> best, = beam_search(step, None, batch_size=1, start_id=0, eos_id=3, num_beams=2, length_penalty=0.0)
    >>> best.tokens, round(best.score, 4)
    ([2], -1.0217)
    """
    config = GenerationConfig(num_beams=num_beams).override(**options)
    resolved = config.resolve(start_id=start_id, eos_id=eos_id, prefix=prefix, encoder_input_ids=encoder_input_ids)
    backend = _backend.active()
    algorithm = backend.GreedySearch if config.num_beams == 1 else backend.BeamSearch
    search = algorithm(check_integer("batch_size", batch_size, 0), resolved)
    while not search.done:
        ids = search.ids.astype(np.int64)
        logits, state = _call(step, ids, state)
        search.advance(logits)
        parents = search.parents
        if not search.done and not np.array_equal(parents, np.arange(len(ids))):
            state = reorder(state, parents) if reorder is not None else reorder_state(state, parents, len(ids))
    return [Generation([Hypothesis(*answer) for answer in answers]) for answers in search.result()]


def greedy_search(
    step: Step,
    state: Any,
    *,
    batch_size: int,
    start_id: int,
    eos_id: int | Iterable[int],
    **options: Any,
) -> list[Generation]:
    """Follow the most probable token at every step of a model given by its step function.

    Parameters
    ----------
    step, state, batch_size, start_id, eos_id, **options
        As in `beam_search`. A sentence has one row until it ends.

    Returns
    -------
    list of Generation
        One for each sentence, with one hypothesis.

    Raises
    ------
    TypeError, ValueError
        As in `beam_search`.

    See Also
    --------
    beam_search : Keeps several sequences.

    Notes
    -----
    The tokens are those of Hugging Face's ``generate``, which has no scores for them; here the score is what the model
    itself gives them, whatever processors made of it.

    Examples
    --------
    >>> import numpy as np
    >>> table = np.log(np.array([[.1, .6, .3], [.1, .2, .7], [.4, .3, .3]]))
    >>> generation, = greedy_search(lambda ids, state: (table[ids], state), None, batch_size=1, start_id=0, eos_id=2)
    >>> generation.tokens, generation.finished
    ([1], True)
    """
    if options.setdefault("num_beams", 1) != 1:
        raise ValueError(f"num_beams is {options['num_beams']}; expected 1 for greedy search")
    return beam_search(step, state, batch_size=batch_size, start_id=start_id, eos_id=eos_id, **options)


def _call(step: Step, ids: NDArray[np.int64], state: Any) -> tuple[NDArray[np.float32], Any]:
    """Call the step function; return its logits as float32 (n, V) in C order, and its state."""
    output = step(ids, state)
    if not isinstance(output, tuple) or len(output) != 2:
        raise TypeError(f"step returned {_describe(output)}; expected (logits, state)")
    logits, state = output
    if hasattr(logits, "detach") and hasattr(logits, "cpu"):  # a torch tensor
        logits = logits.detach().cpu()
        if "bfloat16" in str(logits.dtype):  # which NumPy does not have
            logits = logits.float()
    logits = np.asarray(logits)
    if logits.dtype.kind != "f" and logits.dtype.name != "bfloat16":
        raise TypeError(f"logits have dtype {logits.dtype}; expected floats")
    if logits.ndim != 2 or len(logits) != len(ids):
        raise ValueError(f"logits have shape {logits.shape}; expected (rows, vocabulary) = ({len(ids)}, *)")
    with np.errstate(over="ignore"):  # what overflows is refused as infinite
        return np.ascontiguousarray(logits, np.float32), state


def _describe(value: Any) -> str:
    return f"{len(value)} values" if isinstance(value, tuple) else f"a value of type {type(value).__name__}"
