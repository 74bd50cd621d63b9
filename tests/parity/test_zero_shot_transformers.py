"""Zero-shot classification: what Hugging Face's pipeline says, on small random models."""

from __future__ import annotations

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

SHORT = [SENTENCES[0], SENTENCES[1], SENTENCES[8]]
LONG = " ".join(SENTENCES[:4])  # more tokens than the models have positions
CANDIDATES = ["ships", "prices", "the weather at the harbour", "contractions"]
NAMES = {
    "last": ["contradiction", "neutral", "entailment"],
    "first": ["Entailment", "neutral", "contradiction"],
    "middle": ["contradiction", "entails", "neutral"],
    "two": ["entailment", "not_entailment"],
    "none": ["no", "perhaps", "yes"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[Any, Path] = {}

    def make(build: Any, names: str) -> Path:
        key = (build.__name__, names)
        if key not in made:
            labels = dict(enumerate(NAMES[names]))
            ids = {name: i for i, name in labels.items()}
            made[key] = build(tmp_path_factory.mktemp(names), "SequenceClassification", id2label=labels, label2id=ids)
        return made[key]

    return make


def theirs(folder: Path) -> Any:
    transformers.logging.set_verbosity_error()
    return transformers.pipeline("zero-shot-classification", model=str(folder), device="cpu")


def close(ours: Any, expected: Any) -> None:
    """Equal, scores to 1e-4 (two float32 computations of a few layers)."""
    if isinstance(expected, list):
        assert len(ours) == len(expected)
        for one, other in zip(ours, expected, strict=True):
            close(one, other)
        return
    assert ours.keys() == expected.keys() == {"sequence", "labels", "scores"}
    assert ours["sequence"] == expected["sequence"]
    assert ours["labels"] == expected["labels"]
    np.testing.assert_allclose(ours["scores"], expected["scores"], rtol=0, atol=1e-4)


def scores_of(result: dict[str, Any]) -> dict[str, float]:
    return dict(zip(result["labels"], result["scores"], strict=True))


@pytest.mark.filterwarnings("ignore:zero-shot-classification. none of the model's labels")
@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("build", [models.bert, models.roberta, models.bart])
def test_scores_and_their_order(build: Any, names: str, folder: Any, backend: str) -> None:
    path = folder(build, names)
    ours, hf = fastseq.pipeline("zero-shot-classification", path), theirs(path)
    for inputs in (SHORT[0], SHORT, SHORT[:1]):
        close(ours(inputs, CANDIDATES), hf(inputs, CANDIDATES))
        for options in ({}, {"multi_label": True}, {"hypothesis_template": "It's about {}, isn't it?"}):
            close(ours(inputs, candidate_labels=CANDIDATES, **options), hf(inputs, CANDIDATES, **options))
    close(ours(SHORT, "ships, prices ,weather,"), hf(SHORT, "ships, prices ,weather,"))
    close(ours(SHORT, "ships"), hf(SHORT, "ships"))
    close(ours(SHORT, ["a", "b, c"]), hf(SHORT, ["a", "b, c"]))


def test_the_scores_of_pairs_are_those_of_their_logits(folder: Any) -> None:
    """The definition, from the logits of each pair alone."""
    path = folder(models.bert, "first")
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path).eval()
    rows = []
    for label in CANDIDATES:
        with torch.no_grad():
            rows.append(model(**tokenizer(SHORT[2], f"This example is {label}.", return_tensors="pt")).logits[0])
    logits = torch.stack(rows)
    ours = fastseq.pipeline("zero-shot-classification", path)
    for several, expected in ((False, logits[:, 0].softmax(0)), (True, logits[:, [2, 0]].softmax(1)[:, 1])):
        found = ours(SHORT[2], CANDIDATES, multi_label=several)
        scores = scores_of(found)
        np.testing.assert_allclose([scores[label] for label in CANDIDATES], expected.numpy(), rtol=0, atol=1e-4)
        assert found["scores"] == sorted(found["scores"], reverse=True)


@pytest.mark.parametrize("build", [models.bert, models.roberta])
def test_only_the_text_is_cut_off_and_never_without_a_word(build: Any, folder: Any) -> None:
    path = folder(build, "last")
    ours, hf = fastseq.pipeline("zero-shot-classification", path), theirs(path)
    with pytest.warns(UserWarning, match=r"input 1 and a hypothesis are longer than 9\d tokens") as caught:
        found = ours([SHORT[0], LONG], CANDIDATES)
    assert len(caught) == 1  # not one for each label
    close(found, hf([SHORT[0], LONG], CANDIDATES))
    with pytest.raises(
        ValueError, match=r"begins with 'This example is a a .*' is, with special tokens, .* leaves no room for a text"
    ):
        ours(SHORT[0], ["a " * 100])


@pytest.mark.parametrize("compute_type", ["float32", "int8"])
def test_results_do_not_depend_on_company(compute_type: str, folder: Any) -> None:
    path = folder(models.bert, "last")
    options = {"candidate_labels": CANDIDATES, "backend": "native", "compute_type": compute_type}
    ours = fastseq.pipeline("zero-shot-classification", path, **options)
    texts = [*SENTENCES, LONG, "a"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the long one
        together = ours(texts)
        alone = [ours(text) for text in texts]
        assert together == alone
        assert ours(texts, batch_size=3) == alone
        assert list(ours(iter(texts[::-1]))) == alone[::-1]
        scores = [scores_of(result) for result in ours(texts, multi_label=True)]
        assert [scores_of(result) for result in ours(texts, CANDIDATES[::-1], multi_label=True)] == scores
