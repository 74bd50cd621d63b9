"""SemanticIndex: the k nearest are exactly those, whatever the blocks; files come back; errors name what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseq.pipelines import vector_stores
from fastseq.pipelines.semantic_index import SemanticIndex


def vectors(count: int, dimension: int = 19, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)


def nearest(rows: Any, queries: Any, k: int) -> tuple[Any, Any]:
    """The definition: all scores in double precision, sorted."""
    scores = queries.astype(np.float64) @ rows.astype(np.float64).T
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, ids, axis=1), ids


@pytest.fixture(params=[3, 64, 8192])
def block_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(vector_stores, "_BLOCK_ROWS", request.param)
    return int(request.param)


@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_the_nearest_are_found(metric: str, block_rows: int, backend: str) -> None:
    rows, queries = vectors(500), vectors(7, seed=1)
    index = SemanticIndex(metric=metric)
    for begin, end in ((0, 1), (1, 130), (130, 131), (131, 500)):  # blocks fill up over several calls
        assert index.add(rows[begin:end]) == range(begin, end)
    scores, ids = index.search_vectors(queries, 12)
    if metric == "cosine":
        rows = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        queries = queries / np.linalg.norm(queries.astype(np.float64), axis=1, keepdims=True)
    expected_scores, expected_ids = nearest(rows, queries, 12)
    assert np.array_equal(ids, expected_ids)
    # 19 products and sums in float32 of terms of size 1: 19 * 2**-24 * |q| |x|, which is at most about 60.
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)


def test_a_score_does_not_depend_on_company(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, queries = vectors(300), vectors(5, seed=1)
    results = []
    for size in (7, 100, 8192):
        monkeypatch.setattr(vector_stores, "_BLOCK_ROWS", size)
        index = SemanticIndex()
        index.add(rows)
        results.append(index.search_vectors(queries, 300))
        alone = [index.search_vectors(query, 300) for query in queries]
        results.append((np.concatenate([s for s, _ in alone]), np.concatenate([i for _, i in alone])))
    for scores, ids in results[1:]:
        assert np.array_equal(scores, results[0][0])
        assert np.array_equal(ids, results[0][1])


def test_of_equal_scores_the_first_is_first(block_rows: int, backend: str) -> None:
    index = SemanticIndex(metric="dot")
    index.add([[1.0, 0.0]] * 10 + [[2.0, 0.0]] + [[1.0, 0.0]] * 10)
    _, ids = index.search_vectors([1.0, 5.0], 21)
    assert ids[0].tolist() == [10, *range(10), *range(11, 21)]


def test_hits_and_texts() -> None:
    index = SemanticIndex()
    index.add([[1.0, 0.0], [0.0, 1.0]], texts=["east", "north"])
    assert index.search([0.0, 3.0], top_k=1) == [{"corpus_id": 1, "score": 1.0, "text": "north"}]
    hits = index.search([[0.0, 3.0], [1.0, 0.0]], top_k=5)
    assert [[hit["text"] for hit in row] for row in hits] == [["north", "east"], ["east", "north"]]
    assert (len(index), index.dimension, index.text(0)) == (2, 2, "east")
    assert repr(index) == "SemanticIndex(2 x 2, metric='cosine', engine='exact')"


def test_a_zero_vector_is_near_to_nothing() -> None:
    index = SemanticIndex()
    index.add([[0.0, 0.0], [1.0, 1.0]])
    assert [hit["score"] for hit in index.search([1.0, 1.0])] == pytest.approx([1.0, 0.0])


def test_an_empty_index_finds_nothing() -> None:
    assert SemanticIndex().search([1.0, 2.0]) == []
    assert SemanticIndex().search([[1.0, 2.0]]) == [[]]
    with pytest.raises(ValueError, match="the index is empty"):
        SemanticIndex().save("never")


class Letters:
    """An encoder: how often each letter is there."""

    def encode(self, sentences: Any, **options: Any) -> Any:
        assert not options or set(options) == {"batch_size"}
        return np.array([[text.count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for text in sentences], np.float32)


def test_with_an_encoder_texts_go_in_and_come_out(tmp_path: Path) -> None:
    index = SemanticIndex(Letters())
    index.add(["banana", "cherry", "fig"], batch_size=2)
    assert index.search("an ananas", top_k=1)[0]["text"] == "banana"
    assert [hits[0]["text"] for hits in index.search(["cherries", "figs"])] == ["cherry", "fig"]
    index.save(tmp_path)
    assert SemanticIndex.load(tmp_path, Letters()).search("figs", top_k=1)[0]["text"] == "fig"
    with pytest.raises(ValueError, match="there is no encoder"):
        SemanticIndex.load(tmp_path).search("figs")


def test_save_and_load(tmp_path: Path, block_rows: int, backend: str) -> None:
    index = SemanticIndex(metric="dot")
    rows = vectors(200)
    index.add(rows)
    index.save(tmp_path)
    assert np.array_equal(np.load(tmp_path / "vectors.npy"), rows)  # packing loses no bit
    loaded = SemanticIndex.load(tmp_path)
    queries = vectors(3, seed=2)
    for ours, theirs in zip(loaded.search_vectors(queries), index.search_vectors(queries), strict=True):
        assert np.array_equal(ours, theirs)
    loaded.add(rows[:5])
    assert len(loaded) == 205


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no index in"):
        SemanticIndex.load(tmp_path)
    index = SemanticIndex()
    index.add(vectors(4), texts=list("abcd"))

    def damaged(name: str, content: bytes, message: str) -> None:
        index.save(tmp_path)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            SemanticIndex.load(tmp_path)

    damaged("index.json", b"{", "index.json is no JSON")
    damaged("index.json", b"[]", "is no index of format")
    config = json.loads((tmp_path / "index.json").read_text()) if index.save(tmp_path) is None else {}
    damaged("index.json", json.dumps(config | {"count": 5}).encode(), "there are 4 vectors; index.json says 5")
    damaged("index.json", json.dumps(config | {"dimension": 18}).encode(), r"expected float32 \(N, 18\)")
    damaged("index.json", json.dumps(config | {"dimension": "x"}).encode(), "dimension is missing or wrong")
    damaged("texts.jsonl", b'"a"\n5\n', r"texts.jsonl: 5 is no text")
    damaged("vectors.npy", b"x", "vectors.npy is no array of vectors")
    index.save(tmp_path)
    np.save(tmp_path / "vectors.npy", np.full((4, 19), np.nan, np.float32))
    with pytest.raises(ValueError, match="not finite"):
        SemanticIndex.load(tmp_path)
    (tmp_path / "vectors.npy").unlink()
    with pytest.raises(FileNotFoundError):
        SemanticIndex.load(tmp_path)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda index: index.add([1.0, 2.0]), ValueError, r"vectors has shape \(2,\); expected \(N, D\)"),
        (lambda index: index.add([[1.0]]), ValueError, "vectors has 1 dimensions; expected 2, as the index has"),
        (lambda index: index.add([[1.0, np.nan]]), ValueError, r"vectors\[0\] has numbers that are not finite"),
        (lambda index: index.add([["a", "b"]]), TypeError, "expected floating-point numbers"),
        (lambda index: index.add([[1.0, 2.0]], texts=["a", "b"]), ValueError, "2 texts for 1 vectors"),
        (lambda index: index.add([[1.0, 2.0]], texts=[5]), TypeError, "texts are expected to be str"),
        (lambda index: index.add([[1.0, 2.0]], texts=["a"]), ValueError, "the vectors so far have no texts"),
        (lambda index: index.add(["a"]), ValueError, "there is no encoder"),
        (lambda index: index.add(["a"], texts=["b"]), ValueError, "both are texts"),
        (lambda index: index.search([1.0, 2.0, 3.0]), ValueError, "query has 3 dimensions"),
        (lambda index: index.search([1.0, 2.0], top_k=0), ValueError, "top_k is 0; expected at least 1"),
        (lambda index: SemanticIndex(metric="l2"), ValueError, "metric is 'l2'; expected 'cosine' or 'dot'"),
        (lambda index: SemanticIndex(engine="x"), ValueError, "engine is 'x'"),
        (lambda index: SemanticIndex(backend="x"), ValueError, "backend is 'x'"),
    ],
)
def test_wrong_arguments(call: Any, error: type[Exception], message: str) -> None:
    index = SemanticIndex()
    index.add([[1.0, 2.0]])
    with pytest.raises(error, match=message):
        call(index)
    assert len(index) == 1


@pytest.mark.parametrize("engine", ["usearch", "faiss"])
def test_other_engines_have_the_same_interface(engine: str, tmp_path: Path) -> None:
    pytest.importorskip(engine)
    rows = vectors(400)
    index, exact = SemanticIndex(engine=engine), SemanticIndex()
    for one in (index, exact):
        one.add(rows[:100], texts=[str(i) for i in range(100)])
        one.add(rows[100:], texts=[str(i) for i in range(100, 400)])
    scores, ids = exact.search_vectors(rows[:20], 5)
    found_scores, found_ids = index.search_vectors(rows[:20], 5)
    assert (found_ids == ids).mean() > 0.9  # they approximate
    np.testing.assert_allclose(found_scores[:, 0], scores[:, 0], atol=1e-5)
    assert index.search(rows[3], top_k=1)[0]["text"] == "3"
    index.save(tmp_path)
    loaded = SemanticIndex.load(tmp_path)
    assert (len(loaded), loaded.engine) == (400, engine)
    assert loaded.search(rows[7], top_k=1)[0]["text"] == "7"
    next(tmp_path.glob("vectors.*")).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=f"no {engine} index"):
        SemanticIndex.load(tmp_path)
