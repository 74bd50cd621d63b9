"""Accuracy of a sentence classifier, computed by fastseq.

    python evaluate.py models/sentiment test.csv

The file has the columns `label` and `sentence`; its labels are the model's, or their positions among them.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import fastseq


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder that train.py has written")
    parser.add_argument("sentences", type=Path, help="CSV of labelled sentences")
    parser.add_argument("--compute-type", default="float32")
    args = parser.parse_args()
    model = fastseq.load_model(args.model, compute_type=args.compute_type)
    with args.sentences.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    position = {name: i for i, name in model.config.id2label.items()}
    wanted = [position[row["label"]] if row["label"] in position else int(row["label"]) for row in rows]
    started = time.perf_counter()
    logits = model.logits([model.tokenizer.encode(row["sentence"]) for row in rows])
    seconds = time.perf_counter() - started
    right = sum(int(row.argmax()) == label for row, label in zip(logits, wanted, strict=True))
    print(f"accuracy {right / len(rows):.4f} ({right} of {len(rows)}), {len(rows) / seconds:,.0f} sentences/s")


if __name__ == "__main__":
    main()
