"""`fastseq answer`: the part of a text that answers a question."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from fastseq.cli.lines import decode, json_line
from fastseq.cli.stream import LineRunner, add_common, add_input, inputs_of, pipeline_options, positive

__all__ = ["add_to"]

_EPILOG = """\
With --context each line of the input is a question about that file. Without it a line is the question, a tab and the
text, or a JSON object {"question": ..., "context": ...}. Each line gives one line: the answer, a tab, its score.

examples:
  fastseq answer --model qa-folder --context report.txt --text "Who wrote it?"
  fastseq answer --model qa-folder --json questions.jsonl
"""


def add_to(commands: Any) -> None:
    """Add the sub-command to a parser's commands."""
    parser = commands.add_parser(
        "answer",
        help="find answers in text",
        description="Find the part of a text that answers a question.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common(parser)
    add_input(parser)
    parser.add_argument("--context", metavar="FILE", help="the text that all questions are about")
    parser.add_argument("--top-k", type=positive, metavar="N", default=1, help="answers a question (default: 1)")
    parser.add_argument("--no-answer", action="store_true", help="let there be no answer")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Answer all lines; return the exit status."""
    from fastseq.pipelines import pipeline

    # As it is in the file, line ends and all: places in it are counted in characters.
    context = None if args.context is None else decode(Path(args.context).read_bytes(), str(Path(args.context)))
    answer = pipeline("question-answering", args.model, **pipeline_options(args))
    checked = answer.check({"top_k": args.top_k, "handle_impossible_answer": args.no_answer})

    def compute(pairs: list[Any], numbers: list[int]) -> list[Any]:
        results: list[Any] = answer.run(pairs, checked, "line", numbers)
        return results

    def write(number: int, text: str, results: Any) -> str:
        if args.json:
            return json_line({"line": number, "text": text, "result": results})
        found = results if isinstance(results, list) else [results]
        return "\t".join(f"{' '.join(one['answer'].split())}\t{one['score']:.4f}" for one in found)

    def parse(text: str) -> dict[str, str]:
        return {"question": text, "context": context} if context is not None else _pair(text)

    return LineRunner(compute, write, args, parse).run(inputs_of(args))


def _pair(text: str) -> dict[str, str]:
    if text.lstrip().startswith("{"):
        try:
            pair = json.loads(text)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None
        if not isinstance(pair, dict) or not all(isinstance(pair.get(name), str) for name in ("question", "context")):
            raise ValueError('expected {"question": ..., "context": ...}')
        return {name: pair[name] for name in ("question", "context")}
    question, tab, context = text.partition("\t")
    if not tab:
        raise ValueError("expected a question, a tab and the text that it is about; or give --context")
    return {"question": question, "context": context}
