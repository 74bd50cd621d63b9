"""A bar that says how far long work is, where somebody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["progress_bar"]

_DELAY_S = 2.0  # what is done sooner needs no bar


@contextmanager
def progress_bar(total: int | None, name: str, wanted: bool | None) -> Iterator[Any]:
    """Give a bar with `update()`, or None where there is none.

    Parameters
    ----------
    total : int or None
        Number of inputs, if known.
    name : str
        What stands in front of the bar.
    wanted : bool or None
        None: if standard error is a terminal. A bar that is asked for needs the package `tqdm`.
    """
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        if wanted:
            raise ImportError("a progress bar needs the package 'tqdm': pip install 'fastseq-cpu[text]'") from None
        yield None
        return
    with tqdm(total=total, desc=name, delay=0.0 if wanted else _DELAY_S, leave=False) as bar:
        yield bar
