"""Word and phoneme error of pronunciation models on held-out words, computed by fastseq.

    python evaluate.py --test-words test.txt
    python evaluate.py --test-words test.txt --model RNN=models/rnn --model LSTM=models/lstm --json results.json
    python evaluate.py --test-words test.txt --model LSTM=models/lstm --ngram models/ngram

Prints a Markdown table. Pronunciations are without stress, as usual: those that differ in stress only count together.
With stress a word is right only if it equals a pronunciation of the newest CMUdict, over the words that are in it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import fastseq
from corpus import error_rates, read_cmudict, read_references, split
from fastseq.pipelines.pronounce import Pronouncer

Pronunciations = dict[str, list[tuple[str, ...]]]

BUNDLED = {"LSTM with attention": "lstm", "Transformer": "transformer", "both together": "ensemble"}
ALONE = 1  # beams with which one pronunciation is found, and an n-gram has nothing to choose from


@dataclass(frozen=True)
class Row:
    model: str
    num_beams: int
    words: int
    word_error: float
    phoneme_error: float
    words_with_stress: int
    word_error_with_stress: float
    words_per_second: float


def evaluate(
    name: str, pronouncer: Pronouncer, num_beams: int, references: Pronunciations, stressed: Pronunciations
) -> Row:
    words = sorted(references)
    pronouncer.words(words[:100], num_beams=num_beams)  # what is done once, such as starting threads
    start = time.perf_counter()
    results = pronouncer.words(words, num_beams=num_beams)
    elapsed = time.perf_counter() - start
    predictions = {result["word"]: tuple(result["phonemes"]) for result in results}
    merged = pronouncer.words(words, num_beams=num_beams, stress=False)
    word_error, phoneme_error = error_rates({r["word"]: tuple(r["phonemes"]) for r in merged}, references)
    with_stress = {word: predictions[word] for word in words if word in stressed}
    return Row(
        name,
        num_beams,
        len(words),
        word_error,
        phoneme_error,
        len(with_stress),
        error_rates(with_stress, stressed)[0],
        len(words) / elapsed,
    )


def markdown(rows: list[Row]) -> str:
    lines = [
        "| model | search | word error | phoneme error | word error with stress | words/s |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        search = "greedy" if row.num_beams == 1 else f"beam {row.num_beams}"
        lines.append(
            f"| {row.model} | {search} | {row.word_error:.2f} % | {row.phoneme_error:.2f} % |"
            f" {row.word_error_with_stress:.2f} % | {row.words_per_second:,.0f} |"
        )
    return "\n".join(lines)


def named_folder(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FOLDER")
    return name, folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test-words", type=Path, help="word list (default: the fixed split of corpus.py)")
    parser.add_argument(
        "--model", type=named_folder, action="append", metavar="NAME=FOLDER", help="(default: the bundled models)"
    )
    parser.add_argument("--ngram", type=Path, help="folder of a joint n-gram that judges what the models find, too")
    parser.add_argument("--num-beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--threads", type=int, help="(default: all)")
    parser.add_argument("--backend", choices=("native", "numpy"))
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    if args.threads is not None:
        fastseq.set_num_threads(args.threads)

    pairs = read_cmudict()
    references = read_references(args.test_words) if args.test_words else split(pairs, None, None)[2]
    stressed: Pronunciations = {}
    for word, phonemes in pairs:
        stressed.setdefault(word, []).append(phonemes)

    rows = []
    ngram = args.ngram or args.model is None
    models = list(args.model or BUNDLED.items())
    for judge, (name, folder) in itertools.product([False, ngram] if ngram else [False], models):
        pronouncer = Pronouncer(folder, ngram=judge, backend=args.backend)
        known = {w: r for w, r in references.items() if set(w) <= set(pronouncer.vocabulary.source)}
        for word in sorted(references.keys() - known.keys()):
            print(f"{name}: left out {word!r}, which has an unknown character", file=sys.stderr)
        title = f"{name}, n-gram" if judge else name
        for num_beams in args.num_beams:
            if judge and num_beams == ALONE:
                continue
            rows.append(evaluate(title, pronouncer, num_beams, known, stressed))
            print(f"{title}, {num_beams} beams: done", file=sys.stderr)
    print(markdown(rows))
    threads = fastseq.get_num_threads()
    print(f"\n{rows[0].words:,} words, {rows[0].words_with_stress:,} of them in CMUdict; {threads} threads.")
    if args.json:
        figures = {
            "fastseq": fastseq.__version__,
            "machine": platform.machine(),
            "threads": threads,
            "rows": [asdict(row) for row in rows],
        }
        args.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
