"""Greedy and beam search for any model: a step function computes logits, the search chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from fastseq.search.checks import check_integer
from fastseq.search.config import GenerationConfig
from fastseq.search.inputs import split_inputs
from fastseq.search.outputs import Outputs
from fastseq.search.result import Generation
from fastseq.search.stepping import Reorder, Step, StepSearch
from fastseq.search.stream import OnTokens, SearchStream, run

__all__ = ["beam_search", "greedy_search", "stream_search"]


def beam_search(
    step: Step,
    state: Any,
    *,
    batch_size: int,
    start_id: int,
    eos_id: int | Iterable[int],
    num_beams: int = 4,
    reorder: Reorder | None = None,
    pass_parents: bool = False,
    on_tokens: OnTokens | None = None,
    **options: Any,
) -> list[Generation]:
    """Search the most probable sequences of a model given by its step function.

    The hypotheses, scores and stopping rules are those of Hugging Face's ``generate``. The first step has one row for
    each sentence; from the second on a sentence has up to `num_beams` rows, and none once its search has ended.

    Parameters
    ----------
    step : callable
        ``step(ids, state) -> (logits, state)``: feed the int64 `ids` (n,), one a row, and return the logits (n, V) of
        the next token, floats of NumPy, torch or anything with the array protocol, and the new state. Attention (n, S)
        on the source may be a third value.
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
    reorder : callable, optional
        ``reorder(state, parents) -> state`` replaces the reordering described above; it is called whenever rows move.
    pass_parents : bool, default False
        Reorder nothing, but call ``step(ids, state, parents)``: row ``i`` continues row ``parents[i]`` of the step
        before. A cache can then stay where it is; see `Ancestors`.
    on_tokens : callable, optional
        Called with `StreamedTokens` as soon as tokens are certain; returning False ends the search where it is.
    **options
        Fields of `GenerationConfig`; `prompt`, for each sentence the tokens that the model reads, of which the last one
        takes the place of `start_id` (the state is that after the others): processors see it, `max_length` and
        `min_length` count it, the result is without it; `prefix`, for each sentence the tokens after the start token
        that its target has to start with, which are part of the result and do not count in its score;
        `encoder_input_ids`, the tokens of each source, which `encoder_repetition_penalty` and
        `encoder_no_repeat_ngram_size` compare with; `prefix_allowed_tokens_fn`, a function ``(sentence, ids) -> ids``
        that names the tokens that may follow the ids (n,); `logits_processor`, one or several functions ``(ids, scores)
        -> scores`` that change the scores (n, V) of the live rows with ids (n, length), each row on its own. And what
        else to return: `return_token_log_probs`, `return_attention`, `return_logits`, `return_trace` (True or False),
        `return_top_logits` (how many); see `Hypothesis`.

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
    stream_search : The same as an iterator of tokens.

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
    search = _prepare(step, state, batch_size, start_id, eos_id, num_beams, reorder, pass_parents, options)
    if on_tokens is not None or search.outputs.trace:
        return run(search.stream(), on_tokens)
    steps = search.start(False)
    while not steps.done:
        steps.step()
    return [Generation.from_answers(answers) for answers in steps.result()]


def greedy_search(
    step: Step,
    state: Any,
    *,
    batch_size: int,
    start_id: int,
    eos_id: int | Iterable[int],
    reorder: Reorder | None = None,
    pass_parents: bool = False,
    on_tokens: OnTokens | None = None,
    **options: Any,
) -> list[Generation]:
    """Follow the most probable token at every step of a model given by its step function.

    Parameters
    ----------
    step, state, batch_size, start_id, eos_id, reorder, pass_parents, on_tokens, **options
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
    return beam_search(
        step,
        state,
        batch_size=batch_size,
        start_id=start_id,
        eos_id=eos_id,
        reorder=reorder,
        pass_parents=pass_parents,
        on_tokens=on_tokens,
        **options,
    )


def stream_search(
    step: Step,
    state: Any,
    *,
    batch_size: int,
    start_id: int,
    eos_id: int | Iterable[int],
    num_beams: int = 4,
    reorder: Reorder | None = None,
    pass_parents: bool = False,
    **options: Any,
) -> SearchStream:
    """Search as `beam_search` does, and iterate over the tokens as soon as they are certain.

    Parameters
    ----------
    step, state, batch_size, start_id, eos_id, num_beams, reorder, pass_parents, **options
        As in `beam_search`.

    Returns
    -------
    SearchStream
        An iterator of `StreamedTokens`. The search takes a step only when the next tokens are asked for.

    Raises
    ------
    TypeError, ValueError
        As in `beam_search`: wrong arguments at once, what a step does wrong while the stream is read.

    Examples
    --------
    >>> import numpy as np
    >>> table = np.log(np.array([[.1, .6, .3], [.1, .2, .7], [.4, .3, .3]]))
    >>> stream = stream_search(lambda ids, state: (table[ids], state), None, batch_size=1, start_id=0, eos_id=2)
    >>> [token for streamed in stream for token in streamed.tokens]
    [1]
    >>> stream.generations[0].tokens
    [1]
    """
    return _prepare(step, state, batch_size, start_id, eos_id, num_beams, reorder, pass_parents, options).stream()


class _Prepared(NamedTuple):
    """A search whose arguments are checked and that has not begun."""

    start: Callable[[bool], StepSearch]  # argument: whether it will be read step by step
    batch_size: int
    outputs: Outputs

    def stream(self) -> SearchStream:
        search = self.start(True)  # what is wrong with the options shows here
        return SearchStream([(0, lambda: search)], self.batch_size, self.outputs.trace)


def _prepare(
    step: Step,
    state: Any,
    batch_size: int,
    start_id: int,
    eos_id: int | Iterable[int],
    num_beams: int,
    reorder: Reorder | None,
    pass_parents: bool,
    options: dict[str, Any],
) -> _Prepared:
    outputs, rest = Outputs.split(options)
    inputs, fields = split_inputs(rest)
    config = GenerationConfig(num_beams=num_beams).override(**fields)
    resolved = config.resolve(start_id=start_id, eos_id=eos_id, **inputs)
    size = check_integer("batch_size", batch_size, 0)
    start = partial(StepSearch, step, state, size, resolved, outputs, reorder, pass_parents)
    return _Prepared(start, size, outputs)
