"""`fastseq info`: what is installed and where it runs."""

from __future__ import annotations

import argparse
import math
import platform
from collections.abc import Iterator
from typing import Any

__all__ = ["add_to"]


def add_to(commands: Any) -> None:
    """Add the sub-command to a parser's commands."""
    parser = commands.add_parser(
        "info",
        help="show version, backend, instruction set, threads and bundled models",
        description="Show what is installed and where it runs.",
    )
    parser.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Print one fact a line."""
    facts = list(_facts())
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        print(f"{name:{width}}  {value}")
    return 0


def _facts() -> Iterator[tuple[str, str]]:
    import numpy as np

    from fastseq import __version__, _backend
    from fastseq.models import load_model
    from fastseq.pipelines.pronounce import BUNDLED_MODELS, BUNDLED_NGRAM

    yield "fastseq", __version__
    yield "backend", _backend.active_name()
    if _backend.active_name() == "native":
        for name, value in _backend.active().config().items():
            if name != "version":
                yield name, ", ".join(value) if isinstance(value, (list, tuple)) else str(value)
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "numpy", np.__version__
    for name, folder in BUNDLED_MODELS.items():
        config = load_model(folder).config
        yield f"model {name}", f"{config.model_type}, {_parameters(config):,} parameters"
    ngram = load_model(BUNDLED_NGRAM)
    yield "model ngram", f"{ngram.config.model_type}, {ngram.num_ngrams:,} n-grams"


def _parameters(config: Any) -> int:

    return sum(math.prod(shape) for shape in config.tensor_shapes().values())
