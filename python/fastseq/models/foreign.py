"""Models that other toolkits keep in one file; a reader is imported when there is a file for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from fastseq.models.config import Seq2SeqConfig
from fastseq.text import Vocabulary

__all__ = ["FOREIGN"]

_Parts: TypeAlias = tuple[Seq2SeqConfig, dict[str, Any], Vocabulary | None]


def _read_checkpoint(path: Path) -> _Parts:
    """A `.pt` file of fairseq or OpenNMT-py."""
    from fastseq.models.fairseq import is_fairseq, read_fairseq
    from fastseq.models.opennmt import read_opennmt
    from fastseq.weights.checkpoint import open_checkpoint

    checkpoint = open_checkpoint(path)
    try:
        return read_fairseq(checkpoint) if is_fairseq(checkpoint) else read_opennmt(checkpoint)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(checkpoint.path) else f"{checkpoint.path}: {text}") from None


def _read_marian(path: Path) -> _Parts:
    from fastseq.models.marian_npz import read_marian

    return read_marian(path)


# What a file's name ends with, and the reader that returns what `Seq2SeqModel` takes.
FOREIGN: dict[str, Callable[[Path], _Parts]] = {".npz": _read_marian, ".pt": _read_checkpoint}
