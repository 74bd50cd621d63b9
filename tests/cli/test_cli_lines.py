"""Long texts through the commands: batches, order, bounded memory, bad lines, interruption, a closed pipe."""

from __future__ import annotations

import argparse
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fastseq.cli
from fastseq.cli.lines import LONGEST_LINE_BYTES, Progress, json_line, read_byte_lines
from fastseq.cli.stream import LineRunner

READ_BYTES = 1 << 16


class Recorder:
    """A stand-in for a model: each text reversed; `!` in a batch is an error. Keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], list[int]]] = []

    def __call__(self, texts: list[Any], numbers: list[int]) -> list[str]:
        self.calls.append((texts, numbers))
        if any("!" in text for text in texts):
            raise ValueError("no exclamations")
        return [text[::-1] for text in texts]


def runner(compute: Recorder) -> LineRunner:
    return LineRunner(compute, lambda number, text, result: f"{number} {result}", argparse.Namespace(json=False))


def test_lines_between_empty_ones_are_one_batch(capsys: pytest.CaptureFixture[str]) -> None:
    compute = Recorder()
    assert runner(compute).run(iter([[b"ab", b"", b"cd", b"  ", b"", b"ef"], [b"", b""], [b"gh"]])) == 0
    assert compute.calls == [(["ab", "cd", "ef"], [1, 3, 6]), (["gh"], [9])]
    assert capsys.readouterr().out.split("\n") == ["1 ba", "", "3 dc", "", "", "6 fe", "", "", "9 hg", ""]


def test_a_batch_that_fails_is_done_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    compute = Recorder()
    assert runner(compute).run(iter([[b"ab", b"", b"c!", b"\xff", b"ef"]])) == 1
    output = capsys.readouterr()
    assert output.out.split("\n") == ["1 ba", "", "", "", "5 fe", ""]
    assert output.err == "fastseq: line 3: no exclamations\nfastseq: line 4: it is no UTF-8: byte 0 is 0xff\n"
    assert [numbers for _, numbers in compute.calls] == [[1, 3, 5], [1], [3], [5]]


class Bytewise(io.BytesIO):
    """A stream that gives an odd number of bytes at each read."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(50_021)


@pytest.mark.parametrize("stream", [io.BytesIO, Bytewise])
def test_the_longest_line_does_not_depend_on_how_the_stream_is_read(stream: type[io.BytesIO]) -> None:
    content = b"a" * LONGEST_LINE_BYTES + b"\n" + b"b" * (LONGEST_LINE_BYTES + 1) + b"\nc\n"
    lines = [line for part in read_byte_lines(stream(content), Progress(None)) for line in part]
    assert [None if line is None else len(line) for line in lines] == [LONGEST_LINE_BYTES, None, 1]


def test_json_is_ascii_where_the_output_is_not_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, shown in (("utf-8", "é"), ("latin-1", "\\u00e9"), ("ascii", "\\u00e9")):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
        assert json_line({"text": "é"}) == f'{{"text": "{shown}"}}'


def test_a_file_of_any_length_is_done_in_parts_of_bounded_size(capsys: pytest.CaptureFixture[str]) -> None:
    content = b"".join(b"%d of many lines\n" % i for i in range(1, 20001))
    compute = Recorder()
    assert runner(compute).run(read_byte_lines(io.BytesIO(content), Progress(None))) == 0
    assert max(sum(map(len, texts)) for texts, _ in compute.calls) <= READ_BYTES + len("20000 of many lines")
    found = capsys.readouterr().out.splitlines()
    assert found == [f"{i} {f'{i} of many lines'[::-1]}" for i in range(1, 20001)]


@pytest.mark.parametrize("made_into", [KeyboardInterrupt, ImportError, RuntimeError])
def test_interruption_of_an_import(made_into: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Python and extension modules turn an interruption while they load into errors of their own."""

    def build_parser() -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser()
        parser.set_defaults(run=interrupted)
        return parser

    def interrupted(args: argparse.Namespace) -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise made_into("initialization failed") from error

    monkeypatch.setattr(fastseq.cli, "build_parser", build_parser)
    monkeypatch.setattr(sys, "argv", ["fastseq"])
    assert fastseq.cli.entry_point() == 130


def test_interruption_of_code_that_exec_runs() -> None:
    code = (
        "import sys, fastseq.cli as cli\n"
        "cli.main = lambda: exec('raise KeyboardInterrupt')\n"
        "sys.exit(cli.entry_point())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (130, b"")


@pytest.fixture(scope="module")
def translating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    pytest.importorskip("tokenizers")
    pytest.importorskip("sentencepiece")
    from small_models import marian_folder

    folder = marian_folder(tmp_path_factory.mktemp("models") / "marian")
    yield [sys.executable, "-m", "fastseq", "translate", "--model", str(folder), "--max-length", "6"]


def sentences(count: int) -> list[str]:
    words = ["the", "ship", "leaves", "harbour", "at", "seven", "and", "nobody", "waves", "prices", "rose"]
    return [" ".join(words[i * k % len(words)] for k in range(1, 2 + i % 9)) for i in range(count)]


def test_translations_keep_their_order(translating: list[str], tmp_path: Path) -> None:
    """Sorted by length and batched they are what each line gives with others or alone."""
    path = tmp_path / "lines.txt"
    texts = sentences(120)
    texts[10::7] = [""] * len(texts[10::7])
    path.write_bytes("\n".join(texts).encode() + b"\n\xff\nthe end\n")
    together, alone = (
        subprocess.run([*translating, "--json", *more, str(path)], capture_output=True, timeout=120, check=False)
        for more in ([], ["--batch-size", "1"])
    )
    for result in (together, alone):
        assert result.returncode == 1
        assert result.stderr == b"fastseq: line 121: it is no UTF-8: byte 0 is 0xff\n"
    objects, others = ([json.loads(line) for line in result.stdout.splitlines()] for result in (together, alone))
    for one, other in zip(objects, others, strict=True):
        if result := one.get("result"):  # the reference's scores may differ in the last bits
            assert other["result"]["score"] == pytest.approx(result["score"], rel=1e-5)
            other["result"]["score"] = result["score"]
        assert one == other
    assert [one["line"] for one in objects] == list(range(1, 123))
    assert objects.pop(120) == {"line": 121, "error": "it is no UTF-8: byte 0 is 0xff"}
    assert [one["text"] for one in objects] == [*texts, "the end"]
    assert [one["result"] is not None for one in objects] == [*map(bool, texts), True]
    scores = {one["text"]: one["result"]["score"] for one in objects if one["text"]}
    assert len(set(scores.values())) > 20  # so that a result at the wrong line is seen


def start(command: list[str], path: Path) -> subprocess.Popen[bytes]:
    # More than the pipe and one read hold, so that the command is at work when it is stopped.
    path.write_text("\n".join(sentences(20000)) + "\n")
    return subprocess.Popen([*command, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_interruption_amid_a_long_file(translating: list[str], tmp_path: Path) -> None:
    with start(translating, tmp_path / "long.txt") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)
        assert (process.returncode, error) == (130, b"")
        assert output.count(b"\n") < 19999


def test_a_closed_pipe_amid_a_long_file(translating: list[str], tmp_path: Path) -> None:
    with start(translating, tmp_path / "long.txt") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141
