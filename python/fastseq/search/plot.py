"""A picture of a beam: which sequences each step kept, and which of them ended."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastseq.search.trace import SearchTrace

__all__ = ["draw_beam"]

_WIDTH, _HEIGHT = 1.25, 0.55  # of a box with its surroundings, in inches
_MOST_STEPS = 300


@dataclass
class _Node:
    """A box of the picture: a token in the column of its step."""

    token: int
    score: float
    path: tuple[int, ...]  # tokens from the start token (left out) to this one
    parent: _Node | None
    ended: bool = False
    finished: bool = False
    row: float = 0.0
    children: list[_Node] = field(default_factory=list)


def draw_beam(
    trace: SearchTrace,
    best: Sequence[int],
    path: str | os.PathLike[str] | None = None,
    labels: Sequence[str] | None = None,
    end: str = "end",
    title: str = "",
) -> Any:
    """Draw the tree of a search; as `Hypotheses.plot`, with the tokens of the best hypothesis.

    Parameters
    ----------
    trace : SearchTrace
    best : sequence of int
    path, labels, end, title
        As of `Hypotheses.plot`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the search took more than 300 steps.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("drawing needs matplotlib: pip install 'fastseq-cpu[plot]'") from None
    columns = _columns(trace)
    rows = max(1, _arrange(columns))
    figure = Figure(figsize=(1.0 + _WIDTH * len(columns), 0.6 + _HEIGHT * (rows + bool(title))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(-0.6, len(columns) - 0.3)
    axes.set_ylim(rows - 0.4, -0.9)
    if title:
        axes.set_title(title, loc="left")
    for step, column in enumerate(columns):
        axes.text(step, -0.75, f"step {step}" if step else "start", ha="center", va="center", color="0.45", fontsize=8)
        for node in column:
            _draw_node(axes, step, node, tuple(best), labels, end)
    if path is not None:
        metadata = {"Date": None} if os.fspath(path).endswith(".svg") else None
        with rc_context({"svg.hashsalt": "fastseq"}):  # one search, one picture: names in it are random otherwise
            figure.savefig(os.fspath(path), dpi=150, metadata=metadata)
    return figure


def _columns(trace: SearchTrace) -> list[list[_Node]]:
    """The kept sequences of each step as nodes, and the ended ones in the column behind the step that ended them."""
    columns: list[list[_Node]] = []
    live: list[list[_Node]] = []
    for step in trace.steps:
        nodes = []
        for token, parent, score in zip(step.tokens.tolist(), step.parents.tolist(), step.scores.tolist(), strict=True):
            above = live[-1][parent] if live else None
            nodes.append(_Node(token, score, (*above.path, token) if above else (), above))
            if above:
                above.children.append(nodes[-1])
        live.append(nodes)
        columns.append(list(nodes))
    for ending in trace.endings:
        above = live[ending.step][ending.parent]
        if ending.token is None:
            above.ended = True
            continue
        if ending.step + 1 == len(columns):
            columns.append([])
        tokens = above.path if ending.finished else (*above.path, ending.token)
        node = _Node(ending.token, ending.score, tokens, above, ended=True, finished=ending.finished)
        above.children.append(node)
        columns[ending.step + 1].append(node)
    return columns


def _arrange(columns: list[list[_Node]]) -> int:
    """Give every node a row, so that no two lines cross; return the number of rows."""
    if len(columns) > _MOST_STEPS:
        raise ValueError(f"the beam has {len(columns)} steps; a picture shows at most {_MOST_STEPS}")
    if not columns:
        return 0
    used = [0]

    def place(node: _Node) -> float:
        if not node.children:
            used[0] += 1
            node.row = used[0] - 1.0
        else:
            # Endings lie above what goes on.
            rows = [place(child) for child in sorted(node.children, key=lambda child: not child.ended)]
            node.row = (rows[0] + rows[-1]) / 2
        return node.row

    place(columns[0][0])
    return used[0]


def _draw_node(
    axes: Any, step: int, node: _Node, best: tuple[int, ...], labels: Sequence[str] | None, end: str
) -> None:
    on_best = node.path == best[: len(node.path)] and (not node.ended or node.path == best)
    dead = not node.children and not node.ended
    color = "#0b5fa5" if on_best else "0.65" if dead else "0.2"
    name = "start" if node.parent is None else end if node.finished else _label(node.token, labels)
    text = name if node.parent is None else f"{name}\n{node.score:.2f}"
    box = {
        "boxstyle": "round,pad=0.3" if not node.ended else "square,pad=0.3",
        "facecolor": "#e3eef8" if on_best else "white",
        "edgecolor": color,
        "linewidth": 1.6 if on_best else 0.8,
    }
    axes.text(step, node.row, text, ha="center", va="center", fontsize=8, color=color, bbox=box, zorder=2)
    if node.parent is not None:
        axes.plot(
            [step - 1, step], [node.parent.row, node.row], color=color, linewidth=1.6 if on_best else 0.7, zorder=1
        )


def _label(token: int, labels: Sequence[str] | None) -> str:
    # A dollar sign would begin a formula.
    return (str(token) if labels is None or token >= len(labels) else labels[token]).replace("$", r"\$")
