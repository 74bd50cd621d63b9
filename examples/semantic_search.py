"""Search the documentation of Python's standard library by what its functions do.

The text is on every machine: the docstrings of some modules. Each becomes a vector by all-MiniLM-L6-v2; a question
finds the nearest, whatever words it uses.

    pip install 'fastseq-cpu[text]'
    python examples/semantic_search.py --model sentence-transformers/all-MiniLM-L6-v2 "how do I run a program?"

`--model` is a folder or the name of a model on the Hugging Face hub. Without a question some that a person would type
are answered. `--index DIR` keeps the vectors for the next time.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
from pathlib import Path

import fastseq

MODULES = [
    "calendar",
    "csv",
    "fnmatch",
    "glob",
    "gzip",
    "json",
    "os.path",
    "random",
    "shutil",
    "statistics",
    "subprocess",
    "tempfile",
    "textwrap",
    "time",
    "webbrowser",
    "zipfile",
]
QUESTIONS = (
    "how do I run another program and read what it prints?",
    "delete a folder with everything in it",
    "pick one element by chance",
    "average of a list of numbers",
    "read a file with comma separated values",
    "open a page in the browser",
    "wait a few seconds",
)


def documentation() -> list[str]:
    """Return one line for each documented function and class: its name, and the first paragraph about it."""
    lines = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for member in getattr(module, "__all__", None) or dir(module):
            value = getattr(module, member, None)
            about = inspect.getdoc(value) if callable(value) and not member.startswith("_") else None
            if about and not (inspect.isclass(value) and issubclass(value, BaseException)):
                paragraph = " ".join(about.split("\n\n")[0].split())
                lines.setdefault(paragraph, f"{name}.{member}: {paragraph[:300]}")
    return list(lines.values())


def build(encoder: fastseq.SentenceEncoder, folder: Path | None) -> fastseq.SemanticIndex:
    """Return the index, from its folder if it is there."""
    if folder is not None and (folder / "index.json").is_file():
        return fastseq.SemanticIndex.load(folder, encoder)
    index = fastseq.SemanticIndex(encoder)
    index.add(documentation())
    if folder is not None:
        index.save(folder)
    return index


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or hub name of a sentence-transformers model")
    parser.add_argument("--index", type=Path, help="folder that keeps the vectors")
    parser.add_argument("question", nargs="*", default=QUESTIONS)
    args = parser.parse_args(arguments)
    index = build(fastseq.SentenceEncoder(args.model), args.index)
    print(f"{len(index)} entries")
    for question in args.question:
        print(f"\n{question}")
        for hit in index.search(question, top_k=3):
            print(f"  {hit['score']:.2f}  {hit['text'][:100]}")


if __name__ == "__main__":
    main()
