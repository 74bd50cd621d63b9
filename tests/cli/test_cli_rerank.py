"""`fastseq search --rerank`: a second model puts what was found in its own order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")

import fastseq
from fastseq.cli import main
from small_models import bert_folder
from tokenizer_folders import SENTENCES

QUERIES = ["the harbour", "prices"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("models")
    return {
        "embed": str(bert_folder(base / "embed", "feature-extraction")),
        "rank": str(bert_folder(base / "rank", "text-classification", ("relevance",))),
        "labels": str(bert_folder(base / "labels", "text-classification")),
    }


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n\n".join(SENTENCES) + "\n", encoding="utf-8")  # every second line is empty
    return path


def test_the_lines_that_were_found_in_the_order_of_the_second_model(
    models: dict[str, str], corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["search", "--model", models["embed"], "--rerank", models["rank"], str(corpus), *QUERIES]
    assert main([*arguments, "--json", "--top-k", "3"]) == 0
    reranker = fastseq.CrossEncoder(models["rank"])
    for query, line in zip(QUERIES, capsys.readouterr().out.splitlines(), strict=True):
        answer, ranked = json.loads(line), reranker.rank(query, SENTENCES, top_k=3)
        places = [one["corpus_id"] for one in ranked]
        assert answer["query"] == query
        assert [hit["text"] for hit in answer["hits"]] == [SENTENCES[i] for i in places]
        assert [hit["line"] for hit in answer["hits"]] == [2 * i + 1 for i in places]
        # The reference on NumPy may round otherwise in another batch.
        assert [hit["score"] for hit in answer["hits"]] == pytest.approx([one["score"] for one in ranked], rel=1e-5)
    assert main([*arguments, "--top-k", "2", "--candidates", "2", "--batch-size", "1"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    rows = [line.split("\t") for line in output.out.splitlines()]
    assert [len(row) for row in rows] == [3, 3, 1, 3, 3]
    assert main(["search", "--model", models["embed"], str(corpus), *QUERIES, "--top-k", "2"]) == 0
    found = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    for part in (slice(0, 2), slice(3, 5)):  # the two nearest lines, with other scores
        assert sorted(row[1:] for row in rows[part]) == sorted(row[1:] for row in found[part])
        assert float(rows[part][0][0]) >= float(rows[part][1][0])


def test_a_pair_that_is_too_long_is_named(
    models: dict[str, str], corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["search", "--model", models["embed"], "--rerank", models["rank"], "--candidates", "5", str(corpus)]
    assert main([*arguments, "a " * 40 + "b"]) == 0
    error = capsys.readouterr().err.splitlines()
    assert error
    assert all("warning: text-classification: line" in line for line in error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--candidates", "3"], "--candidates needs --rerank"),
        (["--rerank", "rank", "--candidates", "3"], "--top-k 5 needs --candidates of at least 5"),
        (["--rerank", "rank", "--candidates", "0"], "0 is not at least 1"),
    ],
)
def test_wrong_usage(
    options: list[str], message: str, models: dict[str, str], corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [models.get(option, option) for option in options]
    with pytest.raises(SystemExit) as caught:
        main(["search", "--model", models["embed"], *named, str(corpus), "a"])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_models_that_do_not_rank(models: dict[str, str], corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["search", "--model", models["embed"], str(corpus), "a", "--rerank"]
    assert main([*arguments, models["labels"]]) == 2
    assert "the model has 3 labels; expected one" in capsys.readouterr().err
    assert main([*arguments, models["embed"]]) == 2
    assert "is for feature-extraction; expected one for text-classification" in capsys.readouterr().err
