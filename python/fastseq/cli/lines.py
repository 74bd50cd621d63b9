"""Lines of a stream as they come, and how far it has been read."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import IO, Any

__all__ = ["LONGEST_LINE_BYTES", "Progress", "decode", "json_line", "read_byte_lines", "read_chunks", "standard_input"]

_READ_BYTES = 1 << 16
LONGEST_LINE_BYTES = 1 << 20


def standard_input() -> IO[bytes]:
    """Return the bytes of the standard input.

    Raises
    ------
    ValueError
        If the process was started without one.
    """
    if sys.stdin is None:
        raise ValueError("standard input is closed")
    return sys.stdin.buffer


def decode(content: bytes, what: str) -> str:
    """Return the text of bytes in UTF-8, without a byte order mark; an error says `what` is none."""
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is no UTF-8: byte {error.start} is 0x{content[error.start]:02x}") from None


def json_line(value: dict[str, Any]) -> str:
    """Return an object as JSON in one line, which is ASCII where the standard output is not UTF-8."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return json.dumps(value, ensure_ascii=not encoding.lower().startswith("utf"))


def read_chunks(stream: IO[bytes], progress: Progress) -> Iterator[list[str]]:
    """Yield the lines that are there, again and again until the end.

    A chunk is what one read gives, so a line that was just written is answered at once, and a file of any length takes
    bounded memory.

    Parameters
    ----------
    stream : binary stream with `read1`
    progress : Progress
        Told of every read.

    Yields
    ------
    list of str
        Without line ends; bytes that are no UTF-8 become U+FFFD.

    Raises
    ------
    ValueError
        If a line is longer than a megabyte.
    """
    for lines in read_byte_lines(stream, progress):
        if None in lines:
            raise ValueError(f"a line has more than {LONGEST_LINE_BYTES} bytes; is the input text?")
        yield [_text(line) for line in lines if line is not None]


def read_byte_lines(stream: IO[bytes], progress: Progress) -> Iterator[list[bytes | None]]:
    """Yield the lines as bytes, None for one that is longer than a megabyte; see `read_chunks`."""
    rest = b""
    dropping = False  # inside a line that was too long
    while content := stream.read1(_READ_BYTES):  # type: ignore[attr-defined]
        *lines, rest = (rest + content).split(b"\n")
        found: list[bytes | None] = [line if len(line) <= LONGEST_LINE_BYTES else None for line in lines]
        if found and dropping:
            del found[0]  # the end of that line
            dropping = False
        if dropping:
            rest = b""
        elif len(rest) > LONGEST_LINE_BYTES:
            found.append(None)
            rest, dropping = b"", True
        if found:
            yield found
        progress.advance(len(content), len(found))
    if rest:
        yield [rest]


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", errors="replace").removeprefix("\ufeff")


class Progress:
    """A line on a terminal that says how far the input is done, once that takes a while.

    Parameters
    ----------
    total_bytes : int or None
        Size of the input, if known.
    """

    _DELAY_S, _INTERVAL_S = 1.0, 0.2

    def __init__(self, total_bytes: int | None) -> None:
        self._total_bytes = total_bytes
        self._bytes = self._lines = 0
        self._start = self._shown = time.monotonic()
        self._width = 0
        self._enabled = sys.stderr.isatty() and not sys.stdout.isatty()

    @classmethod
    def of(cls, stream: IO[bytes]) -> Progress:
        """Return the progress of a stream, which knows its size if it is a file."""
        try:
            status = os.fstat(stream.fileno())
        except OSError:
            return cls(None)
        return cls(status.st_size or None)

    def advance(self, count_bytes: int, lines: int) -> None:
        """Count what has been done, and show it if it is time to."""
        self._bytes += count_bytes
        self._lines += lines
        now = time.monotonic()
        if not self._enabled or now - self._start < self._DELAY_S or now - self._shown < self._INTERVAL_S:
            return
        self._shown = now
        text = f"{self._lines:,} lines, {self._lines / (now - self._start):,.0f} a second"
        if self._total_bytes is not None:
            text += f", {min(100, 100 * self._bytes // self._total_bytes)} %"
        self._write(text)

    def close(self) -> None:
        """Leave the terminal's line empty."""
        if self._width:
            self._write("")
            sys.stderr.write("\r")

    def _write(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)
