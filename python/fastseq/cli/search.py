"""`fastseq search`: the lines of a text that mean what a query means."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastseq.cli.embed import encoder_of
from fastseq.cli.lines import Progress, json_line, read_chunks, standard_input
from fastseq.cli.stream import add_common, positive, warnings_as_lines

if TYPE_CHECKING:
    from fastseq.pipelines.semantic_index import SemanticIndex

__all__ = ["add_to"]

_EPILOG = """\
The lines of the corpus are compared with each query; empty ones are passed over. Each hit gives one line: the score, a
tab, the number of the line, a tab, the line. Several queries are separated by an empty line. With --index the vectors
are kept in a folder and read from there the next time, as long as the corpus is the same.

examples:
  fastseq search --model sentence-transformers/all-MiniLM-L6-v2 corpus.txt "how do I stop it?"
  fastseq search --model DIR --index corpus.index corpus.txt < queries.txt
"""


def add_to(commands: Any) -> None:
    """Add the sub-command to a parser's commands."""
    parser = commands.add_parser(
        "search",
        help="find lines by what they mean",
        description="Find the lines of a text that are nearest to a query in meaning.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common(parser)
    parser.add_argument("corpus", metavar="CORPUS", help="a text file")
    parser.add_argument("query", nargs="*", metavar="QUERY", help="(default: lines of standard input)")
    parser.add_argument("--top-k", type=positive, metavar="N", default=5, help="hits a query (default: 5)")
    parser.add_argument("--index", metavar="DIR", help="folder that keeps the vectors")
    parser.add_argument("--json", action="store_true", help="one JSON object a query")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Answer all queries; return the exit status."""
    encoder = encoder_of(args)
    content = Path(args.corpus).read_bytes().decode("utf-8", errors="replace").removeprefix("\ufeff")
    lines = [(number, line.strip()) for number, line in enumerate(content.split("\n"), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{args.corpus} has no lines to search")
    index = _index(args, encoder, lines)
    queries = args.query or (line.strip() for chunk in read_chunks(standard_input(), Progress(None)) for line in chunk)
    for i, query in enumerate(query for query in queries if query.strip()):
        with warnings_as_lines():
            found = index.search(query, top_k=args.top_k)
        hits = [{"line": lines[hit["corpus_id"]][0], **hit} for hit in found]
        for hit in hits:
            del hit["corpus_id"]
        if args.json:
            print(json_line({"query": query, "hits": hits}))
        else:
            sys.stdout.write("\n" * (i > 0))
            for hit in hits:
                print(f"{hit['score']:.4f}\t{hit['line']}\t{hit['text']}")
        sys.stdout.flush()
    return 0


def _index(args: argparse.Namespace, encoder: Any, lines: list[tuple[int, str]]) -> SemanticIndex:
    """The index of these lines with their numbers, from its folder if that has them."""
    from fastseq.pipelines.semantic_index import SemanticIndex

    texts = [line for _, line in lines]
    if args.index is not None and (Path(args.index) / "index.json").is_file():
        index = SemanticIndex.load(args.index, encoder, backend=args.backend)
        same = len(index) == len(texts) and all(index.text(i) == text for i, text in enumerate(texts))
        if same and index.dimension == encoder.dimension:
            return index
        print(f"fastseq: {args.index} is of another corpus or model; it is made anew", file=sys.stderr)
    index = SemanticIndex(encoder, backend=args.backend)
    with warnings_as_lines():
        index.add(texts, batch_size=args.batch_size or 32, name="line", numbers=[n for n, _ in lines])
    if args.index is not None:
        index.save(args.index)
    return index
