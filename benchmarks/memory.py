"""Memory: python benchmarks/memory.py.

The peak of translating with a model of OPUS-MT's size against a formula, weights and caches; and what a process has
while 10,000 sentences of changing lengths pass through it. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from marian_base import CONFIG, write_marian_base

import fastseq
from fastseq.pipelines.pronounce import BUNDLED_MODELS

MEGABYTE = 1e6
GROUP_ROWS = 128  # that a thread decodes together (csrc/models/seq2seq.cc)


def status(name: str) -> int:
    """Bytes of a line of /proc/self/status."""
    with open("/proc/self/status") as file:
        return int(next(line.split()[1] for line in file if line.startswith(name + ":"))) * 1024


def caches(batch: int, beams: int, source: int, target: int, threads: int) -> int:
    """Bytes that the search of a batch needs beside the weights.

    Keys and values of all rows and steps and of the sources for each layer, and logits, of the rows that run at once.
    """
    width, layers = CONFIG["d_model"], CONFIG["decoder_layers"]
    sentences = min(batch, threads * max(1, GROUP_ROWS // beams))
    rows = sentences * beams
    numbers: int = layers * 2 * width * (rows * target + sentences * source) + rows * CONFIG["vocab_size"]
    return 4 * numbers


def _peak(folder: str, work: dict[str, int]) -> None:
    """In a process of its own: what it had before counts for nothing."""
    fastseq.set_num_threads(work["threads"])
    fastseq.load_model(BUNDLED_MODELS["transformer"]).generate([[1, 2, 3]])  # code, threads and NumPy are there
    before = status("VmRSS")
    model = fastseq.load_model(folder)
    loaded = status("VmRSS") - before
    ids = np.random.default_rng(0).integers(2, 50_000, (work["batch"], work["source"]))
    options: dict[str, Any] = {"max_new_tokens": work["target"], "min_new_tokens": work["target"]}
    model.generate(ids, num_beams=work["beams"], **options)
    print(json.dumps({"loaded": loaded, "peak": status("VmHWM") - before}))


def peaks() -> None:
    """A line for each work and type."""
    print("| | weights, MB | caches, MB | both | peak, MB | ratio |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="fastseq-memory-") as place:
        hub = write_marian_base(Path(place) / "hub")
        for compute_type in ("float32", "int8"):
            saved = Path(place) / compute_type
            fastseq.load_model(hub, compute_type).save_pretrained(saved)
            weights = (saved / "packed.safetensors").stat().st_size
            for batch, beams, source, target in ((1, 1, 25, 32), (32, 4, 25, 64), (128, 4, 25, 32)):
                work = {"batch": batch, "beams": beams, "source": source, "target": target, "threads": 2}
                command = [sys.executable, __file__, "--peak", str(saved), "--work", json.dumps(work)]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                expected = caches(**work)
                print(
                    f"| {compute_type}, {batch} sentences, {beams} beams, {target} tokens | {weights / MEGABYTE:.0f} | "
                    f"{expected / MEGABYTE:.0f} | {(weights + expected) / MEGABYTE:.0f} | "
                    f"{found['peak'] / MEGABYTE:.0f} | {found['peak'] / (weights + expected):.2f} |",
                    flush=True,
                )


def steady(count: int) -> None:
    """Resident memory while sentences of 1 to 60 letters pass in batches of 1 to 64."""
    print("\n| sentences | " + " | ".join(BUNDLED_MODELS) + " |\n|---" + "|---" * len(BUNDLED_MODELS) + "|")
    generator = np.random.default_rng(0)
    models = {name: fastseq.load_model(path) for name, path in BUNDLED_MODELS.items()}
    lines: dict[int, list[str]] = {}
    for model in models.values():
        done, following = 0, 1000
        while done < count:
            lengths = generator.integers(1, 61, generator.integers(1, 65))
            ids = [generator.integers(1, model.config.source_vocab_size, length).tolist() for length in lengths]
            model.generate(ids, num_beams=2, max_new_tokens=int(generator.integers(5, 40)))
            done += len(ids)
            if done >= following:
                lines.setdefault(following, []).append(f"{status('VmRSS') / MEGABYTE:.1f}")
                following += 1000
    for sentences, sizes in lines.items():
        print(f"| {sentences} | {' | '.join(sizes)} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--only", choices=("peak", "steady"))
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        return _peak(args.peak, json.loads(args.work))
    if args.only != "steady":
        peaks()
    if args.only != "peak":
        steady(args.sentences)


if __name__ == "__main__":
    main()
