"""Every case that onnx.backend.test generates for RNN, LSTM and GRU."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from fastseq import nn  # noqa: E402

pytestmark = pytest.mark.usefixtures("backend")

WEIGHTS = {"W", "R", "B", "P"}


def cases():
    node = importlib.import_module("onnx.backend.test.case.node")
    # Of what load_node_model_tests imports only the modules with these operators, as all of them take ten seconds.
    for name in ("rnn", "lstm", "gru"):
        importlib.import_module(f"onnx.backend.test.case.node.{name}")
    found = [case for case in node._NodeTestCases if case.model.graph.node[0].op_type in ("RNN", "LSTM", "GRU")]
    return [pytest.param(case, id=case.name) for case in found]


CASES = cases()


def test_the_package_has_cases_for_all_three_operators():
    names = " ".join(case.id for case in CASES)
    assert len(CASES) >= 18
    assert all(word in names for word in ("rnn", "lstm", "gru", "peephole", "batchwise", "reverse", "bidirectional"))


def test_these_are_all_cases_that_the_package_has_for_the_operators():
    folder = Path(importlib.import_module("onnx.backend.test.case.node").__file__).parent
    files = {path.stem: path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    assert {name for name, text in files.items() if re.search(r'"(RNN|LSTM|GRU)"', text)} == {"rnn", "lstm", "gru"}
    assert len(CASES) == sum(
        len(re.findall(r"^ +expect\(", files[name], re.MULTILINE)) for name in ("rnn", "lstm", "gru")
    )


@pytest.mark.parametrize("operator", ["RNN", "LSTM", "GRU"])
def test_every_attribute_of_the_newest_operators_is_known_and_others_are_named(operator):
    weights = {"W": np.zeros((1, 8, 3), np.float32), "R": np.zeros((1, 8, 2), np.float32)}
    weights = {name: array[:, : {"RNN": 2, "GRU": 6, "LSTM": 8}[operator]] for name, array in weights.items()}
    values = {"hidden_size": 2, "activations": [*{"RNN": ["Affine"], "GRU": ["HardSigmoid", "Tanh"]}.get(operator, ())]}
    values |= {"activations": values["activations"] or ["HardSigmoid", "Tanh", "Tanh"], "clip": 0.5}
    values |= {"activation_alpha": [0.3], "activation_beta": [0.4], "direction": "forward", "layout": 1}
    values |= {"input_forget": 1, "linear_before_reset": 1}
    schema = onnx.defs.get_schema(operator)
    node = onnx.helper.make_node(operator, ["X", "W", "R"], ["Y"], **{name: values[name] for name in schema.attributes})
    assert nn.from_onnx(node, weights)(np.zeros((1, 4, 3)))[0].shape == (1, 4, 1, 2)
    node = onnx.helper.make_node(operator, ["X", "W", "R"], ["Y"], output_sequence=1, hidden_size=2, zeal=3)
    with pytest.raises(ValueError, match="attribute 'output_sequence' is not known; attribute 'zeal' is not known"):
        nn.from_onnx(node, weights)


@pytest.mark.parametrize("case", CASES)
def test_cases_of_the_onnx_package(case):
    graph = case.model.graph
    (node,) = graph.node
    operator_inputs = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
    for inputs, expected in case.data_sets:
        given = dict(zip((value.name for value in graph.input), inputs, strict=True))
        named = {key: name for key, name in zip(operator_inputs, node.input, strict=False) if name}
        initializers = {name: given[name] for key, name in named.items() if key in WEIGHTS}
        run = nn.from_onnx(node, initializers)
        results = run(**{key: given[name] for key, name in named.items() if key not in WEIGHTS})
        results = dict(zip(node.output, results, strict=False))
        assert len(expected) == len(graph.output) > 0
        for value, wanted in zip(graph.output, expected, strict=True):
            assert results[value.name].shape == wanted.shape
            np.testing.assert_allclose(results[value.name], wanted, rtol=case.rtol, atol=case.atol)
