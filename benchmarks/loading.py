"""Time to load a translation model of 300 MB: python benchmarks/loading.py.

fastseq from the published folder and from its own of `save_pretrained`, NumPy that reads and copies the file, and
CTranslate2 with its converted folders where it is installed. All in one process, in turn; every file is in the system's
cache.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from marian_base import convert, write_marian_base

import fastseq

TYPES = ("float32", "bfloat16", "int8")


def _read_and_copy(path: Path) -> Any:
    return np.fromfile(path, np.uint8).copy()


def _translator(folder: str, compute_type: str) -> Any:
    import ctranslate2

    return ctranslate2.Translator(folder, device="cpu", compute_type=compute_type)


def candidates(place: Path) -> dict[str, tuple[Path, Callable[[], Any]]]:
    """The file that each reads, and what loads it."""
    hub = write_marian_base(place / "hub")
    found: dict[str, tuple[Path, Callable[[], Any]]] = {}
    file = hub / "model.safetensors"
    found["NumPy, read and copy"] = file, functools.partial(_read_and_copy, file)
    for compute_type in TYPES:
        load = functools.partial(fastseq.load_model, hub, compute_type)
        found[f"fastseq {compute_type}, published folder"] = file, load
        saved = place / compute_type
        load().save_pretrained(saved)
        packed = saved / "packed.safetensors"
        found[f"fastseq {compute_type}, save_pretrained"] = packed, functools.partial(fastseq.load_model, saved)
    if importlib.util.find_spec("ctranslate2") and importlib.util.find_spec("torch"):
        for stored, compute_type in ((None, "float32"), (None, "int8"), ("int8", "int8")):
            target = convert(hub, place / f"converted-{stored}", stored)
            name = f"CTranslate2 {compute_type}, converted to {stored or 'float32'}"
            found[name] = Path(target) / "model.bin", functools.partial(_translator, target, compute_type)
    return found


def main() -> None:
    """Print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the models are made (default: a temporary one)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastseq-loading-") as place:
        loads = candidates(args.folder or Path(place))
        times: dict[str, list[float]] = {name: [] for name in loads}
        for _ in range(args.rounds + 1):
            for name, (_, load) in loads.items():
                start = time.perf_counter()
                loaded = load()
                times[name].append(time.perf_counter() - start)
                del loaded
        print("| | file, MB | time, ms | of read and copy |\n|---|---|---|---|")
        base = statistics.median(next(iter(times.values()))[1:])
        for name, (file, _) in loads.items():
            median = statistics.median(times[name][1:])  # the first round fills the cache
            print(f"| {name} | {file.stat().st_size / 1e6:.0f} | {median * 1e3:.0f} | {median / base:.2f} |")


if __name__ == "__main__":
    main()
