"""The joint-sequence n-gram: how probable a source and a target are together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq.models.base import HasVocabulary, PlacedModel
from fastseq.models.config import ModelConfig
from fastseq.models.ragged import Floats, ragged, ragged_targets
from fastseq.text import Vocabulary

__all__ = ["JointNgram", "JointNgramConfig", "check_joint_tensors"]

_INTEGERS = ("units.source", "units.targets", "nodes.unit", "nodes.num_children", "nodes.log_prob", "nodes.backoff")
_TABLES = ("log_probs", "backoffs")  # what nodes.log_prob and nodes.backoff are indices of
_LARGEST = 2**31 - 1
_TYPES = {name: "integers" for name in _INTEGERS} | {name: "floats" for name in _TABLES}


@dataclass(frozen=True, kw_only=True)
class JointNgramConfig(ModelConfig):
    """The vocabularies; everything else follows from the tensors.

    Parameters
    ----------
    source_vocab_size, target_vocab_size : int
        Number of source and target tokens.

    Raises
    ------
    ValueError
        If a field is wrong.
    """

    model_type: ClassVar[str] = "joint_ngram"

    source_vocab_size: int
    target_vocab_size: int


class JointNgram(HasVocabulary, PlacedModel):
    """An n-gram model of units, each a source token with the target tokens that it stands for (Bisani and Ney, 2008).

    It says how probable a pair is: what is left of the sum over all ways to divide it into such units. Its errors are
    others than a network's, so the two together choose better among what a search has found.

    Parameters
    ----------
    config : JointNgramConfig
    tensors : mapping of str to array
        As "model-folder" in the documentation lists them.
    vocabulary : Vocabulary, optional
        What the ids mean; pipelines need it.
    backend : {"native", "numpy"}, optional
        The active one by default.
    folder : Path, optional
        Where it comes from.
    compute_type : {"float32"}
        There is no other: its numbers are looked up and added.

    Raises
    ------
    ValueError
        If tensors are missing, not expected, of another type or shape, or do not describe such a model.

    Examples
    --------
    >>> import fastseq
    >>> from fastseq.pipelines.pronounce import BUNDLED_NGRAM
    >>> ngram = fastseq.load_model(BUNDLED_NGRAM)
    >>> letters, phonemes = ngram.vocabulary.source, ngram.vocabulary.target
    >>> word = [letters.index(letter) for letter in "cat"]
    >>> said = [[phonemes.index(p) for p in text.split()] for text in ("K AE T", "S AE T", "K EY T")]
    >>> int(ngram.score([word] * 3, said).argmax())
    0
    """

    task = "scoring of pairs"

    def __init__(
        self,
        config: JointNgramConfig,
        tensors: Mapping[str, NDArray[Any]],
        vocabulary: Vocabulary | None = None,
        backend: str | None = None,
        folder: Path | None = None,
        compute_type: str = "float32",
    ) -> None:
        if compute_type != "float32":
            raise ValueError(f"compute_type is {compute_type!r}; expected 'float32': a joint n-gram multiplies nothing")
        super().__init__(config, backend, folder, compute_type)
        arrays = check_joint_tensors(tensors)
        self._vocabulary = vocabulary
        self._num_ngrams = len(arrays["nodes.unit"]) - 1
        sizes = config.source_vocab_size, config.target_vocab_size
        log_probs, backoffs = (
            arrays[table].astype(np.float32)[arrays[index]]
            for table, index in (("log_probs", "nodes.log_prob"), ("backoffs", "nodes.backoff"))
        )
        whole = [np.ascontiguousarray(arrays[name], np.int32) for name in _INTEGERS[:4]]
        self._core = _backend.get(self._backend).JointNgram(*sizes, *whole, log_probs, backoffs)

    @property
    def config(self) -> JointNgramConfig:
        """The sizes of the vocabularies."""
        config: JointNgramConfig = self._config
        return config

    @property
    def num_ngrams(self) -> int:
        """How many n-grams have a probability of their own."""
        return self._num_ngrams

    def score(self, input_ids: Any, target_ids: Any) -> Floats:
        """Return the log-probability of each pair.

        Parameters
        ----------
        input_ids, target_ids : sequence of sequences of int
            As many of one as of the other; without start and end tokens.

        Returns
        -------
        (B,) float32 array
            Natural logarithms of joint probabilities, each of its own pair alone, bit for bit; -inf for a pair that
            cannot be divided into units that the model knows.

        Raises
        ------
        TypeError, ValueError
            If an id is wrong, or there are more sources than targets or fewer.
        """
        ids, offsets = ragged(input_ids, None, self.config.source_vocab_size, "input_ids")
        target, target_offsets = ragged_targets(target_ids, self.config.target_vocab_size, len(offsets) - 1)
        log_probs: Floats = self._core.score(ids, offsets, target, target_offsets)
        return log_probs


def check_joint_tensors(tensors: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the tensors as arrays.

    Parameters
    ----------
    tensors : mapping of str to array

    Returns
    -------
    dict of str to array

    Raises
    ------
    ValueError
        Naming every tensor that is missing, not expected, of another type or length, or an index out of range.
    """
    arrays = {name: np.asarray(tensor) for name, tensor in tensors.items()}
    problems = [f"tensor {name} is missing" for name in _TYPES if name not in arrays]
    problems += [f"tensor {name} is not expected" for name in arrays if name not in _TYPES]
    for name in _TYPES.keys() & arrays.keys():
        rank, array = 1 + (name == "units.targets"), arrays[name]
        if array.dtype.kind not in ("f" if name in _TABLES else "iu"):
            problems.append(f"tensor {name} has dtype {array.dtype}; expected {_TYPES[name]}")
        elif name not in _TABLES and array.size and not -_LARGEST <= int(array.min()) <= int(array.max()) <= _LARGEST:
            problems.append(f"tensor {name} has numbers that are no 32-bit integers")
        elif array.ndim != rank:
            problems.append(f"tensor {name} has shape {array.shape}; expected {rank} dimensions")
    if not problems:
        nodes, units = len(arrays["nodes.unit"]), len(arrays["units.source"])
        for name in _INTEGERS:
            count = nodes if name.startswith("nodes.") else units
            if len(arrays[name]) != count:
                problems.append(f"tensor {name} has {len(arrays[name])} rows; expected {count}")
        for index, table in zip(("nodes.log_prob", "nodes.backoff"), _TABLES, strict=True):
            wrong = (arrays[index] < 0) | (arrays[index] >= len(arrays[table]))
            if wrong.any():
                first, size = arrays[index][wrong.argmax()], len(arrays[table])
                problems.append(f"tensor {index} has index {first}; expected one of the {size} {table}")
    if problems:
        raise ValueError("; ".join(sorted(problems)))
    return arrays
