"""An embedding and stacked recurrent layers behind it: what classifiers and language models share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from fastseq import _backend
from fastseq._layout import CELL_GATES, WEIGHT_KINDS
from fastseq.models.base import PlacedModel, place, present
from fastseq.models.config import ModelConfig
from fastseq.models.ragged import Floats, Ids, Offsets
from fastseq.text import WordTokenizer

__all__ = ["RecurrentStack", "RecurrentStackConfig", "RecurrentTextModel"]


@dataclass(frozen=True, kw_only=True)
class RecurrentStackConfig(ModelConfig):
    """Sizes of an embedding and the recurrent layers that read it.

    Parameters
    ----------
    vocab_size, embedding_size : int
        V and E.
    cell : {"rnn_tanh", "rnn_relu", "lstm", "gru"}
    hidden_size, num_layers : int
        H and L.
    """

    vocab_size: int
    embedding_size: int
    cell: Literal["rnn_tanh", "rnn_relu", "lstm", "gru"]
    hidden_size: int
    num_layers: int

    @property
    def directions(self) -> tuple[str, ...]:
        """Ends of the names of the tensors of each direction."""
        return ("",)

    @property
    def memory_size(self) -> int:
        """Width of the last layer's output: the directions side by side."""
        return self.hidden_size * len(self.directions)

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model must have, by name."""
        shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (self.vocab_size, self.embedding_size)}
        rows = CELL_GATES[self.cell] * self.hidden_size
        for layer in range(self.num_layers):
            width = self.memory_size if layer else self.embedding_size
            for direction in self.directions:
                sizes = ((rows, width), (rows, self.hidden_size), (rows,), (rows,))
                shapes |= {
                    f"rnn.{kind}_l{layer}{direction}": size for kind, size in zip(WEIGHT_KINDS, sizes, strict=True)
                }
        return shapes


def as_table(tensor: Any) -> Any:
    """Return the array of a tensor that is used as it is."""
    return tensor["table"] if isinstance(tensor, dict) else tensor


class RecurrentStack:
    """The layers packed for one backend; batches are ragged.

    Parameters
    ----------
    config : RecurrentStackConfig
    tensors : mapping of str to float32 array
    backend : str
    compute_type : str
    """

    def __init__(
        self, config: RecurrentStackConfig, tensors: Mapping[str, Any], backend: str, compute_type: str
    ) -> None:
        self._functions = _backend.get(backend)
        self._embedding = as_table(tensors["embedding.weight"])
        bidirectional = len(config.directions) == 2
        if backend == "native":
            sizes = config.embedding_size, config.hidden_size, config.num_layers
            self._rnn = self._functions.Recurrent.of(tensors, "rnn.", config.cell, *sizes, bidirectional, compute_type)
            return
        weights = [
            tuple(tensors[f"rnn.{kind}_l{layer}{direction}"] for kind in WEIGHT_KINDS)
            for layer in range(config.num_layers)
            for direction in config.directions
        ]
        self._rnn = self._functions.Recurrent(config.cell, weights, bidirectional, False, compute_type)

    def weights(self) -> dict[str, Any]:
        """Where they lie in memory, of the native backend."""
        found: dict[str, Any] = self._rnn.weights()
        found["tables"]["embedding.weight"] = self._embedding
        return found

    def forward(
        self, ids: Ids, offsets: Offsets, h0: Floats | None = None, c0: Floats | None = None
    ) -> tuple[Floats, Floats, Floats | None]:
        """Read sequences of ids that lie end to end.

        Parameters
        ----------
        ids : (N,)
        offsets : (B + 1,)
        h0, c0 : (num_layers * directions, B, H), optional
            Zeros by default.

        Returns
        -------
        output : (N, memory_size)
        h_n, c_n
            Last states, shaped as `h0`; c_n is None unless the cell has one.
        """
        embedded = self._functions.embedding(ids.astype(np.int64), self._embedding)
        output, h_n, c_n = self._rnn.forward(embedded, offsets, h0, c0)
        return output, h_n, c_n


_Config = TypeVar("_Config", bound=RecurrentStackConfig)


class RecurrentTextModel(PlacedModel, Generic[_Config]):
    """A stack with an output layer on it, and what its ids mean.

    Parameters
    ----------
    config : RecurrentStackConfig
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
    """

    _config: _Config
    _output: Any

    def __init__(
        self,
        config: _Config,
        tensors: Mapping[str, Any],
        tokenizer: WordTokenizer | None = None,
        backend: str | None = None,
        folder: Path | None = None,
        compute_type: str = "float32",
    ) -> None:
        super().__init__(config, backend, folder, compute_type)
        self._tokenizer = tokenizer
        arrays = place(config, tensors, self._backend)
        self._functions = _backend.get(self._backend)
        self._stack = RecurrentStack(config, arrays, self._backend, compute_type)
        self._prepare(arrays)

    def _prepare(self, arrays: Mapping[str, Any]) -> None:
        """Pack the layers behind the stack."""
        raise NotImplementedError

    def _linear(self, arrays: Mapping[str, Any], weight: str) -> Any:
        """Pack the output layer, with a weight of this name."""
        shape = self._config.tensor_shapes()[weight]
        if self._backend == "native":
            return self._functions.Linear.of(arrays, weight, "output.bias", *shape, self._compute_type)
        return self._functions.Linear(arrays[weight], arrays["output.bias"], self._compute_type)

    def _tables(self) -> dict[str, Any]:
        """Tensors that are used as they are."""
        return {}

    def _weights(self) -> dict[str, Any]:
        weights, output = self._stack.weights(), self._output.weights()
        tables = weights["tables"] | self._tables()
        packed = weights["packed"] | output["packed"]
        return {
            "tables": tables,
            "vectors": weights["vectors"] | output["vectors"],
            # An embedding that is the output layer's weight too stays what it is.
            "packed": {name: rows for name, rows in packed.items() if name not in tables},
        }

    @property
    def config(self) -> _Config:
        """Sizes and kinds of the parts."""
        return self._config

    @property
    def tokenizer(self) -> WordTokenizer:
        """What the ids mean.

        Raises
        ------
        ValueError
            If the model came without one.
        """
        return present(self._tokenizer)
