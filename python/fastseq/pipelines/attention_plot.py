"""A picture of attention: which letters the decoder read for each phoneme."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["draw_attention"]


def draw_attention(
    weights: Any, letters: Sequence[str], phonemes: Sequence[str], path: str | os.PathLike[str], title: str = ""
) -> None:
    """Draw attention weights and write the picture to a file.

    No display is needed.

    Parameters
    ----------
    weights : (T + 1, S) array
        What ``Pronouncer.attention`` gives: a row for each phoneme and one for the end.
    letters : sequence of str
        S of them.
    phonemes : sequence of str
        T of them.
    path : str or path
        The picture; its ending says which format (png, svg, pdf).
    title : str, optional

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If `weights` has another shape.
    """
    matrix = np.asarray(weights)
    if matrix.shape != (len(phonemes) + 1, len(letters)):
        raise ValueError(f"weights has shape {matrix.shape}; expected {(len(phonemes) + 1, len(letters))}")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("drawing needs matplotlib: pip install 'fastseq-cpu[plot]'") from None
    figure = Figure(figsize=(1.5 + 0.4 * len(letters), 1.5 + 0.3 * len(matrix)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(matrix, cmap="magma", vmin=0.0, vmax=1.0, aspect="auto")
    axes.set_xticks(range(len(letters)), letters)
    axes.set_yticks(range(len(matrix)), [*phonemes, "end"])
    axes.xaxis.tick_top()
    axes.set_xlabel("letters")
    axes.set_ylabel("phonemes")
    if title:
        axes.set_title(title)
    figure.colorbar(image, label="attention")
    figure.savefig(os.fspath(path), dpi=150)
