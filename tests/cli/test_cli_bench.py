"""`fastseq bench --peers`: the report of the source tree, or where to find it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastseq import bench
from fastseq.cli import main


def test_peers_runs_the_report_with_its_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = tmp_path / "report.py"
    report.write_text(
        "import pathlib, sys\n"
        "pathlib.Path(__file__).with_name('options').write_text(' '.join(sys.argv[1:]))\n"
        "raise SystemExit(3)\n"
    )
    monkeypatch.setattr(bench, "_REPORT", report)
    assert main(["bench", "--threads", "1,2", "--peers", "--only", "linear"]) == 3
    assert (tmp_path / "options").read_text() == "--threads 1,2 --only linear"


def test_peers_without_a_source_tree_names_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "_REPORT", tmp_path / "report.py")
    assert main(["bench", "--peers"]) == 2
    assert "python benchmarks/report.py" in capsys.readouterr().err


def test_help_has_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    assert "--peers" in capsys.readouterr().out
