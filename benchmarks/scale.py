"""How time grows with sizes: python benchmarks/scale.py --output scale (or report.py --scale).

One quantity of a random Transformer or of its work is changed at a time. Beside the time of a sentence stands what the
mathematics explains of it: the work is counted by formula, and each kind of work gets the price that fits best. A cost
that grew faster than every term would stand above it at the largest size. Exponents are slopes of the larger half of
the sizes, both axes logarithmic. Writes scale.md, scale.json and, with matplotlib, scale.svg.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastseq
from fastseq.models import Seq2SeqModel, TransformerSeq2SeqConfig


@dataclass(frozen=True)
class Work:
    """What is translated, and by which model."""

    batch: int = 4
    source: int = 24  # tokens
    target: int = 24
    beams: int = 1
    layers: int = 3  # of encoder and decoder each
    vocabulary: int = 8000
    hidden: int = 256
    intermediate: int = 1024

    def terms(self) -> list[float]:
        """What the mathematics asks for, for one sentence; each kind of work has its own price.

        Multiply-adds of dense layers, those of attention, numbers of weights that are read for the whole batch, calls.
        """
        h, s, t, k = self.hidden, self.source, self.target, self.beams
        feed_forward, words = 2 * h * self.intermediate, self.vocabulary * h
        encoder = self.layers * (4 * h * h + feed_forward)
        cross = self.layers * 2 * h * h  # keys and values of the source
        decoder = self.layers * (6 * h * h + feed_forward) + words
        dense = s * (encoder + cross) + k * t * decoder
        attention = self.layers * h * (2 * s * s + k * t * (2 * s + t + 1))
        return [dense, attention, (encoder + cross + t * decoder) / self.batch, 1 / self.batch]


# From the smallest to the largest. Batches where the weights would be read for few rows: their cost is that of reading.
SWEEPS: dict[str, tuple[Work, tuple[int, ...]]] = {
    "batch": (Work(target=16), (1, 2, 4, 8, 16, 32, 64)),
    "source": (Work(target=4, batch=2), (16, 32, 64, 128, 256, 512, 1024)),
    "target": (Work(batch=16, layers=2, vocabulary=1000), (8, 16, 32, 64, 128, 256, 512)),
    "beams": (Work(batch=2, target=16), (1, 2, 4, 8, 16, 32)),
    "layers": (Work(batch=16, target=16, vocabulary=1000), (1, 2, 4, 8, 16)),
    "vocabulary": (Work(target=16), (1000, 4000, 16000, 32000, 64000, 128000)),
}
TITLES = {
    "batch": "sentences in a batch",
    "source": "tokens of the source",
    "target": "tokens of the target",
    "beams": "beams",
    "layers": "layers (encoder, decoder each)",
    "vocabulary": "words of the vocabulary",
}


def model_of(work: Work) -> Seq2SeqModel:
    """A model with random weights."""
    config = TransformerSeq2SeqConfig(
        source_vocab_size=1000,
        target_vocab_size=work.vocabulary,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        hidden_size=work.hidden,
        num_heads=4,
        intermediate_size=work.intermediate,
        encoder_num_layers=work.layers,
        decoder_num_layers=work.layers,
        activation="relu",
        norm_first=True,
        positions="sinusoidal",
        scale_embedding=True,
        tie_output=True,
    )
    generator = np.random.default_rng(0)
    shapes = config.tensor_shapes()
    return Seq2SeqModel(config, {n: generator.standard_normal(s, np.float32) * 0.05 for n, s in shapes.items()})


def seconds_of(model: Seq2SeqModel, work: Work, least: float) -> float:
    """Seconds for one sentence: the median of calls that take `least` seconds together."""
    ids = np.random.default_rng(1).integers(3, 1000, (work.batch, work.source))
    options: dict[str, Any] = {"num_beams": work.beams, "max_new_tokens": work.target, "min_new_tokens": work.target}
    times: list[float] = []
    while len(times) < 2 or sum(times) < least:
        start = time.perf_counter()
        model.generate(ids, **options)
        times.append(time.perf_counter() - start)
    return statistics.median(times) / work.batch


def exponent(sizes: tuple[int, ...], values: list[float]) -> float:
    """Slope of the larger half of the sizes."""
    first = len(sizes) // 2 - 1
    return float(np.polyfit(np.log(sizes[first:]), np.log(values[first:]), 1)[0])


def explained(works: list[Work], times: list[float]) -> list[float]:
    """Times that the terms give at the prices, none below zero, whose squared relative errors are least."""
    terms, wanted = np.array([work.terms() for work in works]), np.array(times)
    best, least = wanted, np.inf
    for chosen in itertools.product((False, True), repeat=terms.shape[1]):
        matrix = terms[:, chosen] / wanted[:, None]
        prices = np.linalg.lstsq(matrix, np.ones(len(wanted)), rcond=None)[0]
        error = float(np.square(matrix @ prices - 1).sum())
        if any(chosen) and (prices >= 0).all() and error < least:
            best, least = terms[:, chosen] @ prices, error
    return [float(value) for value in best]


def sweep(name: str, seconds: float, rounds: int) -> dict[str, Any]:
    """Medians over rounds through all sizes."""
    base, sizes = SWEEPS[name]
    works = [dataclasses.replace(base, **{name: size}) for size in sizes]
    same = name not in ("layers", "vocabulary")
    shared = [model_of(base)] * len(works) if same else [model_of(work) for work in works]
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for i, (model, work) in enumerate(zip(shared, works, strict=True)):
            taken[i].append(seconds_of(model, work, seconds))
    times = [statistics.median(values) for values in taken]
    return describe(name, times)


def describe(name: str, times: list[float]) -> dict[str, Any]:
    """Times in seconds, beside those that the mathematics explains."""
    base, sizes = SWEEPS[name]
    found = explained([dataclasses.replace(base, **{name: size}) for size in sizes], times)
    return {
        "name": name,
        "sizes": sizes,
        "ms": [1e3 * value for value in times],
        "explained_ms": [1e3 * value for value in found],
        "time_exponent": exponent(sizes, times),
        "explained_exponent": exponent(sizes, found),
        "largest_above": max(time / wanted - 1 for time, wanted in zip(times, found, strict=True)),
    }


def markdown(results: list[dict[str, Any]]) -> str:
    """A line for each quantity."""
    lines = ["| | ms a sentence | exponent | of the mathematics | most above it |", "|---|---|---|---|---|"]
    for result in results:
        pairs = ", ".join(f"{size}: {ms:.3g}" for size, ms in zip(result["sizes"], result["ms"], strict=True))
        lines.append(
            f"| {TITLES[result['name']]} | {pairs} | {result['time_exponent']:.2f} | "
            f"{result['explained_exponent']:.2f} | {result['largest_above']:.0%} |"
        )
    return "\n".join(lines) + "\n"


def picture(results: list[dict[str, Any]], path: Path) -> None:
    """Time, and what the mathematics explains of it."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "fastseq", "font.size": 8})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(8, 4.5), layout="constrained")
    for axis, result in zip(axes.flat, results, strict=False):
        axis.loglog(result["sizes"], result["ms"], "o-", markersize=3, label="time")
        axis.loglog(result["sizes"], result["explained_ms"], "--", label="mathematics")
        axis.set_xlabel(TITLES[result["name"]])
        axis.set_ylabel("ms a sentence")
        axis.set_xticks(result["sizes"][::2], [str(size) for size in result["sizes"][::2]])
        axis.minorticks_off()
    axes.flat[0].legend()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main(argv: list[str] | None = None) -> None:
    """Measure all quantities and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.15, help="for each size in each round (default 0.15)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="quantities whose name contains this")
    parser.add_argument("--output", type=Path, default=Path("scale"), help="scale.md, .json and .svg (default)")
    args = parser.parse_args(argv)
    fastseq.set_num_threads(args.threads)
    results = []
    for name in (name for name in SWEEPS if args.only in name):
        results.append(sweep(name, args.seconds, args.rounds))
        print(markdown(results[-1:]).splitlines()[-1], flush=True)
    args.output.with_suffix(".json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    args.output.with_suffix(".md").write_text(markdown(results), encoding="utf-8")
    try:
        picture(results, args.output.with_suffix(".svg"))
    except ImportError:
        print("no picture: matplotlib is not installed", file=sys.stderr)


if __name__ == "__main__":
    main()
