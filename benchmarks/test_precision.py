"""Dense and recurrent layers in int8 and bfloat16 beside PyTorch's dynamic int8 and ONNX Runtime's, one thread each.

pytest benchmarks/test_precision.py --benchmark-json=out.json
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from peers import Run
from precision import IN, OUT, STEPS, onnxruntime_linear, ours_linear, ours_lstm, torch_linear, torch_lstm
from pytest_benchmark.fixture import BenchmarkFixture

import fastseq

CASES: dict[str, dict[str, Callable[[], Run]]] = {}
for _rows in (4, 128):
    CASES[f"linear int8 {_rows}x{OUT}x{IN}"] = {
        "fastseq": partial(ours_linear, _rows, "int8"),
        "torch": partial(torch_linear, _rows, "int8"),
        "onnxruntime": partial(onnxruntime_linear, _rows),
        "fastseq float32": partial(ours_linear, _rows, "float32"),
    }
CASES[f"lstm T={STEPS} B=1 H=512"] = {
    "fastseq": lambda: ours_lstm(512, "int8"),
    "torch": lambda: torch_lstm(512, "int8"),
    "fastseq bfloat16": lambda: ours_lstm(512, "bfloat16"),
    "fastseq float32": lambda: ours_lstm(512, "float32"),
    "torch float32": lambda: torch_lstm(512, "float32"),
}


@pytest.mark.parametrize(("case", "peer"), [(case, peer) for case, peers in CASES.items() for peer in peers])
def test_case(benchmark: BenchmarkFixture, case: str, peer: str) -> None:
    module = peer.split()[0]
    if importlib.util.find_spec(module) is None or (
        module == "onnxruntime" and importlib.util.find_spec("onnx") is None
    ):
        pytest.skip(f"{module} is not installed")
    fastseq.set_num_threads(1)
    benchmark.group = case
    exact = CASES[case]["fastseq float32"]()()
    run = CASES[case][peer]()
    error = np.abs(run() - exact).max() / np.abs(exact).max()
    assert error < 0.05, "it computes something else"
    benchmark.extra_info["error"] = float(error)
    benchmark(run)
