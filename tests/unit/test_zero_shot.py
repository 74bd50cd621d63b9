"""Zero-shot classification on small models: options, streams, and errors that say what was wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")

import fastseq
from fastseq.pipelines import base
from small_models import bert_folder
from tokenizer_folders import SENTENCES

TASK = "zero-shot-classification"
CANDIDATES = ["ships", "prices", "verbs"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = ("contradiction", "neutral", "entailment")
    return bert_folder(tmp_path_factory.mktemp("entailment"), "text-classification", labels)


def test_labels_come_with_the_call_or_before(folder: Path, backend: str) -> None:
    classify = fastseq.pipeline(TASK, folder, candidate_labels="ships, prices, verbs")
    found = classify(SENTENCES[0])
    assert found["sequence"] == SENTENCES[0]
    assert sorted(found["labels"]) == sorted(CANDIDATES)
    assert found["scores"] == sorted(found["scores"], reverse=True)
    assert sum(found["scores"]) == pytest.approx(1)
    for labels in (CANDIDATES, tuple(CANDIDATES), iter(CANDIDATES), "ships,prices,,verbs"):
        assert classify(SENTENCES[0], labels) == found
    assert classify(SENTENCES[0], "verbs")["labels"] == ["verbs"]
    assert classify([]) == []
    several = fastseq.pipeline(TASK, folder, multi_label=True)(SENTENCES[0], CANDIDATES)
    assert sum(several["scores"]) != pytest.approx(1)


def test_equal_scores_keep_the_order_of_the_labels(folder: Path) -> None:
    classify = fastseq.pipeline(TASK, folder, batch_size=1)
    [first, second] = classify(SENTENCES[0], ["Ships", "ships"])["labels"]  # the tokenizer takes them for one
    assert (first, second) == ("Ships", "ships")
    assert classify(SENTENCES[0], ["ships", "Ships"])["labels"] == ["ships", "Ships"]


def test_a_stream_is_read_as_it_is_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_PART_INPUTS", 4)
    classify = fastseq.pipeline(TASK, folder, candidate_labels=CANDIDATES, backend="numpy")
    taken = []

    def endless() -> Iterator[str]:
        for i in range(10**9):
            taken.append(i)
            yield SENTENCES[i % 2]

    results = classify(endless())
    found = [next(results)["sequence"] for _ in range(5)]
    assert len(taken) == 8
    assert found == (SENTENCES[:2] * 3)[:5]


def test_a_text_is_cut_off_to_its_last_token_with_a_warning(folder: Path) -> None:
    classify = fastseq.pipeline(TASK, folder, hypothesis_template="{}")
    whole = "a" + " a" * 59  # with three special tokens it leaves room for one token of the text
    with pytest.warns(UserWarning, match="the input and a hypothesis are longer than 64 tokens"):
        assert classify("a b", whole)["scores"] == classify("a", whole)["scores"]
    with pytest.raises(ValueError, match="is, with special tokens, 64 long and leaves no room for a text; the model"):
        classify("a", whole + " a")


def test_without_a_label_for_entailment_the_last_is_taken(tmp_path: Path) -> None:
    path = bert_folder(tmp_path, "text-classification", ("x", "entailed"))
    named = fastseq.pipeline(TASK, path)
    config = path / "config.json"
    config.write_text(config.read_text().replace("entailed", "y"))
    with pytest.warns(UserWarning, match="none of the model's labels x, y begins with 'entail'; the last one is taken"):
        other = fastseq.pipeline(TASK, path)
    assert (named.entailment_id, other.entailment_id) == (1, -1)
    for options in ({}, {"multi_label": True}):
        assert other(SENTENCES[:3], CANDIDATES, **options) == named(SENTENCES[:3], CANDIDATES, **options)


def test_models_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the model has one label, 'entailment'; expected at least two"):
        fastseq.pipeline(TASK, bert_folder(tmp_path / "one", "text-classification", ("entailment",)))
    with pytest.raises(ValueError, match="is for question-answering; expected one for text-classification"):
        fastseq.pipeline(TASK, bert_folder(tmp_path / "qa", "question-answering"))


def test_the_pages_example_runs_with_a_small_model_in_place_of_its_own(folder: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "pipelines.md").read_text(encoding="utf-8")
    [code] = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if TASK in block]
    for old, new in (
        ('"cross-encoder/nli-distilroberta-base"', repr(str(folder))),
        ("\nclassify(", "\nfound = classify("),
    ):
        assert old in code
        code = code.replace(old, new)
    names: dict[str, Any] = {"fastseq": fastseq}
    exec(compile(code, "pipelines.md", "exec"), names)
    assert sorted(names["found"]["labels"]) == ["cooking", "money", "travel"]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("a",), {}, ValueError, "candidate_labels are missing"),
        (("a", []), {}, ValueError, r"candidate_labels is \[\]; expected at least one label"),
        (("a", " , "), {}, ValueError, "candidate_labels is ' , '; expected at least one"),
        (("a", 5), {}, TypeError, "candidate_labels is int; expected a str or a list of str"),
        (("a", {"b": 1}), {}, TypeError, "candidate_labels is dict"),
        (("a", ["b", 5]), {}, TypeError, r"candidate_labels\[1\] is int; expected a str"),
        (("a", "b"), {"hypothesis_template": "This."}, ValueError, "hypothesis_template is 'This.'; expected {} where"),
        (("a", "b"), {"hypothesis_template": "{x}"}, ValueError, "hypothesis_template is '{x}'"),
        (("a", "b"), {"hypothesis_template": "{} {}"}, ValueError, "hypothesis_template is '{} {}'"),
        (("a", "b"), {"hypothesis_template": "{.x}"}, ValueError, "hypothesis_template is '{.x}'"),
        (("a", "b"), {"hypothesis_template": "{"}, ValueError, "hypothesis_template is '{'"),
        (("a", "b"), {"hypothesis_template": "{{}}"}, ValueError, "hypothesis_template is '{{}}'"),
        (("a", "b"), {"hypothesis_template": 5}, TypeError, "hypothesis_template is int; expected a str"),
        (("a", "b"), {"multi_label": 1}, TypeError, "multi_label is 1; expected True or False"),
        (("a", "b"), {"top_k": 1}, TypeError, "unknown option top_k; expected some of batch_size, candidate_labels"),
        ((["a", 5], "b"), {}, TypeError, "input 1 is int; expected a str"),
        ((["a", " "], "b"), {}, ValueError, "input 1 is empty; expected a text"),
        (("", "b"), {}, ValueError, "the input is empty"),
        (({"text": "a"}, "b"), {}, TypeError, "the input is dict; expected a str"),
    ],
)
def test_wrong_inputs_and_options(
    arguments: Any, options: dict[str, Any], error: type[Exception], message: str, folder: Path
) -> None:
    classify = fastseq.pipeline(TASK, folder, backend="numpy")
    with pytest.raises(error, match=message):
        classify(*arguments, **options)
