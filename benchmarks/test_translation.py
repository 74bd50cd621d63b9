"""Translation against transformers and PyTorch on the same random model: pytest benchmarks/test_translation.py -s.

Both sides in turn in one process with as many threads; the outputs are compared before anything counts. 25 tokens in,
32 out. FASTSEQ_NUM_THREADS sets the threads.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from marian_base import write_marian_base
from pytest_benchmark.fixture import BenchmarkFixture

import fastseq

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SOURCE_TOKENS, NEW_TOKENS, ROUNDS = 25, 32, 5


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder: Path = write_marian_base(tmp_path_factory.mktemp("marian-base"))
    torch.set_num_threads(fastseq.get_num_threads())
    return transformers.MarianMTModel.from_pretrained(folder).eval(), fastseq.load_model(folder)


@pytest.mark.parametrize(("batch", "beams"), [(1, 1), (1, 4), (8, 4), (32, 4)], ids=lambda value: str(value))
def test_translation(models: tuple[Any, Any], batch: int, beams: int, benchmark: BenchmarkFixture) -> None:
    hf, ours = models
    rows = np.random.default_rng(batch).integers(1, 58000, (batch, SOURCE_TOKENS))
    options: dict[str, Any] = {"num_beams": beams, "max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS}
    ids = torch.tensor(rows)

    def theirs() -> list[list[int]]:
        with torch.inference_mode():
            output = hf.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, **options)
        return [row[1 : 1 + NEW_TOKENS].tolist() for row in output]

    def fast() -> list[list[int]]:
        return [generation.tokens for generation in ours.generate(rows, **options)]

    assert [row[: NEW_TOKENS - 1] for row in fast()] == [row[: NEW_TOKENS - 1] for row in theirs()]
    times: dict[Any, list[float]] = {theirs: [], fast: []}
    for _ in range(ROUNDS if batch < 32 else 3):
        for side, taken in times.items():
            start = time.perf_counter()
            side()
            taken.append(time.perf_counter() - start)
    slow, quick = (statistics.median(taken) for taken in times.values())
    benchmark.extra_info.update({"transformers_s": slow, "fastseq_s": quick, "ratio": slow / quick})
    print(f"\nB={batch} beams={beams}: transformers {slow * 1e3:.0f} ms, fastseq {quick * 1e3:.0f} ms,"
          f" {slow / quick:.2f} times faster")  # fmt: skip
    benchmark.pedantic(fast, rounds=1)
