"""Recurrent language models: they score texts and write on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq.models.base import split
from fastseq.models.ragged import Floats, ragged
from fastseq.models.recurrent_stack import RecurrentStackConfig, RecurrentTextModel
from fastseq.search import Generation, SearchStream, TargetScores, beam_search, stream_search

__all__ = ["RecurrentLanguageModel", "RecurrentLanguageModelConfig"]

# Rows of logits that exist at a time: what a large vocabulary costs in memory is bounded.
_BLOCK_ROWS = 256

State: TypeAlias = "dict[str, NDArray[Any]]"


@dataclass(frozen=True, kw_only=True)
class RecurrentLanguageModelConfig(RecurrentStackConfig):
    """RNN, LSTM or GRU layers that read a text and predict each next token (Mikolov et al., 2010).

    Parameters
    ----------
    vocab_size, embedding_size : int
    bos_token_id, eos_token_id : int
        What stands before and after each text; they may be one token.
    cell : {"rnn_tanh", "rnn_relu", "lstm", "gru"}
    hidden_size, num_layers : int
    tie_output : bool, default False
        Whether the output layer uses the embedding; needs `embedding_size` equal to `hidden_size`.

    Raises
    ------
    ValueError
        If any field is wrong, naming all of them, or fields disagree.

    Examples
    --------
    >>> config = RecurrentLanguageModelConfig(
    ...     vocab_size=100, embedding_size=8, bos_token_id=1, eos_token_id=2, cell="lstm", hidden_size=16, num_layers=1)
    >>> config.tensor_shapes()["output.weight"]
    (100, 16)
    """

    model_type: ClassVar[str] = "recurrent_language_model"

    bos_token_id: int
    eos_token_id: int
    tie_output: bool = False

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements() + [
            f"{name} is {getattr(self, name)}; expected an id below vocab_size = {self.vocab_size}"
            for name in ("bos_token_id", "eos_token_id")
            if getattr(self, name) >= self.vocab_size
        ]
        if self.tie_output and self.embedding_size != self.hidden_size:
            wanted = f"hidden_size = {self.hidden_size}"
            problems.append(f"embedding_size is {self.embedding_size}; tie_output needs {wanted}")
        return problems

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model must have, by name."""
        shapes = super().tensor_shapes()
        if not self.tie_output:
            shapes["output.weight"] = (self.vocab_size, self.hidden_size)
        shapes["output.bias"] = (self.vocab_size,)
        return shapes


class RecurrentLanguageModel(RecurrentTextModel[RecurrentLanguageModelConfig]):
    """A language model with its weights.

    `load_model` makes one from a folder. The score of a text does not depend on the others of its batch.

    Parameters
    ----------
    config : RecurrentLanguageModelConfig
    tensors : mapping of str to float32 array
        Named and shaped as ``config.tensor_shapes()`` says.
    tokenizer : WordTokenizer, optional
        What the ids mean.
    backend : {"native", "numpy"}, optional
        The active one by default.
    folder : Path, optional
        Where it was loaded from: what reads text finds the vocabulary there.
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        Of the weights of dense and recurrent layers; see `fastseq.functional.linear`.

    Raises
    ------
    ValueError
        If tensors are missing, not expected or of another shape; the message names all of them.

    Examples
    --------
    >>> config = RecurrentLanguageModelConfig(
    ...     vocab_size=4, embedding_size=3, bos_token_id=0, eos_token_id=1, cell="gru", hidden_size=3, num_layers=1)
    >>> zeros = {name: np.zeros(shape) for name, shape in config.tensor_shapes().items()}
    >>> model = RecurrentLanguageModel(config, zeros | {"output.bias": np.array([0.0, 1.0, 2.0, 0.0])})
    >>> scores = model.score([[2, 3, 2]])
    >>> len(scores.token_log_probs[0]), round(float(scores.perplexity[0]), 3)
    (4, 3.469)
    >>> model.generate([[2]], max_new_tokens=3)[0].tokens
    [2, 2, 2]
    """

    task = "text-generation"

    def _prepare(self, arrays: Mapping[str, Any]) -> None:
        self._output = self._linear(arrays, "embedding.weight" if self._config.tie_output else "output.weight")

    def logits(self, input_ids: Any, lengths: Any = None) -> list[Floats]:
        """Return the logits after each token of each text.

        Parameters
        ----------
        input_ids : sequence of sequences of int, or 2-D integer array
            As the model reads them: texts begin with `bos_token_id`.
        lengths : sequence of int, optional
            Of the rows of a 2-D array.

        Returns
        -------
        list of float32 arrays
            (T, vocab_size) of each text; row t is the next token's after ``input_ids[b][:t + 1]``.

        Raises
        ------
        TypeError, ValueError
            If an id or a length is wrong.
        """
        ids, offsets = ragged(input_ids, lengths, self._config.vocab_size, "input_ids")
        output, _, _ = self._stack.forward(ids, offsets)
        return split(self._output.forward(output), offsets)

    def score(self, input_ids: Any, lengths: Any = None, *, length_penalty: float = 1.0) -> TargetScores:
        """Return how probable each text is, end token included.

        Parameters
        ----------
        input_ids : sequence of sequences of int, or 2-D integer array
            Texts without start and end tokens.
        lengths : sequence of int, optional
            Of the rows of a 2-D array.
        length_penalty : float, default 1.0
            The sums of log-probabilities are divided by the number of tokens, the end token counted, to this power.

        Returns
        -------
        TargetScores
            Log-probabilities of the tokens, scores, perplexities.

        Raises
        ------
        TypeError, ValueError
            If an id or a length is wrong.
        """
        ids, offsets = ragged(input_ids, lengths, self._config.vocab_size, "input_ids")
        texts = split(ids, offsets)
        read = np.concatenate([[self._config.bos_token_id, *text] for text in texts] or [[]]).astype(np.int32)
        said = np.concatenate([[*text, self._config.eos_token_id] for text in texts] or [[]]).astype(np.int64)
        offsets = offsets + np.arange(len(offsets))
        output, _, _ = self._stack.forward(read, offsets)
        chosen = np.empty(len(read), np.float32)
        for begin in range(0, len(read), _BLOCK_ROWS):
            rows = slice(begin, begin + _BLOCK_ROWS)
            log_probs = self._functions.log_softmax(self._output.forward(output[rows]))
            chosen[rows] = np.take_along_axis(log_probs, said[rows, None], axis=1)[:, 0]
        return TargetScores.from_flat(chosen, offsets, length_penalty)

    def generate(self, input_ids: Any = ((),), lengths: Any = None, **options: Any) -> list[Generation]:
        """Write on from each prompt.

        Parameters
        ----------
        input_ids : sequence of sequences of int, or 2-D integer array, default one empty prompt
            Prompts without a start token.
        lengths : sequence of int, optional
            Of the rows of a 2-D array.
        **options
            As in `fastseq.beam_search`; greedy by default. The start token and the prompt count in `max_length` and
            `min_length`, not in `max_new_tokens`, which is 255 if neither is given; what keeps tokens from being
            repeated knows them.

        Returns
        -------
        list of Generation
            One for each prompt, in their order; tokens without the prompt and the end token.

        Raises
        ------
        TypeError, ValueError
            If an id, a length or an option is wrong.
        """
        with _backend.use_backend(self._backend):
            return beam_search(**self._start(input_ids, lengths), **_with_defaults(options))

    def stream(self, input_ids: Any = ((),), lengths: Any = None, **options: Any) -> SearchStream:
        """Write on as `generate` does, and iterate over the tokens as soon as they are certain.

        Parameters
        ----------
        input_ids, lengths, **options
            As in `generate`.

        Returns
        -------
        SearchStream
            An iterator of `StreamedTokens`. All prompts are continued together, as far as the stream is read.

        Raises
        ------
        TypeError, ValueError
            As in `generate`.
        """
        with _backend.use_backend(self._backend):
            return stream_search(**self._start(input_ids, lengths), **_with_defaults(options))

    def _start(self, input_ids: Any, lengths: Any) -> dict[str, Any]:
        """What a search that continues the prompts starts from."""
        prompts, offsets = ragged(input_ids, lengths, self._config.vocab_size, "input_ids")
        start = self._config.bos_token_id
        texts = [[start, *text] for text in split(prompts, offsets)]
        read = np.concatenate([text[:-1] for text in texts] or [[]]).astype(np.int32)
        # All but the last token of each prompt: with it the first step of the search begins.
        _, h, c = self._stack.forward(read, offsets)
        state = {"h": h.swapaxes(0, 1)}
        if c is not None:
            state["c"] = c.swapaxes(0, 1)
        ids = {"start_id": start, "eos_id": self._config.eos_token_id, "prompt": texts}
        return {"step": self._step, "state": state, "batch_size": len(texts), **ids}

    def _step(self, ids: NDArray[np.int64], state: State) -> tuple[Floats, State]:
        """Logits (n, V) after one more token in each row; h and c of the state are (n, num_layers, H)."""
        states = [np.ascontiguousarray(state[name].swapaxes(0, 1)) for name in ("h", "c") if name in state]
        output, h, c = self._stack.forward(ids.astype(np.int32), np.arange(len(ids) + 1), *states)
        after = {"h": h.swapaxes(0, 1)} | ({} if c is None else {"c": c.swapaxes(0, 1)})
        return self._output.forward(output), after


def _with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    limits = {} if {"max_length", "max_new_tokens"} & options.keys() else {"max_new_tokens": 255}
    return {"num_beams": 1, **limits, **options}
