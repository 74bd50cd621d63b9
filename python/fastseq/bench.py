"""fastseq against its NumPy reference on this machine: `fastseq bench`.

Each case first checks that both sides give the same numbers, then runs them in turn and reports the ratio of
the medians. One thread each unless asked otherwise. In a source tree `--peers` compares with other libraries instead.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastseq import _backend

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["Case", "Result", "cases", "measure"]

# Largest difference allowed before a timing counts, relative to the largest number: float32 sums of up to a few
# thousand terms, each side in its own order.
TOLERANCE = 1e-4

# Of a source tree; wheels do not have it.
_REPORT = Path(__file__).resolve().parents[2] / "benchmarks" / "report.py"


@dataclass(frozen=True)
class Case:
    """One piece of work that both backends can do; `run(backend)` returns its result."""

    name: str
    prepare: Callable[[ModuleType], Callable[[], Any]]


@dataclass(frozen=True)
class Result:
    """Medians of one case in microseconds."""

    name: str
    numpy_us: float
    fastseq_us: float
    rounds: int

    @property
    def ratio(self) -> float:
        """How many times faster than NumPy."""
        return self.numpy_us / self.fastseq_us


def _normal(*shape: int) -> Floats:
    return np.random.default_rng(7).standard_normal(shape, dtype=np.float32)


def _lstm(steps: int, batch: int, hidden: int) -> Case:
    scale = np.float32(hidden**-0.5)
    weights = [(_normal(4 * hidden, hidden) * scale, _normal(4 * hidden, hidden) * scale, _normal(4 * hidden), None)]
    tokens = _normal(batch * steps, hidden)
    offsets = np.arange(0, batch * steps + 1, steps, dtype=np.int64)

    def prepare(backend: ModuleType) -> Callable[[], Any]:
        layer = backend.Recurrent("lstm", weights, False)
        return lambda: layer.forward(tokens, offsets, None, None)[0]

    return Case(f"LSTM T={steps} B={batch} H={hidden}", prepare)


def _linear(rows: int, out_features: int, in_features: int) -> Case:
    weight, bias, tokens = _normal(out_features, in_features), _normal(out_features), _normal(rows, in_features)

    def prepare(backend: ModuleType) -> Callable[[], Any]:
        layer = backend.Linear(weight, bias)
        return lambda: layer.forward(tokens)

    return Case(f"linear {rows}x{out_features}x{in_features}", prepare)


def _attention(batch: int, heads: int, queries: int, keys: int, size: int, *, causal: bool = False) -> Case:
    q, k, v = _normal(batch, heads, queries, size), _normal(batch, heads, keys, size), _normal(batch, heads, keys, size)

    def prepare(backend: ModuleType) -> Callable[[], Any]:
        return lambda: backend.scaled_dot_product_attention(q, k, v, None, causal, size**-0.5)

    return Case(f"attention {batch}x{heads}x{queries}x{keys}x{size}{' causal' if causal else ''}", prepare)


def _topk(rows: int, vocab_size: int, k: int) -> Case:
    logits = _normal(rows, vocab_size) * np.float32(3)

    def prepare(backend: ModuleType) -> Callable[[], Any]:
        return lambda: backend.log_softmax_topk(logits, k, None)[0]

    return Case(f"log_softmax_topk {rows}x{vocab_size} k={k}", prepare)


def _pronounce(model: str, num_beams: int) -> Case:
    from fastseq.pipelines import pipeline

    def prepare(backend: ModuleType) -> Callable[[], Any]:
        name = "numpy" if backend is _backend.get("numpy") else "native"
        pronounce = pipeline("pronounce", model, ngram=False, backend=name)
        return lambda: [h["score"] for h in pronounce("onomatopoeia", num_beams=num_beams)]

    return Case(f"pronounce one word, {model}, beam {num_beams}", prepare)


def cases() -> list[Case]:
    """The rows of the table, from single kernels to whole models."""
    return [
        _lstm(64, 1, 256),
        _lstm(64, 8, 512),
        _attention(1, 12, 512, 512, 64),
        _attention(1, 12, 512, 512, 64, causal=True),
        _attention(4, 8, 1, 512, 64),
        _topk(4, 32000, 8),
        _linear(1, 2048, 512),
        _linear(4, 2048, 512),
        _linear(128, 2048, 512),
        _pronounce("lstm", 5),
        _pronounce("transformer", 5),
    ]


def _difference(a: Any, b: Any) -> float:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.max(np.abs(x - y), initial=0.0) / np.max(np.abs(x), initial=1.0))


def measure(case: Case, seconds: float = 2.0) -> Result:
    """Check that both backends agree, then time them in turn for about `seconds`.

    Raises
    ------
    RuntimeError
        If the results differ by more than float32 rounding explains.
    """
    reference, native = case.prepare(_backend.get("numpy")), case.prepare(_backend.get("native"))
    if (difference := _difference(reference(), native())) > TOLERANCE:
        raise RuntimeError(f"{case.name}: the backends differ by {difference:.2g}; not timed")
    times: tuple[list[float], list[float]] = ([], [])
    deadline = time.perf_counter() + seconds
    while len(times[0]) < 5 or time.perf_counter() < deadline:
        for run, taken in zip((reference, native), times, strict=True):
            start = time.perf_counter()
            run()
            taken.append((time.perf_counter() - start) * 1e6)
    return Result(case.name, statistics.median(times[0]), statistics.median(times[1]), len(times[0]))


def _table(results: Iterator[Result]) -> Iterator[str]:
    yield f"{'':40}{'NumPy':>12}{'fastseq':>12}{'ratio':>8}"
    for r in results:
        yield f"{r.name:40}{r.numpy_us:>9.0f} us{r.fastseq_us:>9.0f} us{r.ratio:>7.1f}x"


def _peers(options: Sequence[str]) -> int:
    """Run the report of a source tree with its own options."""
    if not _REPORT.is_file():
        print(
            "fastseq: error: --peers needs benchmarks/report.py, which is in the source tree only; "
            "there run: python benchmarks/report.py",
            file=sys.stderr,
        )
        return 2
    return subprocess.run([sys.executable, str(_REPORT), *options], check=False).returncode


def main(argv: list[str] | None = None) -> int:
    """Print the table, or the figures as JSON."""
    given = sys.argv[1:] if argv is None else argv
    if "--peers" in given:
        return _peers([option for option in given if option != "--peers"])
    parser = argparse.ArgumentParser(
        prog="fastseq bench", description="Time fastseq against NumPy on this machine.", allow_abbrev=False
    )
    parser.add_argument("--threads", type=int, default=1, help="threads for both sides (default 1)")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each row (default 2)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--peers",
        action="store_true",
        help="compare with the libraries installed, not with NumPy alone; for a source tree: runs benchmarks/report.py "
        "with the other options given (--peers --help lists them)",
    )
    args = parser.parse_args(given)
    if args.threads < 1:
        parser.error("--threads must be at least 1")
    if os.environ.get("FASTSEQ_BENCH_CHILD") != "1":
        # NumPy's BLAS takes its number of threads from the environment, once, when it is loaded.
        limits = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), str(args.threads))
        child = [sys.executable, "-m", "fastseq", "bench", *given]
        return subprocess.run(child, env=os.environ | limits | {"FASTSEQ_BENCH_CHILD": "1"}, check=False).returncode
    _backend.set_num_threads(args.threads)
    results = (measure(case, args.seconds) for case in cases())
    if args.json:
        print(json.dumps([asdict(r) | {"ratio": r.ratio} for r in results], indent=1))
    else:
        for line in _table(results):
            print(line, flush=True)
    return 0
