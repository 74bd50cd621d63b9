"""The README's tour runs as it stands there, and what the pages name is there."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import fastseq

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_tour_runs(capsys):
    [tour] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in tour.splitlines() if line]) <= 15
    names: dict[str, object] = {}
    exec(compile(tour, "README.md", "exec"), names)
    first, second = capsys.readouterr().out.splitlines()
    assert len(first.split()) > 8  # the phonemes of onomatopoeia
    assert second.startswith("[")
    assert names["output"].shape == (10, 4, 256)  # type: ignore[attr-defined]


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / target).exists(), target


def test_every_name_that_the_pages_mention_is_there():
    pages = [README, *sorted((README.parent / "docs").glob("*.md"))]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    names = set(re.findall(r"(?<![\w/.-])fastseq((?:\.[A-Za-z_]\w*)+)", text))
    assert len(names) > 20
    for name in sorted(names):
        functools.reduce(getattr, name.split(".")[1:], fastseq)
