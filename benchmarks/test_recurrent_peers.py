"""LSTMs against PyTorch, ONNX Runtime and OpenVINO: medians taken in turn, outputs compared.

    pytest benchmarks/test_recurrent_peers.py -s

prints a line for each case: the times in microseconds, and how many times as fast as the best peer fastseq is.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from recurrent_peers import Lstm, medians

import fastseq

WHOLE = [  # T, B, H
    (64, 1, 128), (64, 1, 256), (64, 1, 512), (64, 1, 1024), (64, 8, 256), (64, 8, 512), (64, 32, 512),
]  # fmt: skip
RAGGED = [  # sequences, shortest, longest, H, bidirectional
    (32, 5, 128, 512, False), (128, 5, 100, 64, True), (8, 5, 100, 256, False),
]  # fmt: skip


def report(name: str, times: dict[str, float]) -> None:
    best = min(time for peer, time in times.items() if peer != "fastseq")
    figures = "  ".join(f"{peer} {time:.0f}" for peer, time in times.items())
    print(f"\n{name}: {figures}  -> {best / times['fastseq']:.2f}", end="")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("steps", "batch", "hidden"), WHOLE)
def test_whole_batches(steps: int, batch: int, hidden: int, threads: int) -> None:
    lstm = Lstm(hidden, False, threads)
    runs = lstm.runs(lstm.inputs(steps, batch))
    expected = runs["torch"]()
    for run in runs.values():
        np.testing.assert_allclose(run(), expected, rtol=1e-4, atol=2e-5)
    report(f"T={steps} B={batch} H={hidden} threads={threads}", medians(dict(runs)))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("batch", "shortest", "longest", "hidden", "bidirectional"), RAGGED)
def test_ragged_batches(
    batch: int, shortest: int, longest: int, hidden: int, bidirectional: bool, threads: int
) -> None:
    lstm = Lstm(hidden, bidirectional, threads)
    lengths = [int(n) for n in np.linspace(shortest, longest, batch)]
    np.random.default_rng(1).shuffle(lengths)
    runs = lstm.runs(lstm.inputs(longest, batch), lengths)
    expected = runs["torch packed"]()
    for name, run in runs.items():
        if name != "torch padded":  # which computes on the padding
            np.testing.assert_allclose(run(), expected, rtol=1e-4, atol=2e-5)
    name = f"{batch} x {shortest}..{longest} H={hidden}{' bidirectional' if bidirectional else ''} threads={threads}"
    report(name, medians(dict(runs)))


@pytest.mark.parametrize("hidden", [128, 256])
def test_one_streaming_step(hidden: int) -> None:
    import torch

    lstm = Lstm(hidden, False, 1)
    x = lstm.inputs(1, 1)
    h = np.zeros((1, 1, hidden), np.float32)
    tensors = torch.from_numpy(x), torch.from_numpy(h)
    times = medians(
        {
            "fastseq": lambda: lstm.layer(x, (h, h)),
            "torch": lambda: lstm.module(tensors[0], (tensors[1], tensors[1])),
        }
    )
    report(f"one step H={hidden} threads=1", times)


@pytest.fixture(autouse=True)
def _threads() -> object:
    before = fastseq.get_num_threads()
    yield
    fastseq.set_num_threads(before)
