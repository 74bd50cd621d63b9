"""Model folders by the name they have on the Hugging Face hub."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import Any

from fastseq.text.extras import require

__all__ = ["model_folder"]

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
# What a model needs beside its weights.
_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "target_vocab.json",
    "vocab.txt",
    "merges.txt",
    "*.spm",
    "spiece.model",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "tokenizer.model",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "*_Pooling/config.json",
    "*_Dense/config.json",
    "*_Dense/model.safetensors",
    "*_Dense/pytorch_model.bin",
)
# The forms of the weights, the first that is there is taken.
_WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*.safetensors"),
    ("pytorch_model.bin",),
    ("pytorch_model.bin.index.json", "pytorch_model-*.bin"),
)


def model_folder(model: str | os.PathLike[str], revision: str | None = None) -> Path:
    """Return the folder of a model: a local one, or one from the hub by way of its cache.

    Parameters
    ----------
    model : str or path
        A folder, which always wins, or a hub name such as "Helsinki-NLP/opus-mt-en-de".
    revision : str, optional
        Branch, tag or commit on the hub.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        If there is no such folder, nor such a model on the hub or, without network, in the cache.
    ImportError
        If it is a hub name and the package `huggingface_hub` is not installed.

    Notes
    -----
    Only the files that a model needs are fetched, weights in one form. HF_HUB_OFFLINE=1 keeps to the cache, HF_HOME and
    HF_TOKEN are honoured.

    Examples
    --------
    >>> model_folder("no-such-folder")
    Traceback (most recent call last):
    FileNotFoundError: no model folder 'no-such-folder', and no name of a hub model, which is OWNER/NAME
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    name = os.fspath(model)
    if not _NAME.fullmatch(name):
        raise FileNotFoundError(f"no model folder {name!r}, and no name of a hub model, which is OWNER/NAME")
    try:
        hub = require("huggingface_hub", f"there is no folder {name!r}; to take it as the name of a hub model fastseq")
    except ImportError:
        if folder.parent.is_dir():  # more likely a mistyped path
            raise FileNotFoundError(f"no model folder {name!r}") from None
        raise
    return _fetch(hub, name, revision)


def _fetch(hub: Any, name: str, revision: str | None) -> Path:
    errors, constants = (require(f"huggingface_hub.{part}", "a hub model") for part in ("errors", "constants"))
    reason = "HF_HUB_OFFLINE is set"
    if not constants.HF_HUB_OFFLINE:
        try:
            chosen = choose_files(hub.list_repo_files(name, revision=revision))
            found = hub.snapshot_download(
                name, revision=revision, allow_patterns=chosen, tqdm_class=_progress_class(hub)
            )
            return Path(found)
        except errors.RepositoryNotFoundError:
            raise FileNotFoundError(f"no model folder {name!r}, and no such model on the hub") from None
        except errors.RevisionNotFoundError:
            raise FileNotFoundError(f"the hub model {name!r} has no revision {revision!r}") from None
        except _network_errors(errors) as error:
            reason = f"the hub cannot be reached ({type(error).__name__})"
    try:
        return Path(hub.snapshot_download(name, revision=revision, local_files_only=True))
    except (errors.LocalEntryNotFoundError, ValueError, OSError):
        raise FileNotFoundError(
            f"no model folder {name!r}; as a hub model it is not in the cache, and {reason}"
        ) from None


def choose_files(available: list[str]) -> list[str]:
    """Return the files that a model needs of those a repository has.

    Parameters
    ----------
    available : list of str

    Returns
    -------
    list of str

    Examples
    --------
    >>> choose_files(["config.json", "model.safetensors", "pytorch_model.bin", "rust_model.ot", "vocab.txt"])
    ['config.json', 'vocab.txt', 'model.safetensors']
    """
    chosen = [name for name in available if any(fnmatch.fnmatchcase(name, pattern) for pattern in _FILES)]
    # Weights of a dense layer behind the model, too, are wanted in one form.
    safe = [name.removesuffix("model.safetensors") for name in chosen if name.endswith("/model.safetensors")]
    chosen = [name for name in chosen if name.removesuffix("pytorch_model.bin") not in safe]
    for form in _WEIGHTS:
        weights = [name for name in available if any(fnmatch.fnmatchcase(name, pattern) for pattern in form)]
        if any(fnmatch.fnmatchcase(name, form[0]) for name in weights):
            return chosen + weights
    return chosen


def _progress_class(hub: Any) -> Any:
    """A progress bar that stays away where nobody looks: standard error is no terminal."""

    class Bar(hub.utils.tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            if options.get("disable") is not True:
                options["disable"] = None
            super().__init__(*args, **options)

    return Bar


def _network_errors(errors: Any) -> tuple[type[Exception], ...]:
    """OSError, the hub's own exception, and those of the HTTP library that it is derived from."""
    kinds = errors.HfHubHTTPError.__mro__
    return OSError, *(kind for kind in kinds if issubclass(kind, Exception) and kind.__module__ != "builtins")
