"""Time and memory of loading a translation model of 300 MB: pytest benchmarks/test_loading.py -s."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from marian_base import write_marian_base
from pytest_benchmark.fixture import BenchmarkFixture

import fastseq

# Peak memory in a process of its own: what it had before counts for nothing.
_PEAK = """
import json, sys
import fastseq, fastseq.models, numpy

def status(name):
    with open("/proc/self/status") as file:
        return int(next(line.split()[1] for line in file if line.startswith(name + ":"))) * 1024

before = status("VmRSS")
model = fastseq.load_model(sys.argv[1])
print(json.dumps({"before": before, "peak": status("VmHWM"), "after": status("VmRSS")}))
"""
# Reading the file and packing what is in it, with nothing around it: what loading is measured against.
_BASE = """
import sys, time
import numpy as np
from fastseq import _backend
from fastseq.weights import read_weights

start = time.perf_counter()
weights = read_weights(sys.argv[1])
native = _backend.get("native")
layers = [native.Linear(array, None) for array in weights.values() if array.ndim == 2 and len(array) > 1]
print(time.perf_counter() - start)
"""
_LOAD = """
import sys, time
import fastseq, fastseq.models
from fastseq import _backend

_backend.get("native")
start = time.perf_counter()
model = fastseq.load_model(sys.argv[1])
print(time.perf_counter() - start)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_marian_base(tmp_path_factory.mktemp("marian-base"))


def run(code: str, folder: Path) -> Any:
    output = subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, text=True)
    return json.loads(output.stdout)


def test_peak_memory(folder: Path, benchmark: BenchmarkFixture) -> None:
    size = (folder / "model.safetensors").stat().st_size
    sizes = benchmark.pedantic(run, (_PEAK, folder), rounds=1)
    ratios = {name: round((sizes[name] - sizes["before"]) / size, 3) for name in ("peak", "after")}
    benchmark.extra_info.update({"weights_bytes": size, "whole_process": round(sizes["peak"] / size, 3), **ratios})
    print(f"\nweights {size / 1e6:.0f} MB; memory of loading in weights: {ratios}; whole process at its peak"
          f" {sizes['peak'] / size:.2f}")  # fmt: skip


def test_loading_time(folder: Path, benchmark: BenchmarkFixture) -> None:
    """In turn: the file is in the system's cache on both sides."""
    times: dict[str, list[float]] = {"load": [], "base": []}
    for _ in range(5):
        times["load"].append(run(_LOAD, folder))
        times["base"].append(run(_BASE, folder))
    load, base = (sorted(values)[2] for values in times.values())
    benchmark.extra_info.update({"load_s": load, "read_and_pack_s": base, "ratio": load / base})
    print(f"\nload_model {load:.2f} s, reading and packing alone {base:.2f} s, ratio {load / base:.2f}")
    benchmark.pedantic(fastseq.load_model, (folder,), rounds=1)
