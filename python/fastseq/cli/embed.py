"""`fastseq embed`: a vector for each line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from fastseq.cli.lines import json_line
from fastseq.cli.stream import LineRunner, add_common, add_input, inputs_of, pipeline_options

if TYPE_CHECKING:
    from fastseq.pipelines.sentence_encoder import SentenceEncoder

__all__ = ["add_to", "encoder_of"]

_EPILOG = """\
Each line of the input gives a line of numbers with spaces between, or with --json an object. With --output the vectors
go into a file for numpy.load, a row for each line; a line that cannot be done is a row of zeros.

examples:
  fastseq embed --model sentence-transformers/all-MiniLM-L6-v2 --output vectors.npy sentences.txt
"""
_HEADER_BYTES = 128


def add_to(commands: Any) -> None:
    """Add the sub-command to a parser's commands."""
    parser = commands.add_parser(
        "embed",
        help="make vectors of text",
        description="Make a vector of each line.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common(parser)
    add_input(parser)
    parser.add_argument("--normalize", action="store_true", help="make vectors of length one")
    parser.add_argument("--output", metavar="FILE.npy", help="write the vectors there")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Embed all lines; return the exit status."""
    encoder = encoder_of(args)

    def compute(texts: list[Any], numbers: list[int]) -> list[Any]:
        vectors = encoder.encode(
            texts, args.batch_size or 32, False, normalize_embeddings=args.normalize, name="line", numbers=numbers
        )
        return list(vectors)

    def write(number: int, text: str, vector: Any) -> str:
        if args.json:
            numbers = None if vector is None else [float(f"{x:.7g}") for x in vector.tolist()]
            return json_line({"line": number, "text": text, "vector": numbers})
        return " ".join(f"{x:.7g}" for x in vector.tolist())

    runner = LineRunner(compute, write, args)
    if args.output is None:
        return runner.run(inputs_of(args))
    with open(args.output, "wb") as file:
        return _write_array(file, runner, inputs_of(args), encoder.dimension)


def encoder_of(args: argparse.Namespace) -> SentenceEncoder:
    """Return the encoder that the common options say."""
    from fastseq.pipelines.sentence_encoder import SentenceEncoder

    options = pipeline_options(args)
    return SentenceEncoder(args.model, compute_type=options["compute_type"], backend=options["backend"])


def _write_array(file: IO[bytes], runner: LineRunner, chunks: Iterator[list[bytes | None]], width: int) -> int:
    """Write an .npy file whose number of rows is known at its end only: its header is written last."""
    import numpy as np

    file.write(b"\0" * _HEADER_BYTES)
    count = 0
    for lines in chunks:
        rows = np.zeros((len(lines), width), np.float32)
        for i, vector in enumerate(runner.results(lines)):
            if vector is not None:
                rows[i] = vector
        file.write(rows.tobytes())
        count += len(rows)
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, {width}), }}"
    file.seek(0)
    file.write(b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little"))
    file.write(header.ljust(_HEADER_BYTES - 11).encode() + b"\n")
    return 1 if runner.failed else 0
