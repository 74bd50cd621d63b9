"""The two backends have the same functions and classes, with the same parameters."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import fastseq
from conftest import needs_native
from fastseq import _backend, reference

STUB = Path(fastseq.__file__).with_name("_core.pyi")
# Of the runtime, and of weights as the compiled kernels have them in memory.
NATIVE_ONLY = {"config", "get_num_threads", "of", "packing", "set_num_threads", "use_isa", "weights"}


def parameters_of(node: ast.FunctionDef) -> dict[str, object]:
    """Names and defaults (`inspect.Parameter.empty` for none), without self."""
    names = [argument.arg for argument in node.args.args if argument.arg != "self"]
    defaults = [ast.literal_eval(default) for default in node.args.defaults]
    return dict(zip(names, [inspect.Parameter.empty] * (len(names) - len(defaults)) + defaults, strict=True))


def stub_signatures() -> dict[str, dict[str, object]]:
    """Parameters of each function, and of each class's methods as Class.method, inherited ones included."""
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    def methods(name: str) -> dict[str, dict[str, object]]:
        found = {}
        for base in classes[name].bases:
            found |= methods(base.id) if isinstance(base, ast.Name) and base.id in classes else {}
        return found | {n.name: parameters_of(n) for n in classes[name].body if isinstance(n, ast.FunctionDef)}

    result = {node.name: parameters_of(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name in classes:
        # Search and Seq2Seq are only what two classes have in common.
        if name != "Seq2Seq" and not name.startswith("_"):
            result |= {f"{name}.{method}": signature for method, signature in methods(name).items()}
    return {name: signature for name, signature in result.items() if name.split(".")[-1] not in NATIVE_ONLY}


SIGNATURES = stub_signatures()


def test_the_stub_is_read():
    assert SIGNATURES["rnn_cell"]["nonlinearity"] == "tanh"
    assert SIGNATURES["Recurrent.forward"].keys() == {"input", "offsets", "h0", "c0"}
    assert "BeamSearch.advance" in SIGNATURES
    assert "TransformerSeq2Seq.generate" in SIGNATURES


def test_the_reference_exports_what_the_extension_has():
    names = {name.split(".")[0] for name in SIGNATURES}
    assert set(reference.__all__) == names


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_the_reference_has_the_same_parameters(name):
    owner: object = reference
    for part in name.split("."):
        owner = inspect.getattr_static(owner, part) if inspect.isclass(owner) else getattr(owner, part)
    if isinstance(owner, property):
        assert SIGNATURES[name] == {}
        return
    parameters = [p for p in inspect.signature(owner).parameters.values() if p.name != "self"]
    assert {p.name: p.default for p in parameters} == SIGNATURES[name]


def parameters_in(docstring: str) -> list[str]:
    """Names of the parameters in the signature that pybind11 puts first into a docstring."""
    inside = docstring.split("\n", 1)[0].partition("(")[2].rpartition(" -> ")[0].rstrip(")")
    while (flat := re.sub(r"\[[^\[\]]*\]|\"[^\"]*\"|'[^']*'", "", inside)) != inside:
        inside = flat
    return [part.split(":")[0].strip() for part in inside.split(",") if part.strip()]


@needs_native
@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_the_extension_has_the_parameters_of_the_stub(name):
    owner: object = _backend.get("native")
    for part in name.split("."):
        owner = inspect.getattr_static(owner, part) if inspect.isclass(owner) else getattr(owner, part)
    if isinstance(owner, property):
        assert SIGNATURES[name] == {}
        return
    names = [parameter for parameter in parameters_in(owner.__doc__) if parameter != "self"]
    assert names == list(SIGNATURES[name])


@needs_native
def test_the_extension_has_nothing_that_the_stub_lacks():
    public = {name for name in vars(_backend.get("native")) if not name.startswith("_")}
    known = {name.split(".")[0] for name in SIGNATURES} | NATIVE_ONLY
    assert public <= known | {"Seq2Seq"}
