"""CrossEncoder: transformers' scores of pairs, with the activations of sentence-transformers."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")

import torch_pipeline_models as models  # noqa: E402

import fastseq  # noqa: E402
from tokenizer_folders import SENTENCES  # noqa: E402

QUERY = "When does the ship leave?"
LONG = " ".join(SENTENCES[:4])  # more tokens than the models have positions
PAIRS = [(QUERY, text) for text in [*SENTENCES, LONG]] + [(LONG, QUERY), ("", "a")]


def expected_logits(folder: Path, pairs: list[tuple[str, str]]) -> Any:
    """Of each pair alone, the longer text cut off first."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = []
    for pair in pairs:
        with torch.no_grad():
            rows.append(model(**tokenizer(*pair, truncation="longest_first", return_tensors="pt")).logits[0])
    return torch.stack(rows)


@pytest.mark.parametrize("build", [models.bert, models.roberta])
def test_a_model_with_one_label(build: Any, backend: str, tmp_path: Path) -> None:
    path = build(tmp_path, "SequenceClassification", id2label={0: "relevance"}, label2id={"relevance": 0})
    logits = expected_logits(path, PAIRS)[:, 0]
    encoder = fastseq.CrossEncoder(path)
    with pytest.warns(UserWarning, match=r"pair 1[01] is longer than 9\d tokens"):
        scores = encoder.predict(PAIRS)
    # Two float32 computations of a few layers.
    np.testing.assert_allclose(scores, torch.sigmoid(logits).numpy(), rtol=0, atol=1e-4)
    ranked = encoder.rank(QUERY, SENTENCES, return_documents=True)
    order = sorted(range(len(SENTENCES)), key=lambda i: -float(logits[i]))
    assert [one["text"] for one in ranked] == [SENTENCES[i] for i in order]
    config = json.loads((path / "config.json").read_text())
    for stored in (
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ):
        (path / "config.json").write_text(json.dumps(config | stored))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the long ones
            scores = fastseq.CrossEncoder(path).predict(PAIRS)
        np.testing.assert_allclose(scores, logits.numpy(), rtol=0, atol=1e-4 * float(logits.abs().max().clamp(min=1)))


@pytest.mark.parametrize("build", [models.bert, models.roberta])
def test_a_model_with_several_labels(build: Any, backend: str, tmp_path: Path) -> None:
    names = ["contradiction", "entailment", "neutral"]
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    path = build(tmp_path, "SequenceClassification", **labels)
    pairs = PAIRS[: len(SENTENCES)]
    logits = expected_logits(path, pairs)
    encoder = fastseq.CrossEncoder(path)
    scale = float(logits.abs().max().clamp(min=1))
    np.testing.assert_allclose(encoder.predict(pairs), logits.numpy(), rtol=0, atol=1e-4 * scale)
    for name, function in (("softmax", logits.softmax(1)), ("sigmoid", logits.sigmoid())):
        np.testing.assert_allclose(
            encoder.predict(pairs, activation_fn=name), function.numpy(), rtol=0, atol=1e-4 * scale
        )
