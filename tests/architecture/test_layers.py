"""The house stays as it was laid: imports and includes point downwards, files fit in one's head."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "fastseq"
CORE = ROOT / "csrc"
MAX_LINES = 300

# From the top down; a module imports from its own layer and those below.
PYTHON_LAYERS = ["cli", "bench", "pipelines", "models", "nn", "functional", "reference", "_backend"]
# `text` and `search` stand beside the models and know nothing of them, `weights`, which layers read too, beside `nn`;
# `_checks` and `_ragged` are leaves.
BESIDE_MODELS = {"text", "search"}
CORE_LAYERS = ["models", "search", "layers", "kernels", "simd", "runtime"]


def top_module(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> Iterator[str]:
    """The second component of every `fastseq.x` that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module] if node.module != "fastseq" else [f"fastseq.{a.name}" for a in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("fastseq."))


def python_edges() -> Iterator[tuple[Path, str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for target in imported_modules(path):
            if top_module(path) not in ("__init__", "__main__") and target != top_module(path):
                yield path, top_module(path), target


def test_python_imports_point_downwards() -> None:
    rank = {name: i for i, name in enumerate(PYTHON_LAYERS)}
    rank |= dict.fromkeys(BESIDE_MODELS, rank["models"]) | {"weights": rank["nn"]}
    wrong = [
        f"{path.relative_to(ROOT)}: {source} imports {target}"
        for path, source, target in python_edges()
        if source in rank and target in rank and rank[target] < rank[source]
    ]
    assert wrong == []


def test_only_the_backend_imports_the_extension() -> None:
    assert [path for path, _, target in python_edges() if target == "_core"] == []
    named = {top_module(p) for p in PACKAGE.rglob("*.py") if '"fastseq._core"' in p.read_text(encoding="utf-8")}
    assert named == {"_backend"}


def test_the_reference_imports_numpy_only() -> None:
    allowed = {"numpy", "fastseq", "__future__"}
    for path in sorted((PACKAGE / "reference").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            for module in modules:
                root = module.split(".")[0]
                assert root in allowed or root in STDLIB, f"{path}: imports {module}"
                if root == "fastseq":
                    # The names of weights stand below it: readers and layers do without the reference.
                    assert module.startswith(("fastseq.reference", "fastseq._layout")), f"{path}: imports {module}"


def test_the_names_of_weights_import_nothing() -> None:
    nodes = ast.walk(ast.parse((PACKAGE / "_layout.py").read_text(encoding="utf-8")))
    imports = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [getattr(node, "module", None) for node in imports] == ["__future__"]


STDLIB = {"collections", "dataclasses", "math", "typing", "functools", "itertools", "enum", "contextlib", "types"}


def includes(path: Path) -> list[str]:
    return re.findall(r'^#include\s+[<"]([^>"]+)[>"]', path.read_text(encoding="utf-8"), re.MULTILINE)


def core_files() -> list[Path]:
    return sorted(p for p in CORE.rglob("*") if p.suffix in (".h", ".cc", ".def"))


def test_core_includes_point_downwards() -> None:
    rank = {name: i for i, name in enumerate(CORE_LAYERS)}
    wrong = []
    for path in core_files():
        source = path.relative_to(CORE).parts[0]
        for header in includes(path):
            target = header.split("/")[0]
            # simd/activations.h takes the names of the activations from kernels/args.h, which includes nothing.
            allowed = header == "kernels/args.h"
            if source in rank and target in rank and rank[target] < rank[source] and not allowed:
                wrong.append(f"{path.relative_to(ROOT)} includes {header}")
    assert wrong == []


def test_the_core_knows_no_python() -> None:
    for path in core_files():
        for header in includes(path):
            assert not re.search(r"python|pybind11|numpy", header, re.IGNORECASE), f"{path} includes {header}"


def test_search_sees_logits_only() -> None:
    for path in (CORE / "search").iterdir():
        assert not any(h.startswith(("models/", "layers/")) for h in includes(path)), path


@pytest.mark.parametrize("folder", ["csrc", "src", "python", "tests", "benchmarks", "examples"])
def test_files_fit_in_ones_head(folder: str) -> None:
    suffixes = {".py", ".pyi", ".pyx", ".h", ".cc"}
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in suffixes and (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def test_each_kernel_is_registered_once_and_set_once() -> None:
    names = re.findall(r"^FASTSEQ_KERNEL\(\w+, (\w+),", (CORE / "kernels" / "kernels.def").read_text(), re.MULTILINE)
    assert len(names) == len(set(names)) > 0
    sources = "\n".join(p.read_text(encoding="utf-8") for p in (CORE / "kernels").glob("*.cc"))
    for name in names:
        assert len(re.findall(rf"table\.{name} = ", sources)) == 1, name


def test_versions_agree() -> None:
    import fastseq

    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert fastseq.__version__ == version.group(1)
