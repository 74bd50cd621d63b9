"""The grapheme-to-phoneme models that fastseq brings along."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastseq.models import Ensemble, JointNgram, Seq2SeqModel, load_model

__all__ = ["BUNDLED_MODELS", "BUNDLED_NGRAM", "load_ngram", "load_pronouncing_model"]

_DATA = Path(__file__).resolve().parents[1] / "data"
BUNDLED_MODELS = {"lstm": _DATA / "g2p-lstm", "transformer": _DATA / "g2p-transformer"}
BUNDLED_NGRAM = _DATA / "g2p-ngram"
_ALL = "ensemble"  # of the bundled models


def load_pronouncing_model(
    model: str | os.PathLike[str], compute_type: str | None, backend: str | None
) -> Seq2SeqModel:
    """Load a model that pronounces.

    Parameters
    ----------
    model : {"lstm", "transformer", "ensemble"} or path
    compute_type, backend : str, optional

    Returns
    -------
    Seq2SeqModel

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, its folder is damaged, or it is for something else.
    """
    if model == _ALL:
        members = [load_model(folder, compute_type, backend) for folder in BUNDLED_MODELS.values()]
        return Ensemble(members, average="log")
    folder = BUNDLED_MODELS[str(model)] if model in BUNDLED_MODELS else Path(model)
    if not folder.is_dir():
        known = ", ".join([*BUNDLED_MODELS, _ALL])
        raise FileNotFoundError(f"no model {str(folder)!r}; expected {known} or the path of a model folder")
    loaded = load_model(folder, compute_type, backend)
    if not isinstance(loaded, Seq2SeqModel):
        raise ValueError(f"model {model!r} is for {loaded.task}; expected one that pronounces")
    return loaded


def load_ngram(ngram: Any, model: Any, backend: str | None) -> JointNgram | None:
    """Load the n-gram that judges what a model finds.

    Parameters
    ----------
    ngram : bool, path or JointNgram, optional
        True for the bundled one, False for none; by default the bundled one for bundled models.
    model : object
        What names the model.
    backend : str, optional

    Returns
    -------
    JointNgram or None

    Raises
    ------
    TypeError, FileNotFoundError, ValueError
        If it is something else, there is no such folder, or it is damaged.
    """
    if ngram is None:
        ngram = isinstance(model, str) and model in (*BUNDLED_MODELS, _ALL)
    if isinstance(ngram, bool):
        ngram = BUNDLED_NGRAM if ngram else None
    if ngram is None or isinstance(ngram, JointNgram):
        return ngram
    if not isinstance(ngram, (str, os.PathLike)):
        raise TypeError(f"ngram is {type(ngram).__name__}; expected True, False, a path or a JointNgram")
    loaded = load_model(ngram, None, backend)
    if not isinstance(loaded, JointNgram):
        raise ValueError(f"ngram {str(ngram)!r} is for {loaded.task}; expected a joint n-gram")
    return loaded
