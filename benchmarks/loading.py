"""Time to load a translation model of 300 MB: python benchmarks/loading.py.

fastseq from the published folder and from its own of `save_pretrained`, NumPy that reads and copies the file, and
CTranslate2 with its converted folders where it is installed. All in one process, in turn; every file is in the system's
cache. With --fresh each load is the first of a new process, as programs mostly load models, and the order turns around
in every other round: who loads after a process that had much memory gets that memory cheaper.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from marian_base import convert, write_marian_base

import fastseq

TYPES = ("float32", "bfloat16", "int8")
_NUMPY = "NumPy, read and copy"
_CONVERTED = (("float32", "float32"), ("float32", "int8"), ("int8", "int8"))  # stored as, computed in


def _read_and_copy(path: Path) -> Any:
    return np.fromfile(path, np.uint8).copy()


def make(place: Path) -> dict[str, Path]:
    """Write the folders; return the file that each reads."""
    hub = write_marian_base(place / "hub")
    file = hub / "model.safetensors"
    found = {_NUMPY: file}
    for compute_type in TYPES:
        fastseq.load_model(hub, compute_type).save_pretrained(place / compute_type)
        found[f"fastseq {compute_type}, published folder"] = file
        found[f"fastseq {compute_type}, save_pretrained"] = place / compute_type / "packed.safetensors"
    if importlib.util.find_spec("ctranslate2") and importlib.util.find_spec("torch"):
        for stored, compute_type in _CONVERTED:
            target = Path(convert(hub, place / f"converted-{stored}", None if stored == "float32" else stored))
            found[f"CTranslate2 {compute_type}, converted to {stored}"] = target / "model.bin"
    return found


def _load_of(place: Path, name: str) -> Callable[[], Any]:
    """What loads one of those that `make` names; what it needs is imported by then."""
    library, _, what = name.partition(" ")
    if name == _NUMPY:
        return functools.partial(_read_and_copy, place / "hub" / "model.safetensors")
    compute_type, _, form = what.partition(", ")
    if library == "CTranslate2":
        import ctranslate2

        folder = str(place / f"converted-{form.removeprefix('converted to ')}")
        return functools.partial(ctranslate2.Translator, folder, device="cpu", compute_type=compute_type)
    if form == "save_pretrained":
        return functools.partial(fastseq.load_model, place / compute_type)
    return functools.partial(fastseq.load_model, place / "hub", compute_type)


def _time(load: Callable[[], Any]) -> float:
    start = time.perf_counter()
    loaded = load()
    seconds = time.perf_counter() - start
    del loaded
    return seconds


def _time_in_new_process(place: Path, name: str) -> float:
    command = [sys.executable, __file__, "--folder", str(place), "--first", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the models are made (default: a temporary one)")
    parser.add_argument("--fresh", action="store_true", help="each load in a new process")
    parser.add_argument("--first", metavar="NAME", help="only time the first load of one, from a folder made before")
    args = parser.parse_args()
    if args.first is not None:
        print(_time(_load_of(args.folder, args.first)))
        return
    with tempfile.TemporaryDirectory(prefix="fastseq-loading-") as temporary:
        place = args.folder or Path(temporary)
        files = make(place)
        loads = {name: _load_of(place, name) for name in files}
        times: dict[str, list[float]] = {name: [] for name in loads}
        for turn in range(args.rounds + 1):
            for name in reversed(times) if turn % 2 == 1 and args.fresh else times:
                times[name].append(_time_in_new_process(place, name) if args.fresh else _time(loads[name]))
        print("| | file, MB | time, ms | of read and copy |\n|---|---|---|---|")
        base = statistics.median(next(iter(times.values()))[1:])
        for name, file in files.items():
            median = statistics.median(times[name][1:])  # the first round fills the cache
            print(f"| {name} | {file.stat().st_size / 1e6:.0f} | {median * 1e3:.0f} | {median / base:.2f} |")


if __name__ == "__main__":
    main()
