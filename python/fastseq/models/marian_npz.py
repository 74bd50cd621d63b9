"""Models in `.npz` files of Marian: Transformers and recurrent ones.

Matrices are (in, out), vectors (1, n), layers count from 1. The decoder starts from an embedding of zeros, for which
the target vocabulary gets one more token that has no probability.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.models.config import Seq2SeqConfig
from fastseq.models.marian_arrays import MarianArrays, size_option
from fastseq.models.marian_s2s import read_s2s
from fastseq.models.marian_transformer import read_transformer
from fastseq.models.marian_vocabulary import read_vocabularies
from fastseq.text import Vocabulary
from fastseq.weights.flat_yaml import read_flat_yaml
from fastseq.weights.npz import read_npz

__all__ = ["read_marian"]

_Arrays = dict[str, NDArray[np.float32]]
_CONFIG = "special:model.yml"
_READERS = {"transformer": read_transformer, "s2s": read_s2s}


def read_marian(path: str | os.PathLike[str]) -> tuple[Seq2SeqConfig, _Arrays, Vocabulary | None]:
    """Read a model of Marian.

    Parameters
    ----------
    path : str or path
        The `.npz` file; its configuration is inside. Vocabularies are read if `decoder.yml` or the file's own
        `.decoder.yml` beside it names `.yml` files. Sources must end with id 0, `</s>`.

    Returns
    -------
    config, tensors, vocabulary
        What `Seq2SeqModel` takes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or something else, tensors are missing, or options are not supported; the message names
        all of them.
    """
    arrays = read_npz(path)
    try:
        config, tensors = _convert(arrays)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    return config, tensors, read_vocabularies(Path(path))


def _convert(arrays: dict[str, NDArray[Any]]) -> tuple[Seq2SeqConfig, _Arrays]:
    if _CONFIG not in arrays or arrays[_CONFIG].dtype.itemsize != 1:
        raise ValueError(f"there is no {_CONFIG}; expected a model of Marian")
    try:
        options = read_flat_yaml(arrays.pop(_CONFIG).tobytes().rstrip(b"\0").decode())
    except ValueError as error:
        raise ValueError(f"{_CONFIG}: {error}") from None
    kind = options.get("type")
    if not isinstance(kind, str) or kind not in _READERS:
        raise ValueError(f"type is {str(kind)[:60]!r}; expected one of {', '.join(_READERS)}")
    reader = MarianArrays(arrays, size_option(options, "dim-emb"))
    config, tensors = _READERS[kind](reader, options)
    reader.finish()
    return config, tensors
