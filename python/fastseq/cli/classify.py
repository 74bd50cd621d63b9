"""`fastseq classify`: a label for each line."""

from __future__ import annotations

import argparse
from typing import Any

from fastseq.cli.lines import json_line
from fastseq.cli.stream import LineRunner, add_common, add_input, inputs_of, pipeline_options, positive

__all__ = ["add_to"]

_EPILOG = """\
Each line of the input gives one line: the label, a tab, the score; with --top-k further pairs follow. Models that label
tokens give the entities of the line: text, label, score, again and again. An empty line gives an empty one.

examples:
  fastseq classify --model sentiment-folder reviews.txt
  fastseq classify --model entities-folder --json < news.txt
"""


def add_to(commands: Any) -> None:
    """Add the sub-command to a parser's commands."""
    parser = commands.add_parser(
        "classify",
        help="label text or its entities",
        description="Label each line, or the entities in it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common(parser)
    add_input(parser)
    parser.add_argument("--top-k", type=positive, metavar="N", default=1, help="labels a line (default: 1)")
    parser.add_argument(
        "--aggregation",
        choices=("none", "simple", "first", "average", "max"),
        default="simple",
        help="how tokens become entities (default: simple)",
    )
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Do all lines; return the exit status."""
    from fastseq.models import load_model
    from fastseq.models.hub import model_folder
    from fastseq.pipelines import pipeline

    options = pipeline_options(args)
    model = load_model(model_folder(args.model), options.pop("compute_type"), options.pop("backend"))
    entities = model.task == "token-classification"
    classify = pipeline("token-classification" if entities else "text-classification", model, **options)
    checked = classify.check({"aggregation_strategy": args.aggregation} if entities else {"top_k": args.top_k})

    def compute(texts: list[Any], numbers: list[int]) -> list[Any]:
        results: list[Any] = classify.run(texts, checked, "line", numbers)
        return results

    def write(number: int, text: str, results: Any) -> str:
        if args.json:
            return json_line({"line": number, "text": text, "result": results})
        return "\t".join(field for result in results for field in _fields(text, result))

    return LineRunner(compute, write, args).run(inputs_of(args))


def _fields(text: str, result: dict[str, Any]) -> list[str]:
    score = f"{result['score']:.4f}"
    if "label" in result:
        return [result["label"], score]
    place = None if result["start"] is None else text[result["start"] : result["end"]]
    word = result["word"] if place is None else " ".join(place.split())  # a tab would be another field
    return [word, result.get("entity_group", result.get("entity", "")), score]
