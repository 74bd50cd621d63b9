"""Classifiers of sentences: recurrent layers, a pooling over the states, a linear layer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from fastseq.models.ragged import Floats, Offsets, ragged
from fastseq.models.recurrent_stack import RecurrentStackConfig, RecurrentTextModel, as_table

__all__ = ["RecurrentClassifier", "RecurrentClassifierConfig"]


@dataclass(frozen=True, kw_only=True)
class RecurrentClassifierConfig(RecurrentStackConfig):
    """RNN, LSTM or GRU layers, pooling, and a logit for each label.

    Parameters
    ----------
    vocab_size, embedding_size : int
    cell : {"rnn_tanh", "rnn_relu", "lstm", "gru"}
    hidden_size, num_layers : int
    bidirectional : bool
    pooling : {"attention", "max", "mean", "last"}
        What the classifier sees of the states h_t of the last layer. "attention": their sum weighted by
        softmax_t(v . tanh(W h_t + b)) (Yang et al., 2016); "max", "mean": over t, element by element; "last": the
        states where each direction ends.
    labels : tuple of str
        Names of the classes; ids are positions.
    attention_size : int, optional
        Rows of W, for "attention" only.

    Raises
    ------
    ValueError
        If any field is wrong, naming all of them, or fields disagree.

    Examples
    --------
    >>> config = RecurrentClassifierConfig(
    ...     vocab_size=100, embedding_size=8, cell="lstm", hidden_size=16, num_layers=1, bidirectional=True,
    ...     pooling="max", labels=("negative", "positive"))
    >>> config.tensor_shapes()["output.weight"], config.id2label
    ((2, 32), {0: 'negative', 1: 'positive'})
    """

    model_type: ClassVar[str] = "recurrent_classifier"

    bidirectional: bool
    pooling: Literal["attention", "max", "mean", "last"]
    labels: tuple[str, ...]
    attention_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "labels", tuple(self.labels))

    def _disagreements(self) -> list[str]:
        if (self.pooling == "attention") == (self.attention_size is not None):
            return super()._disagreements()
        wanted = "a size" if self.pooling == "attention" else "none"
        problem = f"attention_size is {self.attention_size}; pooling {self.pooling!r} needs {wanted}"
        return [*super()._disagreements(), problem]

    @property
    def directions(self) -> tuple[str, ...]:
        """Ends of the names of the tensors of each direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def problem_type(self) -> str:
        """One label for each sentence, in the words of Hugging Face."""
        return "single_label_classification"

    @property
    def id2label(self) -> dict[int, str]:
        """The name of each class by its id."""
        return dict(enumerate(self.labels))

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model must have, by name."""
        shapes = super().tensor_shapes()
        if self.attention_size is not None:
            shapes["attention.weight"] = (self.attention_size, self.memory_size)
            shapes["attention.bias"] = (self.attention_size,)
            shapes["attention.score.weight"] = (1, self.attention_size)
        shapes["output.weight"] = (len(self.labels), self.memory_size)
        shapes["output.bias"] = (len(self.labels),)
        return shapes


class RecurrentClassifier(RecurrentTextModel[RecurrentClassifierConfig]):
    """A sentence classifier with its weights.

    `load_model` makes one from a folder. The logits of a sentence do not depend on the others of its batch.

    Parameters
    ----------
    config : RecurrentClassifierConfig
    tensors : mapping of str to float32 array
        Named and shaped as ``config.tensor_shapes()`` says.
    tokenizer : WordTokenizer, optional
        What the ids mean; pipelines need it.
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
    >>> config = RecurrentClassifierConfig(
    ...     vocab_size=9, embedding_size=4, cell="gru", hidden_size=3, num_layers=1, bidirectional=False,
    ...     pooling="mean", labels=("no", "yes"))
    >>> zeros = {name: np.zeros(shape) for name, shape in config.tensor_shapes().items()}
    >>> RecurrentClassifier(config, zeros | {"output.bias": np.array([0.5, 2.0])}).logits([[1, 2, 3], []])
    [array([0.5, 2. ], dtype=float32), array([0.5, 2. ], dtype=float32)]
    """

    task = "text-classification"

    def _prepare(self, arrays: Mapping[str, Any]) -> None:
        self._output = self._linear(arrays, "output.weight")
        self._attention = {name: as_table(arrays[name]) for name in arrays if name.startswith("attention.")}

    def _tables(self) -> dict[str, Any]:
        return self._attention

    def encode(self, input_ids: Any, lengths: Any = None) -> list[Floats]:
        """Return the last layer's states of each sentence, (T, memory_size).

        Parameters
        ----------
        input_ids : sequence of sequences of int, or 2-D integer array
        lengths : sequence of int, optional
            Of the rows of a 2-D array.

        Returns
        -------
        list of float32 arrays

        Raises
        ------
        TypeError, ValueError
            If an id or a length is wrong.
        """
        ids, offsets = ragged(input_ids, lengths, self._config.vocab_size, "input_ids")
        output, _, _ = self._stack.forward(ids, offsets)
        return [output[begin:end] for begin, end in itertools.pairwise(offsets)]

    def logits(self, input_ids: Any, lengths: Any = None) -> list[Floats]:
        """Return the logits of each sentence, (number of labels,).

        Parameters
        ----------
        input_ids, lengths
            As in `encode`.

        Returns
        -------
        list of float32 arrays

        Raises
        ------
        TypeError, ValueError
            If an id or a length is wrong.
        """
        ids, offsets = ragged(input_ids, lengths, self._config.vocab_size, "input_ids")
        output, h_n, _ = self._stack.forward(ids, offsets)
        logits: Floats = self._output.forward(self._pool(output, offsets, h_n))
        return list(logits)

    def attention(self, input_ids: Any, lengths: Any = None) -> list[Floats]:
        """Return how much each token counts in its sentence, (T,); every row sums to 1.

        Parameters
        ----------
        input_ids, lengths
            As in `encode`.

        Returns
        -------
        list of float32 arrays

        Raises
        ------
        ValueError
            If the model has another pooling.
        """
        if self._config.pooling != "attention":
            raise ValueError(f"pooling is {self._config.pooling!r}; only 'attention' has weights")
        return [self._attend(states)[1] for states in self.encode(input_ids, lengths)]

    def _pool(self, output: Floats, offsets: Offsets, h_n: Floats) -> Floats:
        """(B, memory_size) of states (N, memory_size); zeros of a sentence without tokens."""
        directions = len(self._config.directions)
        if self._config.pooling == "last":
            return np.concatenate(list(h_n[-directions:]), axis=1)
        pooled = np.zeros((len(offsets) - 1, self._config.memory_size), np.float32)
        for b, (begin, end) in enumerate(itertools.pairwise(offsets)):
            states = output[begin:end]
            if self._config.pooling == "attention":
                pooled[b] = self._attend(states)[0]
            elif end > begin and self._config.pooling == "max":
                states.max(axis=0, out=pooled[b])
            elif end > begin:  # a sum over rows, each added to the last: one order, whatever the batch
                np.divide(states.sum(axis=0), np.float32(end - begin), out=pooled[b])
        return pooled

    def _attend(self, states: Floats) -> tuple[Floats, Floats]:
        """Weighted mean (memory_size,) of states (T, memory_size), and the weights (T,).

        Additive attention with a query of zeros: its score is v . tanh(W_q 0 + W h_t + b).
        """
        nothing = np.zeros((1, 1, 1), np.float32)
        weight = self._attention["attention.weight"]
        context, weights = self._functions.additive_attention(
            nothing,
            states[None],
            states[None],
            np.zeros((len(weight), 1), np.float32),
            weight,
            self._attention["attention.score.weight"][0],
            self._attention["attention.bias"],
            None,
        )
        return context[0, 0], weights[0, 0]
