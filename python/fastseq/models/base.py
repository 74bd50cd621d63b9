"""What all models have: a configuration, a folder they came from, a backend they run on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend, _checks
from fastseq.models.bound import BoundTensors
from fastseq.models.generation import GenerationDefaults
from fastseq.models.ragged import Offsets
from fastseq.models.tensors import check_tensors
from fastseq.search import GenerationConfig

__all__ = ["Floats", "Model", "PlacedModel", "split"]

Floats: TypeAlias = NDArray[np.float32]


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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._config!r}, backend={self._backend!r})"


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
        functions = _backend.get(self._backend)
        arrays: Mapping[str, Any]
        if not isinstance(tensors, BoundTensors):
            arrays = check_tensors(config, tensors)
        else:
            arrays = tensors.read_all() if self._backend == "numpy" else tensors
        self._core = getattr(functions, config.backend_class)(config.backend_options(), arrays, compute_type)

    @property
    def generation_config(self) -> GenerationConfig | None:
        """What `generate` does unless it is told otherwise; None if the model generates nothing."""
        return self._defaults.config if hasattr(self, "_defaults") else None


def split(rows: NDArray[Any], offsets: Offsets) -> list[NDArray[Any]]:
    """Return the rows of each sequence."""
    return [rows[begin:end] for begin, end in itertools.pairwise(offsets)]
