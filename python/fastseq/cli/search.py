"""`fastseq search`: the lines of a text that mean what a query means."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastseq.cli.embed import encoder_of
from fastseq.cli.lines import Progress, json_line, read_chunks, standard_input
from fastseq.cli.stream import add_common, pipeline_options, positive, warnings_as_lines

if TYPE_CHECKING:
    from fastseq.pipelines.cross_encoder import CrossEncoder
    from fastseq.pipelines.semantic_index import SemanticIndex

__all__ = ["add_to"]

_EPILOG = """\
The lines of the corpus are compared with each query; empty ones are passed over. Each hit gives one line: the score, a
tab, the number of the line, a tab, the line. Several queries are separated by an empty line. With --index the vectors
are kept in a folder and read from there the next time, as long as the corpus is the same. With --rerank a second model
reads the nearest lines together with the query; their order and the scores are its own.

examples:
  fastseq search --model sentence-transformers/all-MiniLM-L6-v2 corpus.txt "how do I stop it?"
  fastseq search --model DIR --index corpus.index corpus.txt < queries.txt
  fastseq search --model DIR --rerank cross-encoder/ms-marco-MiniLM-L6-v2 corpus.txt "how do I stop it?"
"""
_CANDIDATES = 50


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
    parser.add_argument("--rerank", metavar="DIR|NAME", help="a model that scores pairs of query and line")
    parser.add_argument(
        "--candidates", type=positive, metavar="N", help=f"lines a query that it reads (default: {_CANDIDATES})"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a query")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Answer all queries; return the exit status."""
    reranker = _reranker(args)
    encoder = encoder_of(args)
    content = Path(args.corpus).read_bytes().decode("utf-8", errors="replace").removeprefix("\ufeff")
    lines = [(number, line.strip()) for number, line in enumerate(content.split("\n"), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{args.corpus} has no lines to search")
    index = _index(args, encoder, lines)
    nearest = args.top_k if reranker is None else max(args.top_k, args.candidates or _CANDIDATES)
    queries = args.query or (line.strip() for chunk in read_chunks(standard_input(), Progress(None)) for line in chunk)
    for i, query in enumerate(query for query in queries if query.strip()):
        with warnings_as_lines():
            found = index.search(query, top_k=nearest)
            hits = [{"line": lines[hit["corpus_id"]][0], "score": hit["score"], "text": hit["text"]} for hit in found]
            if reranker is not None:
                hits = _ranked(args, reranker, query, hits)
        if args.json:
            print(json_line({"query": query, "hits": hits}))
        else:
            sys.stdout.write("\n" * (i > 0))
            for hit in hits:
                print(f"{hit['score']:.4f}\t{hit['line']}\t{hit['text']}")
        sys.stdout.flush()
    return 0


def _reranker(args: argparse.Namespace) -> CrossEncoder | None:
    """The second model, if there is one."""
    if args.rerank is None:
        if args.candidates is not None:
            args.parser.error("--candidates needs --rerank")
        return None
    if args.candidates is not None and args.candidates < args.top_k:
        args.parser.error(f"--top-k {args.top_k} needs --candidates of at least {args.top_k}")
    from fastseq.pipelines.cross_encoder import CrossEncoder

    options = pipeline_options(args)
    model = CrossEncoder(args.rerank, compute_type=options["compute_type"], backend=options["backend"])
    if model.num_labels != 1:  # known before a long corpus is read
        raise ValueError(f"--rerank {args.rerank}: the model has {model.num_labels} labels; expected one")
    return model


def _ranked(
    args: argparse.Namespace, reranker: CrossEncoder, query: str, hits: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The best of the hits, with the second model's scores."""
    texts, numbers = [hit["text"] for hit in hits], [hit["line"] for hit in hits]
    size = args.batch_size or 32
    ranked = reranker.rank(query, texts, args.top_k, batch_size=size, name="line", numbers=numbers)
    return [hits[one["corpus_id"]] | {"score": one["score"]} for one in ranked]


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
