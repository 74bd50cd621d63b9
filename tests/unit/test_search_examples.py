"""The examples of beam search run, and what they find has the scores that their models give it alone."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "search"
SOURCES = [[5, 3, 7], [4, 9, 2], [8, 8, 1]]
OPTIONS: dict[str, Any] = {"num_beams": 4, "num_return_sequences": 4, "return_token_log_probs": True}
NEEDS = {"draw_beam": ["matplotlib"], "pytorch_module": ["torch"], "onnxruntime_decoder": ["onnx", "onnxruntime"]}
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))


def example(name: str) -> ModuleType:
    for package in NEEDS.get(name, []):
        pytest.importorskip(package)
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def one_thread_of_torch(request):
    """Its threads would only wait for each other: the tensors are tiny."""
    if "pytorch" not in request.node.name:
        yield
        return
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def log_probs_alone(step, state, tokens, start):
    """Log-probability of each token when one row reads them, with nothing to reorder."""
    found = []
    for read, written in zip([start, *tokens], tokens, strict=False):
        logits, state, *_ = step(np.array([read]), state)
        row = np.asarray(logits, np.float64)[0]
        found.append(row[written] - row.max() - np.log(np.exp(row - row.max()).sum()))
    return found


def check(generation, step, state, module):
    assert len({tuple(h.tokens) for h in generation.hypotheses}) == 4
    for h in generation.hypotheses:
        written = [*h.tokens, module.END][: h.steps]
        expected = log_probs_alone(step, state, written, module.START)
        np.testing.assert_allclose(h.token_log_probs, expected, rtol=1e-4, atol=2e-5)
        np.testing.assert_allclose(h.score, np.mean(expected), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_runs(name, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [name])
    monkeypatch.chdir(tmp_path)
    example(name).main()
    assert len(capsys.readouterr().out.splitlines()) >= 2


def test_numpy_model(backend):
    module = example("numpy_model")
    sources = [[5, 3, 7, 2], [4, 9]]
    model = module.Model()
    for source, generation in zip(sources, module.search(sources, **OPTIONS), strict=True):
        check(generation, model.step, model.encode([source]), module)


def test_a_cache_that_only_grows_gives_what_a_moved_one_gives(backend):
    module = example("numpy_cache")
    growing, moved = module.search(batch_size=2, **OPTIONS)
    assert [[h.tokens for h in g.hypotheses] for g in growing] == [[h.tokens for h in g.hypotheses] for g in moved]
    model = module.Model()
    nothing = np.empty((1, 0, module.HIDDEN), np.float32)
    for generation in growing:
        check(
            generation,
            lambda ids, state: module.reordered_step(model, ids, state),
            {"keys": nothing, "values": nothing},
            module,
        )


def test_pytorch_module(backend):
    module = example("pytorch_module")
    torch = pytest.importorskip("torch")
    by_search, by_itself = module.search(SOURCES, **OPTIONS)
    assert by_search == by_itself
    with torch.inference_mode():
        torch.manual_seed(0)
        network = module.EncoderDecoder().eval()
        for source, generation in zip(SOURCES, by_search, strict=True):
            check(generation, network.step, network.start(torch.tensor([source])), module)


def test_onnxruntime_decoder(backend):
    module = example("onnxruntime_decoder")
    translator = module.Translator()
    for source, generation in zip(SOURCES, module.search(SOURCES, **OPTIONS), strict=True):
        check(generation, translator.step, translator.start(np.array([source])), module)
