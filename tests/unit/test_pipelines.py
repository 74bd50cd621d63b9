"""Pipelines on small models: options, streams, warnings and errors that say what was wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")

import fastseq
from fastseq.pipelines import base
from small_models import bert_folder, marian_folder
from tokenizer_folders import SENTENCES, m2m100


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("models")
    tasks = ("text-classification", "token-classification", "question-answering")
    made = {task: bert_folder(base / task, task) for task in tasks}
    return made | {"translation": marian_folder(base / "marian", ("deu", "fra"))}


def test_an_endless_stream_is_read_as_it_is_needed(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_PART_INPUTS", 4)
    classify = fastseq.pipeline("text-classification", folders["text-classification"])
    taken = []

    def endless() -> Iterator[str]:
        for i in range(10**9):
            taken.append(i)
            yield SENTENCES[i % 2]

    results = classify(endless())
    first = [next(results) for _ in range(5)]
    assert len(taken) == 8
    assert [result["label"] for result in first] == [result["label"] for result in (classify(SENTENCES[:2]) * 3)[:5]]


def test_the_order_is_that_of_the_inputs(folders: dict[str, Path]) -> None:
    folder = folders["text-classification"]
    classify = fastseq.pipeline("text-classification", folder, batch_size=3, backend="native")
    texts = [SENTENCES[i % 3][: 3 + 7 * i % 40] for i in range(12)]
    assert classify(texts) == [classify([text])[0] for text in texts]
    assert classify([]) == []


def test_a_model_that_is_loaded_and_defaults_of_the_constructor(folders: dict[str, Path]) -> None:
    model = fastseq.load_model(folders["text-classification"])
    classify = fastseq.pipeline("sentiment-analysis", model, top_k=2)
    assert [len(labels) for labels in classify(SENTENCES[:3])] == [2, 2, 2]
    assert classify.model is model
    assert len(classify(SENTENCES[0], top_k=1)) == 1
    tokenizer = fastseq.load_tokenizer(folders["text-classification"])
    assert fastseq.pipeline("text-classification", model, tokenizer=tokenizer).tokenizer is tokenizer


def test_all_scores_in_the_order_of_the_labels(folders: dict[str, Path]) -> None:
    classify = fastseq.pipeline("text-classification", folders["text-classification"])
    scores = classify([SENTENCES[0]], return_all_scores=True)[0]
    assert [score["label"] for score in scores] == ["O", "B-PER", "I-PER"]
    assert sum(score["score"] for score in scores) == pytest.approx(1)


def test_a_progress_bar_where_it_is_asked_for(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    classify = fastseq.pipeline("text-classification", folders["text-classification"], progress=True)
    classify(SENTENCES[:3])
    assert "text-classification" in capsys.readouterr().err
    assert not sys.stderr.isatty()
    fastseq.pipeline("text-classification", folders["text-classification"])(SENTENCES[:3])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("task", "call", "error", "message"),
    [
        ("text-classification", lambda p: p(5), TypeError, "the input is int; expected a str"),
        ("text-classification", lambda p: p(["a", None]), TypeError, "input 1 is NoneType; expected a str"),
        (
            "text-classification",
            lambda p: p({"txt": "a"}),
            ValueError,
            "the input has keys txt; expected text",
        ),
        ("text-classification", lambda p: p("a", top_k=0), ValueError, "top_k is 0"),
        (
            "text-classification",
            lambda p: p("a", topk=1),
            TypeError,
            "unknown option topk; expected some of",
        ),
        ("text-classification", lambda p: p("a", function_to_apply="x"), ValueError, "function_to_apply is 'x'"),
        ("text-classification", lambda p: p("a", batch_size=0), ValueError, "batch_size is 0"),
        ("token-classification", lambda p: p("a", aggregation_strategy="x"), ValueError, "aggregation_strategy is 'x'"),
        ("token-classification", lambda p: p("a", stride=3), ValueError, "an aggregation_strategy other than 'none'"),
        ("question-answering", lambda p: p(), ValueError, "expected a question and a context"),
        ("question-answering", lambda p: p(question="a"), ValueError, "expected a question and a context"),
        ("question-answering", lambda p: p("a"), TypeError, "the input is str; expected a dict"),
        (
            "question-answering",
            lambda p: p(question=" ", context="a"),
            ValueError,
            "question of the input is empty",
        ),
        ("question-answering", lambda p: p(question="a", context=""), ValueError, "the context of the input is empty"),
        (
            "question-answering",
            lambda p: p(question=["a"], context=["a", "b"]),
            ValueError,
            "1 questions and 2 contexts",
        ),
        ("question-answering", lambda p: p(question="a", context="b", max_seq_len=100), ValueError, "expected 1 to 64"),
        ("translation", lambda p: p("a", num_beams=0), ValueError, "num_beams is 0"),
        ("translation", lambda p: p("a", tgt_lang="nld"), ValueError, "language 'nld' is unknown"),
        ("translation", lambda p: p(["a", 5]), TypeError, "input 1 is int; expected a str"),
    ],
)
def test_wrong_inputs_and_options(
    task: str, call: Any, error: type[Exception], message: str, folders: dict[str, Path]
) -> None:
    pipeline = fastseq.pipeline(task, folders[task], backend="numpy")
    with pytest.raises(error, match=message):
        call(pipeline)


def test_a_model_of_many_languages_needs_them(tmp_path: Path) -> None:
    """The tokenizer asks for them; a model of one pair stands in for the other half here."""
    tokenizer = fastseq.load_tokenizer(m2m100(tmp_path / "m2m100"))
    model = fastseq.load_model(marian_folder(tmp_path / "marian"))
    translate = fastseq.pipeline("translation", model, tokenizer=tokenizer)
    with pytest.raises(ValueError, match="a model of many languages needs tgt_lang; expected one of af, am, ar"):
        translate("a")
    with pytest.raises(ValueError, match="language 'xx' is unknown"):
        translate("a", src_lang="xx", tgt_lang="de")
    checked = translate.check({"src_lang": "fr", "tgt_lang": "de"})
    assert checked["search"] == {"forced_bos_token_id": tokenizer.language_id("de")}
    prepared = translate.prepare("a", "the input", checked)
    assert prepared.units[0].ids[0] == tokenizer.language_id("fr")
    named = fastseq.pipeline("translation_en_to_fr", model, tokenizer=tokenizer).check({})
    assert (named["src_lang"], named["tgt_lang"]) == ("en", "fr")


def test_wrong_models(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is for text-classification; expected one for question-answering"):
        fastseq.pipeline("question-answering", folders["text-classification"], backend="numpy")
    with pytest.raises(ValueError, match="translation: expected a model"):
        fastseq.pipeline("translation")
    with pytest.raises(ValueError, match="no task 'translate'; expected one of pronounce, translation"):
        fastseq.pipeline("translate", folders["translation"])
    with pytest.raises(FileNotFoundError, match="no model folder"):
        fastseq.pipeline("translation", tmp_path / "no")


def test_a_long_question_is_cut_off_with_a_warning(folders: dict[str, Path]) -> None:
    answer = fastseq.pipeline("question-answering", folders["question-answering"])
    question = "who waves at the ship " * 10
    with pytest.warns(UserWarning, match="only the first 10 are read"):
        found = answer(question=question, context=SENTENCES[0], max_question_len=10)
    assert found["answer"] in SENTENCES[0]
