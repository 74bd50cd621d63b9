"""fastseq and its NumPy reference on the same work: pytest benchmarks --benchmark-json=out.json."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import fastseq
from fastseq import _backend, bench


@pytest.mark.parametrize("backend", ["native", "numpy"])
@pytest.mark.parametrize("case", bench.cases(), ids=lambda case: case.name)
def test_case(benchmark: BenchmarkFixture, case: bench.Case, backend: str) -> None:
    fastseq.set_num_threads(1)
    benchmark.group = case.name
    run = case.prepare(_backend.get(backend))
    assert run() is not None
    benchmark(run)
