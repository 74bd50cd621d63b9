"""Models that other toolkits keep in one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from fastseq.models.config import Seq2SeqConfig
from fastseq.models.marian_npz import read_marian
from fastseq.models.opennmt import read_opennmt
from fastseq.text import Vocabulary

__all__ = ["FOREIGN"]

_Parts: TypeAlias = tuple[Seq2SeqConfig, dict[str, Any], Vocabulary | None]

# What a file's name ends with, and the reader that returns what `Seq2SeqModel` takes.
FOREIGN: dict[str, Callable[[Path], _Parts]] = {".npz": read_marian, ".pt": read_opennmt}
