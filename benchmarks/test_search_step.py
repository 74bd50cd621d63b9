"""One step of search (scores in, choice out) beside PyTorch's log_softmax and topk over the same logits.

8 sentences, 5 beams, 32,000 words, one thread: ``pytest benchmarks/test_search_step.py``. Run as a program it measures
both in turn and prints the ratio of the medians for several sets of options.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import fastseq
from fastseq import _backend

SENTENCES, BEAMS, VOCAB_SIZE, START, EOS = 8, 5, 32000, 0, 1
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bans": {"suppress_tokens": list(range(100, 190)), "min_length": 50},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 3},
    "repetition_penalty": {"repetition_penalty": 1.2},
}


def step_of(options: dict[str, Any], steps: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return (one step of our search, PyTorch's work) on the same logits; the search has `steps` steps to go."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    fastseq.set_num_threads(1)
    config = fastseq.GenerationConfig(num_beams=BEAMS, max_length=steps + 3, **options)
    search = _backend.get("native").BeamSearch(SENTENCES, config.resolve(start_id=START, eos_id=EOS))
    logits = np.random.default_rng(0).standard_normal((SENTENCES * BEAMS, VOCAB_SIZE)).astype(np.float32) * 3
    logits[:, EOS] = -40.0
    search.advance(logits[:SENTENCES])
    assert len(search.ids) == SENTENCES * BEAMS
    tensor = torch.from_numpy(logits)

    def theirs() -> object:
        scores = torch.log_softmax(tensor, -1).view(SENTENCES, BEAMS * VOCAB_SIZE)
        return torch.topk(scores, 2 * BEAMS)

    return lambda: search.advance(logits), theirs


@pytest.mark.parametrize("side", ["fastseq", "torch"])
@pytest.mark.parametrize("name", OPTIONS)
def test_step(benchmark: BenchmarkFixture, name: str, side: str) -> None:
    ours, theirs = step_of(OPTIONS[name], steps=20000)
    benchmark.group = name
    benchmark(ours if side == "fastseq" else theirs)


def ratio(options: dict[str, Any], rounds: int = 60) -> tuple[float, float]:
    """Return medians in microseconds, both sides in turn."""
    sides = step_of(options, steps=rounds + 1)
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for side, run in enumerate(sides):
            begin = time.perf_counter()
            run()
            times[side].append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    for label, chosen in OPTIONS.items():
        own, other = ratio(chosen)
        print(f"{label:22} {own:9.0f} us   log_softmax + topk {other:9.0f} us   1/{other / own:.1f}")
