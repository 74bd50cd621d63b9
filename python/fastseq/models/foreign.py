"""Models that other toolkits keep in one file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from fastseq.models.config import Seq2SeqConfig
from fastseq.models.marian_npz import read_marian
from fastseq.models.opennmt import read_opennmt
from fastseq.text import Vocabulary

__all__ = ["read_foreign"]

_Parts: TypeAlias = tuple[Seq2SeqConfig, dict[str, Any], Vocabulary | None]
_READERS: dict[str, Callable[[Path], _Parts]] = {".npz": read_marian, ".pt": read_opennmt}


def read_foreign(path: str | os.PathLike[str]) -> _Parts:
    """Read a model file by what its name ends with.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    config, tensors, vocabulary
        What `Seq2SeqModel` takes.

    Raises
    ------
    ValueError
        If the name ends otherwise, or the file is damaged or not supported.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise ValueError(f"{path}: expected a model folder, or a file that ends with {' or '.join(_READERS)}")
    return reader(path)
