"""What all models have: a configuration, a folder they came from, a backend they run on."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend, _checks
from fastseq.models.bound import BoundTensors
from fastseq.models.config import CONFIG_FILE, ModelConfig
from fastseq.models.generation import GenerationDefaults
from fastseq.models.packed import PackedTensors, save_packed
from fastseq.models.ragged import Offsets
from fastseq.models.tensors import check_tensors
from fastseq.search import GenerationConfig
from fastseq.text import Vocabulary

__all__ = [
    "VOCABULARY_FILE",
    "Floats",
    "HasVocabulary",
    "Model",
    "PlacedModel",
    "place",
    "present",
    "split",
    "split_parts",
]

VOCABULARY_FILE = "vocab.json"

Floats: TypeAlias = NDArray[np.float32]
_Vocabulary = TypeVar("_Vocabulary")
_Placed = TypeVar("_Placed", bound="PlacedModel")


class PlacedModel:
    """What runs on one backend and may have come from a folder.

    Parameters
    ----------
    config
    backend : {"native", "numpy"}, optional
        The active one by default.
    folder : Path, optional
    compute_type : str
    """

    def __init__(self, config: Any, backend: str | None, folder: Path | None, compute_type: str) -> None:
        self._config = config
        self._compute_type = _checks.compute_type(type(self).__name__, compute_type)
        self._backend = _backend.active_name() if backend is None else backend
        self._folder = folder

    @property
    def compute_type(self) -> str:
        """What the weights of dense and recurrent layers are computed in."""
        return self._compute_type

    @property
    def backend(self) -> str:
        """Where it runs: "native" or "numpy"."""
        return self._backend

    @property
    def folder(self) -> Path | None:
        """The folder it was read from, if there is one."""
        return self._folder

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """Write a folder that `fastseq.load_model` maps: the weights as they are computed with, ready for use.

        A model that is loaded from it computes the same bits. Its weights are packed for the vectors of this processor;
        on one with others they are packed anew, which takes longer and changes nothing else.

        Parameters
        ----------
        path : str or path
            The folder; it is made if it is not there. Files for reading texts are copied from the model's own folder.

        Raises
        ------
        ValueError
            If the folder has weights of another form, the model does not run on the native backend, or it is one of
            Keras.

        Examples
        --------
        >>> import tempfile, fastseq
        >>> published = fastseq.pipeline("pronounce", "lstm").model.folder
        >>> model = fastseq.load_model(published, compute_type="int8", backend="native")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_pretrained(folder)
        ...     fastseq.load_model(folder).compute_type
        'int8'
        """
        if self._backend != "native":
            raise ValueError(f"the model runs on {self._backend!r}; expected 'native', which packs weights")
        config, defaults = self._config, getattr(self, "_defaults", None)
        kind = getattr(config, "kind", config.model_type)
        folder = save_packed(path, kind, config, self._compute_type, self._weights(), defaults, self._folder)
        if isinstance(config, ModelConfig):
            (folder / CONFIG_FILE).write_text(config.to_json(), encoding="utf-8")
        vocabulary = getattr(self, "_vocabulary", None) or getattr(self, "_tokenizer", None)
        if vocabulary is not None:
            vocabulary.save(folder / VOCABULARY_FILE)

    def _weights(self) -> dict[str, Any]:
        """Where they lie in memory."""
        raise ValueError(f"a {type(self).__name__} is not saved in this form; keep the file that it came from")

    def __copy__(self: _Placed) -> _Placed:
        return self  # nothing of it changes

    def __deepcopy__(self: _Placed, memo: dict[int, Any]) -> _Placed:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled; load it in each process from its folder, which"
            " save_pretrained can write"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._config!r}, backend={self._backend!r})"


def present(vocabulary: _Vocabulary | None) -> _Vocabulary:
    """Return what a folder's vocab.json holds; ValueError if the model came without."""
    if vocabulary is None:
        raise ValueError("the model has no vocabulary; its folder needs a vocab.json")
    return vocabulary


class HasVocabulary:
    """What reads source tokens and has target tokens."""

    _vocabulary: Vocabulary | None

    @property
    def vocabulary(self) -> Vocabulary:
        """What the ids mean.

        Raises
        ------
        ValueError
            If the model came without one.
        """
        return present(self._vocabulary)


class Model(PlacedModel):
    """A model with its weights, packed for one backend.

    Parameters
    ----------
    config
        A configuration with `backend_class`, `backend_options` and the shapes of its tensors.
    tensors : mapping of str to float array
    backend : {"native", "numpy"}, optional
        The active one by default.
    folder : Path, optional
    defaults : GenerationDefaults, optional
    compute_type : str, default "float32"
    """

    task: str
    _defaults: GenerationDefaults  # only of models that generate

    def __init__(
        self,
        config: Any,
        tensors: Mapping[str, Any],
        backend: str | None = None,
        folder: Path | None = None,
        defaults: GenerationDefaults | None = None,
        compute_type: str = "float32",
    ) -> None:
        super().__init__(config, backend, folder, compute_type)
        if defaults is not None:
            self._defaults = defaults
        functions, arrays = _backend.get(self._backend), place(config, tensors, self._backend)
        self._core = getattr(functions, config.backend_class)(config.backend_options(), arrays, compute_type)

    def _weights(self) -> dict[str, Any]:
        weights: dict[str, Any] = self._core.weights()
        return weights

    @property
    def generation_config(self) -> GenerationConfig | None:
        """What `generate` does unless it is told otherwise; None if the model generates nothing."""
        return self._defaults.config if hasattr(self, "_defaults") else None


def place(config: Any, tensors: Mapping[str, Any], backend: str) -> Mapping[str, Any]:
    """Return the tensors of a model as a backend takes them, checked."""
    if not isinstance(tensors, (BoundTensors, PackedTensors)):
        return check_tensors(config, tensors)
    return tensors.read_all() if backend == "numpy" else tensors


def split_parts(results: Iterable[tuple[NDArray[Any], Offsets]]) -> list[NDArray[Any]]:
    """Return the rows of each sequence of a batch that was computed in parts."""
    return [sequence for rows, offsets in results for sequence in split(rows, offsets)]


def split(rows: NDArray[Any], offsets: Offsets) -> list[NDArray[Any]]:
    """Return the rows of each sequence."""
    return [rows[begin:end] for begin, end in itertools.pairwise(offsets)]
