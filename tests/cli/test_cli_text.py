"""`fastseq translate` and its sisters as a user meets them, on small models: lines, errors, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")

from fastseq.cli import main
from small_models import bert_folder, marian_folder
from tokenizer_folders import SENTENCES

COMMAND = [sys.executable, "-m", "fastseq"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("models")
    return {
        "translate": str(marian_folder(base / "marian")),
        "classify": str(bert_folder(base / "classify", "text-classification")),
        "entities": str(bert_folder(base / "entities", "token-classification")),
        "answer": str(bert_folder(base / "answer", "question-answering")),
        "embed": str(bert_folder(base / "embed", "feature-extraction")),
    }


def run(*arguments: str, content: bytes = b"", status: int = 0) -> subprocess.CompletedProcess[bytes]:
    result = subprocess.run([*COMMAND, *arguments], input=content, capture_output=True, timeout=120, check=False)
    assert result.returncode == status, result.stderr.decode()
    assert b"Traceback" not in result.stderr
    return result


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join([SENTENCES[0], "", SENTENCES[1], "  ", SENTENCES[8]]) + "\n", encoding="utf-8")
    return path


def test_a_line_for_each_line(models: dict[str, str], lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["translate", "--model", models["translate"], "--max-length", "12", "--num-beams", "2"]
    assert main([*arguments, str(lines)]) == 0
    found = capsys.readouterr().out.split("\n")
    assert [bool(line) for line in found] == [True, False, True, False, True, False]
    assert main([*arguments, "--text", SENTENCES[0], "--text", SENTENCES[1]]) == 0
    assert capsys.readouterr().out.split("\n")[:2] == [found[0], found[2]]
    assert main([*arguments, "--json", str(lines)]) == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["line"] for one in objects] == [1, 2, 3, 4, 5]
    assert objects[2]["text"] == SENTENCES[1]
    assert objects[2]["result"]["translation_text"] == found[2]
    assert objects[1]["result"] is None


def test_nbest(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["translate", "--model", models["translate"], "--max-length", "9", "--nbest", "3"]
    assert main([*arguments, "--text", SENTENCES[0]]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["1"] * 3
    assert float(rows[0][2]) >= float(rows[1][2]) >= float(rows[2][2])


def test_a_bad_line_is_named_and_the_others_are_done(models: dict[str, str]) -> None:
    content = f"{SENTENCES[0]}\n".encode() + b"\xff\xfe\n" + b"x" * (1 << 20) + b"yy" * 40000 + b"\n" + b"The end.\n"
    result = run("translate", "--model", models["translate"], "--max-length", "8", content=content, status=1)
    found = result.stdout.decode().split("\n")
    assert [bool(line) for line in found] == [True, False, False, True, False]
    first, second = result.stderr.decode().splitlines()
    assert first == "fastseq: line 2: it is no UTF-8: byte 0 is 0xff"
    assert second.startswith("fastseq: line 3: it has more than 1048576 bytes")


def test_a_line_that_is_cut_off_is_named(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["translate", "--model", models["translate"], "--max-length", "5"]
    assert main([*arguments, "--text", "short", "--text", " ".join(SENTENCES)]) == 0
    error = capsys.readouterr().err
    assert error == "fastseq: warning: translation: line 2 is longer than 64 tokens; the rest is left out\n"


def test_a_long_file_in_order_and_in_little_memory(models: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("".join(f"{i} {SENTENCES[i % 3][: i % 20]}\n" for i in range(12000)), encoding="utf-8")
    result = run("classify", "--model", models["classify"], "--json", str(path))
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["line"] for one in objects] == list(range(1, 12001))
    assert [one["text"].split()[0] for one in objects] == [str(i) for i in range(12000)]


def test_generate_takes_any_model_that_generates(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--model", models["translate"], "--max-length", "9", "--text", SENTENCES[0]]) == 0
    assert capsys.readouterr().out.strip()
    assert main(["generate", "--model", models["classify"], "--text", SENTENCES[0]]) == 2
    assert "expected a model that generates" in capsys.readouterr().err


def test_classify(models: dict[str, str], lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "--model", models["classify"], "--top-k", "2", str(lines)]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.split("\n")]
    assert [len(row) for row in rows] == [4, 1, 4, 1, 4, 1]
    assert float(rows[0][1]) >= float(rows[0][3])
    assert main(["classify", "--model", models["entities"], "--text", SENTENCES[0], "--aggregation", "none"]) == 0
    fields = capsys.readouterr().out.rstrip("\n").split("\t")
    assert len(fields) % 3 == 0
    assert all(field in SENTENCES[0] for field in fields[::3])


def test_answer(models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["answer", "--model", models["answer"]]
    pair = {"question": "Who waves?", "context": SENTENCES[0]}
    path = tmp_path / "context.txt"
    path.write_text(SENTENCES[0])
    answers = []
    for more in (
        ["--text", f"Who waves?\t{SENTENCES[0]}"],
        ["--text", json.dumps(pair)],
        ["--text", "Who waves?", "--context", str(path)],
    ):
        assert main([*arguments, *more]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] == answers[2]
    assert answers[0].split("\t")[0] in SENTENCES[0]
    assert main([*arguments, "--text", "Who?", "--text", '{"question": 5}', "--text", f"Who?\t{SENTENCES[0]}"]) == 1
    output = capsys.readouterr()
    assert output.out.split("\n")[:2] == ["", ""]
    assert "line 1: expected a question, a tab and the text" in output.err
    assert 'line 2: expected {"question": ..., "context": ...}' in output.err
    assert main([*arguments, "--json", "--top-k", "2", "--text", json.dumps(pair)]) == 0
    assert len(json.loads(capsys.readouterr().out)["result"]) == 2


def test_the_context_is_the_file_as_it_is(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "context.txt"
    text = f"{SENTENCES[0]}\r\n{SENTENCES[1]}"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    arguments = ["answer", "--model", models["answer"], "--json", "--text", "Who waves?", "--context", str(path)]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    assert text[result["start"] : result["end"]] == result["answer"]
    path.write_bytes(b"abc \xff")
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"fastseq: error: {path} is no UTF-8: byte 4 is 0xff\n"


def test_a_question_that_is_nested_too_deeply_is_named(
    models: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    nested = '{"question": ' + "[" * 100_000
    assert main(["answer", "--model", models["answer"], "--text", nested]) == 1
    assert "line 1: the JSON is nested too deeply" in capsys.readouterr().err


def test_embed(models: dict[str, str], lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", "--model", models["embed"], "--normalize", str(lines)]) == 0
    printed = [np.array(line.split(), float) for line in capsys.readouterr().out.split("\n")]
    assert (
        main(["embed", "--model", models["embed"], "--normalize", "--output", str(tmp_path / "v.npy"), str(lines)]) == 0
    )
    vectors = np.load(tmp_path / "v.npy")
    assert vectors.shape == (5, 32)
    np.testing.assert_allclose(vectors[2], printed[2], rtol=1e-5)
    assert np.linalg.norm(vectors, axis=1).round(3).tolist() == [1, 0, 1, 0, 1]


def test_search(models: dict[str, str], lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["search", "--model", models["embed"], "--top-k", "2", "--index", str(tmp_path / "index"), str(lines)]
    for _ in range(2):  # the second time the index is there
        assert main([*arguments, SENTENCES[1], SENTENCES[8]]) == 0
        output = capsys.readouterr()
        rows = [line.split("\t") for line in output.out.splitlines()]
        assert rows[0][:2] == ["1.0000", "3"]
        assert rows[3][:2] == ["1.0000", "5"]
        assert rows[0][2] == SENTENCES[1]
        assert output.err == ""
    pages = tmp_path / "pages.txt"  # only a line feed ends a line
    pages.write_text(f"\ufeff{SENTENCES[0]}\f{SENTENCES[8]}\n\n{SENTENCES[1]}\r\n", encoding="utf-8")
    assert main([*arguments[:3], str(pages), SENTENCES[1], "--top-k", "1"]) == 0
    assert capsys.readouterr().out == f"1.0000\t3\t{SENTENCES[1]}\n"
    assert main([*arguments[:-1], __file__, "numbers", "--json"]) == 0
    output = capsys.readouterr()
    assert "is of another corpus or model; it is made anew" in output.err
    assert len(json.loads(output.out)["hits"]) == 2


@pytest.mark.parametrize("compute_type", ["bfloat16", "int8"])
def test_verify_says_where_a_narrow_model_departs(
    compute_type: str, models: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["verify", "--model", models["translate"], "--compute-type", compute_type, "--json"]
    assert main([*arguments, "--tolerance", "1"]) == 0
    first, last, output, *_ = map(json.loads, capsys.readouterr().out.splitlines())
    assert 1e-4 < first["difference"] < first["scale"]
    assert {**last, "name": "encoder output"} == output  # with the same narrowed weights, the embedding's included
    assert main([*arguments, "--tolerance", "1e-6"]) == 1
    assert not any(json.loads(line)["passed"] for line in capsys.readouterr().out.splitlines()[:3])


@pytest.mark.parametrize("kind", ["translate", "classify", "entities", "answer", "embed"])
def test_verify(kind: str, models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--model", models[kind], "--json"]) == 0
    stages = {stage["name"]: stage for stage in map(json.loads, capsys.readouterr().out.splitlines())}
    assert stages["encoder output"]["difference"] < 1e-4 * max(1, stages["encoder output"]["scale"])
    encoder = ["encoder layer 1", "encoder layer 2", "encoder output"]
    after = {"translate": ["logits", "tokens"], "embed": []}.get(kind, ["logits"])
    assert list(stages) == encoder + after
    assert all(stage["passed"] for stage in stages.values())
    # Without a norm behind them the last layer's output is the encoder's.
    assert {**stages["encoder layer 2"], "name": "encoder output"} == stages["encoder output"]
    assert main(["verify", "--model", models[kind], "--tolerance", "0", "--text", SENTENCES[0]]) in (0, 1)
    assert "encoder output" in capsys.readouterr().out


def test_interruption_ends_quietly(models: dict[str, str]) -> None:
    arguments = [*COMMAND, "translate", "--model", models["translate"], "--max-length", "6"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(arguments, **pipes) as process:
        process.stdin.write(b"The ship\n")
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"\n")  # answered at once, before the input ends
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""


def test_a_closed_pipe_ends_quietly(models: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("the ship\n" * 60000)
    arguments = [*COMMAND, "classify", "--model", models["classify"], str(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["translate"], "--model"),
        (["translate", "--model", "x", "--text", "a", "file"], "give --text or files, not both"),
        (
            ["translate", "--model", "x", "--nbest", "4", "--num-beams", "2"],
            "--nbest 4 needs --num-beams of at least 4",
        ),
        (["translate", "--model", "x", "--num-beams", "0"], "0 is not at least 1"),
        (["classify", "--model", "x", "--aggregation", "most"], "invalid choice"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], models: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main([models["translate"] if argument == "x" else argument for argument in arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_a_model_that_is_missing_or_for_another_task(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["translate", "--model", str(tmp_path / "no"), "--text", "a"]) == 2
    assert "no model folder" in capsys.readouterr().err
    assert main(["translate", "--model", models["classify"], "--text", "a"]) == 2
    assert "is for text-classification; expected one for text2text-generation" in capsys.readouterr().err
    assert main(["translate", "--model", models["translate"], str(tmp_path / "no.txt")]) == 2
    assert "no.txt" in capsys.readouterr().err


def test_importing_the_package_is_light() -> None:
    """Nothing but the package itself: no NumPy, no tokenizers, no hub."""
    heavy = ("numpy", "tokenizers", "sentencepiece", "huggingface_hub", "tqdm", "fastseq._core", "fastseq.models")
    code = f"import sys, fastseq; print([name for name in {heavy!r} if name in sys.modules])"
    environment = dict(os.environ) | {"PYTHONPROFILEIMPORTTIME": ""}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=60, check=True)
    assert result.stdout.strip() == b"[]"
