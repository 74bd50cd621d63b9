"""The command `fastseq`: one file for each sub-command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fastseq import __version__

__all__ = ["entry_point", "main"]

INTERRUPTED = 130  # 128 + SIGINT, as shells count
PIPE_CLOSED = 141  # 128 + SIGPIPE


_EPILOG = """\
examples:
  fastseq pronounce onomatopoeia
  fastseq translate --model Helsinki-NLP/opus-mt-en-de < english.txt > german.txt
  fastseq search --model sentence-transformers/all-MiniLM-L6-v2 manual.txt "how do I stop it?"
  fastseq info
  fastseq bench
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all sub-commands; each sets `run`, a function of the parsed arguments."""
    from fastseq.cli import answer, classify, embed, generate, info, pronounce, search, verify

    parser = argparse.ArgumentParser(
        prog="fastseq",
        description="Fast encoder-decoder sequence models on a CPU.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fastseq {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    pronounce.add_to(commands)
    for module in (generate, classify, answer, embed, search, verify):
        module.add_to(commands)
    info.add_to(commands)
    # The benchmark parses its own arguments: see main.
    commands.add_parser("bench", help="time fastseq against NumPy on this machine", add_help=False)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        The exit status: 0 for success, 1 if part of the input could not be done, 2 for wrong usage or a missing or
        damaged model.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["bench"]:
            from fastseq import bench

            return bench.main(arguments[1:])
        args = build_parser().parse_args(arguments)
        return int(args.run(args))
    except (OSError, ImportError, ValueError) as error:
        if isinstance(error, BrokenPipeError) or _interrupted(error):
            raise
        print(f"fastseq: error: {error}", file=sys.stderr)
        return 2


def entry_point() -> int:
    """Run the command line of this process; interruption and a closed pipe end it without a traceback."""
    if sys.stderr is None:  # closed by who started this process
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stdout is None:
        print("fastseq: error: standard output is closed", file=sys.stderr)
        return 2
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more; what is buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except BaseException as error:
        if not _interrupted(error):
            raise
        # CPython ends by the signal, not with our status, if it hit code that exec() runs (dataclasses use it) and
        # nothing was run so since.
        exec("")
        return INTERRUPTED
    return status


def _interrupted(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C, or what an import or an extension module made of it."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
