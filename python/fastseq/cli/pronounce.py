"""`fastseq pronounce`: words to phonemes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

from fastseq.cli.lines import json_line, standard_input
from fastseq.cli.stream import positive

if TYPE_CHECKING:
    from fastseq.pipelines.pronounce import Pronouncer, Result

__all__ = ["add_to"]

_EPILOG = """\
Each argument, or each line of the input if there are none, gives one line: the text, a tab, its pronunciation.
The words of a text are separated by " | " in ARPABET and by a space in IPA. With --nbest every word gives a line
for each pronunciation: the word, a tab, the pronunciation, a tab, its score. A word that cannot be pronounced
(digits, foreign letters) is "?" there, and named on the standard error; the exit status is then 1.

examples:
  fastseq pronounce onomatopoeia
  fastseq pronounce --format ipa "Hello world"
  fastseq pronounce tomato --nbest 3 --json
  fastseq pronounce --file words.txt --num-beams 1 > pronunciations.tsv
  fastseq pronounce pneumonia --attention pneumonia.png
"""


def add_to(commands: Any) -> None:
    """Add the sub-command to a parser's commands."""
    parser = commands.add_parser(
        "pronounce",
        help="pronounce English words",
        description="Say how English words are pronounced.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("text", nargs="*", metavar="WORD", help="a word or a text (default: lines of standard input)")
    parser.add_argument("--file", metavar="F", help="read lines from this file")
    parser.add_argument("--format", choices=("arpabet", "ipa"), default="arpabet", help="(default: arpabet)")
    parser.add_argument(
        "--no-stress",
        dest="stress",
        action="store_false",
        help="without stress marks; what differs in stress only is one pronunciation",
    )
    parser.add_argument(
        "--model",
        default="lstm",
        metavar="lstm|transformer|ensemble|DIR",
        help="bundled model, both of them together, or model folder (default: lstm)",
    )
    judge = parser.add_mutually_exclusive_group()
    judge.add_argument(
        "--ngram",
        metavar="DIR",
        help="joint n-gram that helps to choose among what was found (default: a bundled one for bundled models)",
    )
    judge.add_argument("--no-ngram", dest="ngram", action="store_false", help="let the model alone choose")
    parser.add_argument("--num-beams", type=positive, metavar="N", help="1 is greedy (default: 5, or --nbest)")
    parser.add_argument("--nbest", type=positive, metavar="N", default=1, help="pronunciations a word (default: 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--attention", metavar="OUT.PNG", help="draw where the model looked (one word; needs matplotlib)"
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="number of threads")
    parser.add_argument(
        "--compute-type",
        choices=("float32", "bfloat16", "int8"),
        help="what the weights are computed in (default: as stored, or float32)",
    )
    parser.add_argument("--backend", choices=("native", "numpy"), help="(default: native)")
    parser.set_defaults(run=run, parser=parser, ngram=None)


def run(args: argparse.Namespace) -> int:
    """Pronounce what the arguments say; return the exit status."""
    if args.text and args.file is not None:
        args.parser.error("give words or --file, not both")
    if args.num_beams is None:
        args.num_beams = max(5, args.nbest)
    if args.nbest > args.num_beams:
        args.parser.error(f"--nbest {args.nbest} needs --num-beams of at least {args.nbest}")
    if args.attention is not None and len(args.text) != 1:
        args.parser.error("--attention needs one word as argument")

    from fastseq import set_num_threads
    from fastseq.pipelines.pronounce import Pronouncer

    if args.threads is not None:
        set_num_threads(args.threads)
    pronouncer = Pronouncer(args.model, ngram=args.ngram, backend=args.backend, compute_type=args.compute_type)
    output = _Output(pronouncer, args)
    if args.text:
        output.write(args.text)
    elif args.file is not None:
        with open(args.file, "rb") as file:
            _stream(file, output)
    else:
        _stream(standard_input(), output)
    if args.attention is not None and not output.failed:
        _draw(pronouncer, args)
    return 1 if output.failed else 0


def _stream(stream: IO[bytes], output: _Output) -> None:
    from fastseq.cli.lines import Progress, read_chunks

    progress = Progress.of(stream)
    try:
        for lines in read_chunks(stream, progress):
            output.write(lines)
    finally:
        progress.close()


def _draw(pronouncer: Pronouncer, args: argparse.Namespace) -> None:
    from fastseq.pipelines.attention_plot import draw_attention

    seen = pronouncer.attention(args.text[0], num_beams=args.num_beams)
    draw_attention(seen["weights"], seen["letters"], seen["phonemes"], args.attention, title=seen["word"])


class _Output:
    """Pronounces texts and prints a line for each; words that cannot be done are named on the standard error."""

    def __init__(self, pronouncer: Pronouncer, args: argparse.Namespace) -> None:
        self.failed = False
        self._pronouncer = pronouncer
        self._args = args

    def write(self, texts: Iterable[str]) -> None:
        from fastseq.pipelines.words import split_words

        split = [(" ".join(text.split()), split_words(text)) for text in texts]
        results = self._pronounce(dict.fromkeys(word for _, words in split for word in words))
        for text, words in split:
            for line in self._lines(text, [results[word] for word in words]):
                sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def _pronounce(self, words: Iterable[str]) -> dict[str, Result]:
        results: dict[str, Result] = {}
        known = []
        for word in words:
            try:
                self._pronouncer.encode(word)
            except ValueError as error:
                self.failed = True
                print(f"fastseq: {error}", file=sys.stderr)
                results[word] = {"word": word, "pronunciation": "?", "error": str(error)}
            else:
                known.append(word)
        args = self._args
        done = self._pronouncer.words(
            known,
            format=args.format,
            stress=args.stress,
            num_beams=args.num_beams,
            num_return_sequences=args.nbest,
        )
        return results | {result["word"]: result for result in done}

    def _lines(self, text: str, results: list[Result]) -> Iterator[str]:
        if self._args.json:
            shown = [{k: v for k, v in r.items() if k != "pronunciation" or "error" not in r} for r in results]
            yield json_line({"text": text, "words": shown})
        elif self._args.nbest == 1:
            separator = " " if self._args.format == "ipa" else " | "
            yield f"{text}\t{separator.join(result['pronunciation'] for result in results)}"
        else:
            for result in results:
                for hypothesis in [result, *result.get("alternatives", [])]:
                    score = f"{hypothesis['score']:.4f}" if "score" in hypothesis else ""
                    yield f"{result['word']}\t{hypothesis['pronunciation']}\t{score}"
