"""What every row of the comparison needs: the peers installed, medians of slices in turn, the limits of the machine."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastseq

__all__ = ["Floats", "Limits", "Result", "Row", "Run", "has", "limits", "machine", "measure", "normal", "set_threads"]

Floats = NDArray[np.float32]
Run = Callable[[], Any]
SLICES = 5  # of each library, in turn
LONG_US = 1e6  # a call of a second: fewer of them make a row


def has(name: str) -> bool:
    """Whether a package is installed."""
    return importlib.util.find_spec(name) is not None


def normal(*shape: int) -> Floats:
    """The same random numbers for everyone."""
    return np.random.default_rng(7).standard_normal(shape, np.float32)


@dataclass(frozen=True)
class Row:
    """One line of the table: `runs(threads)` gives the same work for fastseq and every peer installed."""

    name: str
    runs: Callable[[int], dict[str, Run]]
    flops: float = 0.0  # multiplications and additions, where the processor may be the limit
    bytes: float = 0.0  # read at least, where the memory may be
    tolerance: float = 1e-4
    uncompared: frozenset[str] = frozenset()  # peers whose result holds more than the answer


@dataclass(frozen=True)
class Result:
    """Medians of one row in microseconds."""

    name: str
    threads: int
    times_us: dict[str, float]
    limit_us: float
    left_out: dict[str, str] = field(default_factory=dict)  # peers whose numbers differ, and by how much

    @property
    def best_peer(self) -> str | None:
        """The fastest of the others."""
        peers = {name: t for name, t in self.times_us.items() if name != "fastseq"}
        return min(peers, key=peers.__getitem__) if peers else None

    @property
    def ratio(self) -> float:
        """How many times as fast as the best peer."""
        return self.times_us[self.best_peer] / self.times_us["fastseq"] if self.best_peer else float("nan")

    @property
    def share_of_limit(self) -> float:
        """1 where the machine could not do it faster."""
        return self.limit_us / self.times_us["fastseq"]


@dataclass(frozen=True)
class Limits:
    """What the threads of this process can do: measured with NumPy, so a little less than the processor's own limit."""

    gflops: float
    gbytes_per_s: float

    def or_better(self, other: Limits) -> Limits:
        """The larger of both, one by one."""
        return Limits(max(self.gflops, other.gflops), max(self.gbytes_per_s, other.gbytes_per_s))

    def us(self, row: Row) -> float:
        """The least time for a row; 0 where its work is not counted."""
        return max(row.flops / (self.gflops * 1e3), row.bytes / (self.gbytes_per_s * 1e3))


def set_threads(threads: int) -> None:
    """For fastseq and PyTorch; NumPy's BLAS reads its number from the environment when it is loaded."""
    fastseq.set_num_threads(threads)
    if has("torch"):
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)


def limits(threads: int) -> Limits:
    """Best of several products of square matrices, and of sums over 4 MB, which NumPy computes on one thread."""
    a, b, c = normal(768, 768), normal(768, 768), np.empty((768, 768), np.float32)
    numbers = normal(1 << 20)
    product = min(_seconds(lambda: np.matmul(a, b, out=c)) for _ in range(15))
    read = min(_seconds(lambda: numbers.dot(numbers)) for _ in range(30))
    return Limits(2 * 768**3 / product * 1e-9, threads * numbers.nbytes / read * 1e-9)


def _seconds(run: Run) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _slice(run: Run, seconds: float) -> list[float]:
    """Microseconds of calls one after the other, without the first: it wakes threads and fills caches.

    A first call longer than a second counts: that is nothing beside it, and a row must come to an end.
    """
    _settle()
    first = _seconds(run) * 1e6
    times = [first] if first > LONG_US else []
    deadline = time.perf_counter() + seconds
    while not times or time.perf_counter() < deadline:
        times.append(_seconds(run) * 1e6)
    return times


def _settle() -> None:
    """Wait until no thread of this process computes: many libraries' threads spin for a while after their work."""
    for _ in range(100):
        used = time.process_time()
        time.sleep(0.005)
        if time.process_time() - used < 0.0005:
            return


def _difference(a: Any, b: Any) -> float:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape:
        return float("inf")
    return float(np.max(np.abs(x - y), initial=0.0) / np.max(np.abs(y), initial=1.0))


def measure(row: Row, threads: int, limit: Limits, seconds: float) -> Result:
    """Compare all results with fastseq's, leave out who differs, then time the others in turn."""
    set_threads(threads)
    runs = row.runs(threads)
    expected = runs["fastseq"]()
    left_out = {}
    for name in [name for name in runs if name not in {"fastseq", *row.uncompared}]:
        if (difference := _difference(runs[name](), expected)) > row.tolerance:
            left_out[name] = f"differs by {difference:.2g}"
            del runs[name]
    times: dict[str, list[float]] = {name: [] for name in runs}
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(times["fastseq"]) < (
        3 if max(times["fastseq"], default=0.0) > LONG_US else 5
    ):
        for name, run in runs.items():
            times[name] += _slice(run, seconds / (SLICES * len(runs)))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return Result(row.name, threads, medians, limit.us(row), left_out)


def machine() -> dict[str, str]:
    """Processor, operating system, versions."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if (info.exists())
        else [platform.processor()]
    )
    packages = ("numpy", "torch", "onnxruntime", "openvino", "ctranslate2")
    versions = {p: importlib.metadata.version(p) for p in packages if has(p)}
    return {
        "processor": f"{names[0]}, {len(names)} processors",
        "system": platform.platform(),
        "fastseq": fastseq.__version__,
        **versions,
    }
