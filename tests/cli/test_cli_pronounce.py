"""`fastseq pronounce` as a user meets it: arguments, standard input, errors, interruption."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fastseq.cli import main
from tiny_models import write_folder

COMMAND = [sys.executable, "-m", "fastseq"]


def run(*arguments: str, text: str | bytes = b"", status: int = 0) -> subprocess.CompletedProcess[bytes]:
    content = text.encode() if isinstance(text, str) else text
    result = subprocess.run([*COMMAND, *arguments], input=content, capture_output=True, timeout=120, check=False)
    assert result.returncode == status, result.stderr.decode()
    assert b"Traceback" not in result.stderr
    return result


class Stdin:
    """Standard input with these bytes."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


def test_words_as_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pronounce", "speech", "Green cat"]) == 0
    output = capsys.readouterr()
    assert output.out == "speech\tS P IY1 CH\nGreen cat\tG R IY1 N | K AE1 T\n"
    assert output.err == ""


@pytest.mark.parametrize("model", ["lstm", "transformer", "ensemble"])
def test_ipa_and_models(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pronounce", "--format", "ipa", "--model", model, "--num-beams", "1", "green cat"]) == 0
    assert capsys.readouterr().out == "green cat\tˈɡɹin ˈkæt\n"


def test_without_stress(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pronounce", "--no-stress", "running"]) == 0
    assert capsys.readouterr().out == "running\tR AH N IH NG\n"
    assert main(["pronounce", "--no-stress", "--nbest", "2", "--json", "running"]) == 0
    [word] = json.loads(capsys.readouterr().out)["words"]
    assert word["phonemes"] == ["R", "AH", "N", "IH", "NG"]
    assert len(word["alternatives"]) == 1


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pronounce", "--json", "--nbest", "2", "Speech!", "b2b"]) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["text"] == "Speech!"
    [word] = first["words"]
    assert (word["word"], word["pronunciation"]) == ("speech", "S P IY1 CH")
    assert len(word["alternatives"]) == 1
    assert second["words"] == [{"word": "b2b", "error": "'b2b' has character '2', which the model does not know"}]


def test_nbest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pronounce", "--nbest", "3", "speech cat"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["speech"] * 3 + ["cat"] * 3
    assert rows[0][1] == "S P IY1 CH"
    assert float(rows[0][2]) > float(rows[1][2]) > float(rows[2][2])


def test_an_unknown_character_is_named_and_the_rest_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pronounce", "speech", "b2b cat", "b2b"]) == 1
    output = capsys.readouterr()
    assert output.out == "speech\tS P IY1 CH\nb2b cat\t? | K AE1 T\nb2b\t?\n"
    assert output.err == "fastseq: 'b2b' has character '2', which the model does not know\n"


def test_lines_in_lines_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin("\ufeffcat\r\n\nspeech, green\n...\ncat".encode()))
    assert main(["pronounce"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "cat\tK AE1 T",
        "\t",
        "speech, green\tS P IY1 CH | G R IY1 N",
        "...\t",
        "cat\tK AE1 T",
    ]


def test_a_long_file_keeps_its_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [a + b + c for a in "bcdfghjklm" for b in ("a", "ee", "ou") for c in ("t", "nd", "ck")] * 400
    path = tmp_path / "words.txt"
    path.write_text("\n".join(words))
    assert main(["pronounce", "--file", str(path), "--num-beams", "1", "--threads", "1"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == words
    assert len({(word, pronunciation) for word, pronunciation in rows}) == len(set(words))


def test_bytes_that_are_no_text_are_an_error_of_their_word() -> None:
    result = run("pronounce", text=b"cat\n\xff\xfe\nspeech\n", status=1)
    assert result.stdout.decode().splitlines()[::2] == ["cat\tK AE1 T", "speech\tS P IY1 CH"]
    assert "which the model does not know" in result.stderr.decode()


def test_a_line_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"a" * (1 << 20) + b"a" * (1 << 17)))
    assert main(["pronounce"]) == 2
    assert "a line has more than 1048576 bytes" in capsys.readouterr().err


def test_a_line_is_answered_at_once() -> None:
    """A program can write a word and read its pronunciation without closing the pipe."""
    with subprocess.Popen([*COMMAND, "pronounce"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word, answer in ((b"cat", b"cat\tK AE1 T\n"), (b"speech", b"speech\tS P IY1 CH\n")):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == answer
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("cat\nspeech\n" * 20000)
    with subprocess.Popen(
        [*COMMAND, "pronounce", "--file", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"cat\tK AE1 T\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_interruption_ends_quietly() -> None:
    with subprocess.Popen(
        [*COMMAND, "pronounce"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"cat\n")
        process.stdin.flush()
        process.stdout.readline()  # it is up
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pronounce", "--nbest", "0", "cat"], "0 is not at least 1"),
        (["pronounce", "--nbest", "4", "--num-beams", "2", "cat"], "--nbest 4 needs --num-beams of at least 4"),
        (["pronounce", "--num-beams", "x", "cat"], "argument --num-beams: 'x' is no whole number"),
        (["pronounce", "--format", "sampa", "cat"], "invalid choice: 'sampa'"),
        (["pronounce", "--file", "x", "cat"], "give words or --file, not both"),
        (["pronounce", "--attention", "x.png"], "--attention needs one word"),
        (["sing"], "invalid choice: 'sing'"),
        ([], "COMMAND"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_and_damaged_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pronounce", "--model", str(tmp_path / "no"), "cat"]) == 2
    assert "expected lstm, transformer, ensemble or the path of a model folder" in capsys.readouterr().err
    folder = write_folder(tmp_path / "model")
    assert main(["pronounce", "--model", str(folder), "abba"]) == 0
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert main(["pronounce", "--model", str(folder), "abba"]) == 2
    assert "fastseq: error:" in capsys.readouterr().err
    assert main(["pronounce", "--file", str(tmp_path / "no.txt")]) == 2


def test_attention_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "attention.png"
    assert main(["pronounce", "speech", "--attention", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == "speech\tS P IY1 CH\n"


def test_version_and_help() -> None:
    assert run("--version").stdout.startswith(b"fastseq ")
    assert b"fastseq pronounce" in run("--help").stdout
    assert b"examples:" in run("pronounce", "--help").stdout


def test_a_terminal_that_knows_no_ipa_gets_escapes() -> None:
    environment: dict[str, Any] = dict(os.environ) | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [*COMMAND, "pronounce", "--format", "ipa", "cat"]
    result = subprocess.run(command, capture_output=True, env=environment, timeout=120, check=True)
    assert result.stdout == b"cat\t\\u02c8k\\xe6t\n"


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    output = capsys.readouterr().out
    for part in ("fastseq ", "backend", "numpy", "model lstm", "model transformer", "parameters"):
        assert part in output
