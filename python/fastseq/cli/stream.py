"""Lines in, lines out: what the commands that read text have in common."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from fastseq.cli.lines import LONGEST_LINE_BYTES, Progress, decode, json_line, read_byte_lines, standard_input

__all__ = ["LineRunner", "add_common", "add_input", "inputs_of", "pipeline_options", "positive", "warnings_as_lines"]

Result = Any


def positive(text: str) -> int:
    """Return a whole number of at least 1, for `argparse`."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that runs a model."""
    parser.add_argument(
        "--model", required=True, metavar="DIR|NAME", help="a model folder, or the name of a model on the hub"
    )
    parser.add_argument("--compute-type", metavar="TYPE", help="(default: as stored, or float32)")
    parser.add_argument("--backend", choices=("native", "numpy"), help="(default: native)")
    parser.add_argument("--threads", type=positive, metavar="N", help="number of threads")
    parser.add_argument("--batch-size", type=positive, metavar="N", help="most lines that run together")


def add_input(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that reads lines."""
    parser.add_argument("file", nargs="*", metavar="FILE", help="read lines from these (default: standard input)")
    parser.add_argument("--text", action="append", metavar="TEXT", help="a line, in place of files; may be repeated")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def pipeline_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what a pipeline's constructor takes of the common options, and set the number of threads."""
    from fastseq import set_num_threads

    if args.threads is not None:
        set_num_threads(args.threads)
    return {
        "compute_type": args.compute_type,
        "backend": args.backend,
        "batch_size": args.batch_size,
        "progress": False,  # the command shows its own
    }


def inputs_of(args: argparse.Namespace) -> Iterator[list[bytes | None]]:
    """Yield the lines that are there, again and again until the end; None for one that is too long."""
    if args.text and args.file:
        args.parser.error("give --text or files, not both")
    if args.text:
        yield [text.encode("utf-8", "surrogateescape") for text in args.text]
        return
    for name in args.file or ["-"]:
        with contextlib.ExitStack() as stack:
            stream: IO[bytes] = standard_input() if name == "-" else stack.enter_context(open(name, "rb"))
            progress = Progress.of(stream)
            stack.callback(progress.close)
            yield from read_byte_lines(stream, progress)


class LineRunner:
    """Runs a function on lines and writes a line for each; what fails is named on the standard error.

    Parameters
    ----------
    compute : callable
        Results of the lines that are not empty; its second argument is their numbers.
    write : callable
        The output line of a line's number, text and result.
    args : namespace
        With `json`.
    """

    def __init__(
        self,
        compute: Callable[[list[Any], list[int]], Sequence[Result]],
        write: Callable[[int, str, Result], str],
        args: argparse.Namespace,
        parse: Callable[[str], Any] = lambda text: text,
    ) -> None:
        self.failed = False
        self._compute, self._write, self._parse = compute, write, parse
        self._json = args.json
        self._number = 0

    def run(self, chunks: Iterator[list[bytes | None]]) -> int:
        """Do all lines; return the exit status."""
        for lines in chunks:
            self._chunk(lines)
            sys.stdout.flush()
        return 1 if self.failed else 0

    def results(self, lines: list[bytes | None]) -> list[Result]:
        """Return the results of lines, None for those that are empty or fail, which are named."""
        first, _, _, results, problems = self._compute_lines(lines)
        for i, problem in problems.items():
            self._report(first + i, problem)
        return results

    def _chunk(self, lines: list[bytes | None]) -> None:
        first, texts, items, results, problems = self._compute_lines(lines)
        for i, text in enumerate(texts):
            if i in problems:
                self._report(first + i, problems[i])
                sys.stdout.write(json_line({"line": first + i, "error": problems[i]}) + "\n" if self._json else "\n")
            elif items[i] is None and not self._json:
                sys.stdout.write("\n")
            else:
                sys.stdout.write(self._write(first + i, text, results[i]) + "\n")

    def _report(self, number: int, problem: str) -> None:
        self.failed = True
        print(f"fastseq: line {number}: {problem}", file=sys.stderr)

    def _compute_lines(
        self, lines: list[bytes | None]
    ) -> tuple[int, list[str], list[Any], list[Result], dict[int, str]]:
        """The number of the first line, and of all lines: texts, what they were parsed to, results, what failed."""
        first = self._number + 1
        self._number += len(lines)
        texts: list[str] = []
        items: list[Any] = []
        problems: dict[int, str] = {}
        for i, line in enumerate(lines):
            text = ""
            try:
                if line is None:
                    raise ValueError(f"it has more than {LONGEST_LINE_BYTES} bytes")
                text = decode(line.removesuffix(b"\r"), "it")
                items.append(self._parse(text) if text.strip() else None)
            except ValueError as error:  # a UnicodeDecodeError is one
                problems[i] = _reason(error)
                items.append(None)
            texts.append(text)
        return first, texts, items, self._results(items, first, problems), problems

    def _results(self, items: list[Any], first: int, problems: dict[int, str]) -> list[Result]:
        """Results of a chunk, computed together; if that fails, line by line to find the one that does."""
        results: list[Result] = [None] * len(items)
        places = [i for i, item in enumerate(items) if item is not None]
        if not places:
            return results
        try:
            with warnings_as_lines():
                found = self._compute([items[i] for i in places], [first + i for i in places])
        except (ValueError, TypeError, RuntimeError):
            for i in places:
                try:
                    with warnings_as_lines():
                        [results[i]] = self._compute([items[i]], [first + i])
                except (ValueError, TypeError, RuntimeError) as error:
                    problems[i] = _reason(error)
            return results
        for i, result in zip(places, found, strict=True):
            results[i] = result
        return results


def _reason(error: Exception) -> str:
    """A message without the place that is said before it."""
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print warnings of text that is cut off as this command prints everything."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        print(f"fastseq: warning: {warning.message}", file=sys.stderr)
