"""`fastseq verify`: how far the fast path of a model is from the NumPy reference."""

from __future__ import annotations

import argparse
import json
from typing import Any

from fastseq.cli.stream import positive

__all__ = ["add_to"]

_EPILOG = """\
The model runs twice on the same sentences: natively, and on the NumPy reference. A line for each stage: the largest
difference and the largest number. Stages are the layers of a Transformer's encoder, its output, the logits, the tokens.
The exit status is 1 if a stage differs more than the tolerance.

examples:
  fastseq verify --model opus-mt-folder
  fastseq verify --model opus-mt-folder --compute-type int8 --tolerance 0.1
"""


def add_to(commands: Any) -> None:
    """Add the sub-command to a parser's commands."""
    parser = commands.add_parser(
        "verify",
        help="compare a model's fast path with the NumPy reference",
        description="Compare a model's fast path with the NumPy reference, stage by stage.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, metavar="DIR|NAME", help="a model folder, or a name on the hub")
    parser.add_argument("--text", action="append", metavar="TEXT", help="a sentence to run; may be repeated")
    parser.add_argument("--compute-type", default="float32", metavar="TYPE", help="of the fast path (default: float32)")
    parser.add_argument("--tolerance", type=float, default=1e-3, metavar="X", help="relative (default: 0.001)")
    parser.add_argument("--threads", type=positive, metavar="N", help="number of threads")
    parser.add_argument("--json", action="store_true", help="one JSON object a stage")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare; return the exit status."""
    from fastseq import set_num_threads
    from fastseq.pipelines.verify import verify

    if args.threads is not None:
        set_num_threads(args.threads)
    stages = verify(args.model, args.text, compute_type=args.compute_type, tolerance=args.tolerance)
    for stage in stages:
        if args.json:
            print(json.dumps(vars(stage)))
        elif stage.name == "tokens":
            same = f"{stage.scale - stage.difference:.0f} of {stage.scale:.0f} sentences the same"
            print(f"{stage.name:18}{same:44}{'ok' if stage.passed else 'DIFFERENT'}")
        else:
            found = f"differs by at most {stage.difference:.2e} of {stage.scale:.3g}"
            print(f"{stage.name:18}{found:44}{'ok' if stage.passed else 'TOO FAR'}")
    return 0 if all(stage.passed for stage in stages) else 1
