"""Every case that onnx.backend.test generates for RNN, LSTM and GRU."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

pytest.importorskip("onnx")

from fastseq import nn

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
