"""Lets a language model score sentences and write on, with fastseq.

python write.py models/language --prompt "The film" --score test.csv
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import fastseq


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder that train.py has written")
    parser.add_argument("--prompt", default="", help="how the text begins")
    parser.add_argument("--max-new-tokens", type=int, default=80)
    parser.add_argument("--num-beams", type=int, default=4)
    parser.add_argument("--score", type=Path, help="CSV whose column sentence is scored")
    args = parser.parse_args()
    model = fastseq.load_model(args.model)
    tokenizer = model.tokenizer
    prompt = tokenizer.encode(args.prompt)
    [found] = model.generate([prompt], num_beams=args.num_beams, max_new_tokens=args.max_new_tokens)
    print(tokenizer.decode([*prompt, *found.tokens]))
    if args.score is not None:
        with args.score.open(encoding="utf-8", newline="") as file:
            texts = [tokenizer.encode(row["sentence"]) for row in csv.DictReader(file)]
        scores = model.score(texts)
        tokens = sum(len(row) for row in scores.token_log_probs)
        print(f"perplexity {scores.corpus_perplexity:.2f} of {tokens} tokens")


if __name__ == "__main__":
    main()
