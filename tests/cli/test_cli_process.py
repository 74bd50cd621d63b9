"""The process around a command: streams that are closed, settings of the environment that are wrong."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import fastseq.cli
from fastseq import bench


def run(*arguments: str, closed: int | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fastseq", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | environment,
        preexec_fn=None if closed is None else lambda: os.close(closed),
    )


@pytest.mark.parametrize(("stream", "name"), [(0, "standard input"), (1, "standard output")])
def test_a_closed_stream_is_named(stream: int, name: str) -> None:
    result = run("pronounce", closed=stream)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"fastseq: error: {name} is closed\n")


def test_without_a_standard_error_the_output_holds_results_only() -> None:
    result = run("pronounce", "cat", "123", closed=2)
    assert (result.returncode, result.stdout) == (1, "cat\tK AE1 T\n123\t?\n")


@pytest.mark.parametrize("setting", ["FASTSEQ_BACKEND", "FASTSEQ_NUM_THREADS", "FASTSEQ_ISA"])
def test_a_wrong_setting_is_said_without_blaming_a_file(setting: str) -> None:
    if setting != "FASTSEQ_BACKEND" and not fastseq._backend.has_native():
        pytest.skip("only the extension reads it")
    environment = {"FASTSEQ_BACKEND": "native", setting: "many"}
    result = run("pronounce", "cat", **environment)
    assert result.returncode == 2
    assert result.stderr.startswith(f"fastseq: error: {setting} is 'many'; ")


def test_bench_ends_as_the_other_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    commands: list[list[str]] = []

    def started(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 141)

    monkeypatch.delenv("FASTSEQ_BENCH_CHILD", raising=False)
    monkeypatch.setattr(bench.subprocess, "run", started)
    assert fastseq.cli.main(["bench", "--seconds", "1"]) == 141
    assert commands == [[sys.executable, "-m", "fastseq", "bench", "--seconds", "1"]]  # which knows of closed pipes
    monkeypatch.setenv("FASTSEQ_BENCH_CHILD", "1")
    assert fastseq.cli.main(["bench", "--threads", "5000"]) == 2
    assert capsys.readouterr().err == "fastseq: error: num_threads is 5000; expected a whole number from 1 to 4096\n"
