"""Classifiers and language models against PyTorch, each sentence alone in float64 there.

In float32 a logit is the end of a chain of a few hundred roundings of numbers of at most the size of the largest, each
within 2 ** -24 = 6e-8 of it: 1e-5 of the largest covers them.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from text_models import classifier, language_model, sentences, tensors_of

torch = pytest.importorskip("torch")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TOLERANCE = 1e-5


def example(folder: str, name: str) -> Any:
    """A module of an example, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"example_{folder}_{name}", EXAMPLES / folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_close(actual: np.ndarray, expected: Any) -> None:
    expected = expected.numpy()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
@pytest.mark.parametrize("pooling", ["attention", "max", "mean", "last"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_classifier(cell: str, pooling: str, bidirectional: bool, backend: str) -> None:
    size = 5 if pooling == "attention" else None
    mine = classifier(cell=cell, pooling=pooling, bidirectional=bidirectional, attention_size=size)
    theirs = example("sentiment", "network").RecurrentClassifier(vars(mine.config)).double().eval()
    theirs.load_state_dict({name: torch.tensor(array) for name, array in tensors_of(mine.config).items()})
    batch = [ids for ids in sentences(6) if ids]
    with torch.inference_mode():
        for logits, ids in zip(mine.logits(batch), batch, strict=True):
            assert_close(logits, theirs([torch.tensor(ids)])[0])


@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
@pytest.mark.parametrize("tied", [False, True])
def test_language_model(cell: str, tied: bool, backend: str) -> None:
    mine = language_model(cell=cell, tie_output=tied, embedding_size=9 if tied else 7)
    theirs = example("language_model", "network").RecurrentLanguageModel(vars(mine.config)).double().eval()
    state = {name: torch.tensor(array) for name, array in tensors_of(mine.config).items()}
    theirs.load_state_dict(state | ({"output.weight": state["embedding.weight"]} if tied else {}))
    batch = sentences(6)
    with torch.inference_mode():
        scores = mine.score(batch).token_log_probs
        for log_probs, logits, ids in zip(scores, mine.logits([[1, *i] for i in batch]), batch, strict=True):
            expected = theirs(torch.tensor([[1, *ids]]))[0][0]
            assert_close(logits, expected)
            chosen = expected.log_softmax(-1)[torch.arange(len(ids) + 1), torch.tensor([*ids, 2])]
            assert_close(log_probs, chosen)


def run(folder: str, script: str, *arguments: object) -> str:
    nice = ["--nice", 0] if script == "train.py" else []
    command = [sys.executable, script, *map(str, [*arguments, *nice])]
    done = subprocess.run(command, cwd=EXAMPLES / folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences that one word decides."""
    path = tmp_path_factory.mktemp("csv") / "sentences.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "sentence"])
        for i in range(96):
            filler = " ".join(f"w{(i * k) % 7}" for k in range(1, 5))
            writer.writerow([i % 2, f"{filler}, {'good' if i % 2 else 'bad'} {filler}"])
    return path


def test_the_sentiment_example_learns_resumes_and_is_evaluated(labelled: Path, tmp_path: Path) -> None:
    arguments = [labelled, "--dev", labelled, "--names", "negative", "positive", "--output", tmp_path, "--lr", 0.01]
    assert "epoch  1" in run("sentiment", "train.py", *arguments, "--epochs", 1)
    assert "resumed after epoch 1" in run("sentiment", "train.py", *arguments, "--epochs", 8)
    assert "accuracy 1.0000 (96 of 96)" in run("sentiment", "evaluate.py", tmp_path, labelled)
    model = fastseq.load_model(tmp_path)
    [logits] = model.logits([model.tokenizer.encode("w1 good")])
    assert model.config.id2label[int(logits.argmax())] == "positive"
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "recurrent_classifier"


def test_the_language_model_example_learns_and_writes(labelled: Path, tmp_path: Path) -> None:
    run(
        "language_model", "train.py", labelled, "--dev", labelled, "--output", tmp_path, "--epochs", 2, "--unit", "word"
    )
    output = run("language_model", "write.py", tmp_path, "--prompt", "w1", "--max-new-tokens", 5, "--score", labelled)
    assert "perplexity" in output and "w1" in output
