"""`fastseq translate`, `summarize` and `generate`: text to text, a line for each line."""

from __future__ import annotations

import argparse
from typing import Any

from fastseq.cli.lines import json_line
from fastseq.cli.stream import LineRunner, add_common, add_input, inputs_of, pipeline_options, positive

__all__ = ["add_to"]

_EPILOG = """\
Each line of the input gives one line, in their order; an empty line gives an empty one. With --nbest each line gives
as many lines: its number, a tab, the text, a tab, the score. A line that cannot be done gives an empty line, is named
on the standard error, and the exit status is 1.

examples:
  fastseq {command} --model {model} < input.txt > output.txt
  fastseq {command} --model {model} --num-beams 4 --json input.txt
"""
_COMMANDS = {
    "translate": ("translate text", "Translate each line.", "Helsinki-NLP/opus-mt-en-de"),
    "summarize": ("summarise text", "Give the summary of each line.", "google/pegasus-xsum"),
    "generate": (
        "generate text from text",
        "Continue each line, or answer it.",
        "google/flan-t5-small",
    ),
}


def add_to(commands: Any) -> None:
    """Add the sub-commands to a parser's commands."""
    for command, (summary, description, model) in _COMMANDS.items():
        parser = commands.add_parser(
            command,
            help=summary,
            description=description,
            epilog=_EPILOG.format(command=command, model=model),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_common(parser)
        add_input(parser)
        parser.add_argument("--num-beams", type=positive, metavar="N", help="1 is greedy (default: the model's)")
        parser.add_argument("--nbest", type=positive, metavar="N", default=1, help="results a line (default: 1)")
        parser.add_argument("--max-length", type=positive, metavar="N", help="most tokens of a result")
        parser.add_argument("--min-length", type=positive, metavar="N", help="fewest tokens of a result")
        parser.add_argument("--length-penalty", type=float, metavar="X", help="above 0 favours long results")
        if command == "translate":
            parser.add_argument("--src-lang", metavar="CODE", help="language of the input, for multilingual models")
            parser.add_argument("--tgt-lang", metavar="CODE", help="language of the result")
        parser.set_defaults(run=run, parser=parser, command=command)


def run(args: argparse.Namespace) -> int:
    """Do all lines; return the exit status."""
    if args.num_beams is not None and args.nbest > args.num_beams:
        args.parser.error(f"--nbest {args.nbest} needs --num-beams of at least {args.nbest}")
    pipeline = _pipeline(args)
    options = {name: getattr(args, name) for name in ("num_beams", "max_length", "min_length", "length_penalty")}
    if args.nbest > 1:
        options |= {"num_return_sequences": args.nbest, "num_beams": args.num_beams or args.nbest}
    if args.command == "translate":
        options |= {"src_lang": args.src_lang, "tgt_lang": args.tgt_lang}
    given = {name: value for name, value in options.items() if value is not None}
    checked = pipeline.check(given | {"return_scores": True})

    def compute(texts: list[Any], numbers: list[int]) -> list[Any]:
        results: list[Any] = pipeline.run(texts, checked, "line", numbers)
        return results

    def write(number: int, text: str, results: Any) -> str:
        if args.json:
            shown = results if args.nbest > 1 else (results or [None])[0]
            return json_line({"line": number, "text": text, "result": shown})
        texts = [" ".join(_only_text(result).split()) for result in results]
        if args.nbest == 1:
            return texts[0]
        return "\n".join(f"{number}\t{one}\t{r['score']:.4f}" for one, r in zip(texts, results, strict=True))

    return LineRunner(compute, write, args).run(inputs_of(args))


def _pipeline(args: argparse.Namespace) -> Any:
    """The pipeline of the command; `generate` takes what the folder is for."""
    from fastseq.models import load_model
    from fastseq.models.hub import model_folder
    from fastseq.pipelines import pipeline

    options = pipeline_options(args)
    if args.command == "translate":
        return pipeline("translation", args.model, **options)
    if args.command == "summarize":
        return pipeline("summarization", args.model, **options)
    model = load_model(model_folder(args.model), options.pop("compute_type"), options.pop("backend"))
    if model.task not in ("text2text-generation", "text-generation"):
        raise ValueError(f"the model of {args.model!r} is for {model.task}; expected a model that generates")
    return pipeline(model.task, model, **options)


def _only_text(result: dict[str, Any]) -> str:
    return str(next(value for name, value in result.items() if name.endswith("_text")))
