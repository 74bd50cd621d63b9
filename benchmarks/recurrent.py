"""Rows of LSTMs: whole batches, ragged ones, one step. The peers are set up in recurrent_peers.py."""

from __future__ import annotations

import numpy as np
from peers import Row, Run, has
from recurrent_peers import Lstm

__all__ = ["rows"]


def _lstm(steps: int, batch: int, hidden: int, bidirectional: bool = False, shortest: int = 0) -> Row:
    def runs(threads: int) -> dict[str, Run]:
        lstm = Lstm(hidden, bidirectional, threads)
        lengths = None
        if shortest:
            lengths = [int(n) for n in np.linspace(shortest, steps, batch)]
            np.random.default_rng(1).shuffle(lengths)
        return dict(lstm.runs(lstm.inputs(steps, batch), lengths))

    tokens = steps * batch if not shortest else (steps + shortest) / 2 * batch
    directions = 2 if bidirectional else 1
    name = f"LSTM T={steps} B={batch} H={hidden}{' bidirectional' if bidirectional else ''}"
    if shortest:
        name = name.replace(f"T={steps}", f"T={shortest}..{steps}")
    work = 16.0 * tokens * hidden * hidden * directions
    return Row(
        name,
        runs,
        flops=work,
        bytes=16.0 * hidden * hidden * steps * directions,
        tolerance=1e-3,
        uncompared=frozenset({"torch padded"}),  # it computes on the padding, too
    )


def rows() -> list[Row]:
    """In the order of the table; none where the peers' side needs what is not installed."""
    if not has("torch"):
        return []
    return [
        *(_lstm(64, 1, hidden) for hidden in (128, 256, 512, 1024)),
        _lstm(64, 8, 256),
        _lstm(64, 8, 512),
        _lstm(64, 32, 512),
        _lstm(128, 32, 512, shortest=5),
        _lstm(100, 128, 64, bidirectional=True, shortest=5),
        _lstm(100, 8, 256, shortest=5),
        _lstm(1, 1, 128),
        _lstm(1, 1, 256),
    ]
