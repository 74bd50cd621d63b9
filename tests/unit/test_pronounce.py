"""The pronouncing pipeline: words in, dictionaries out."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from fastseq.pipelines.attention_plot import draw_attention
from fastseq.pipelines.pronounce import BUNDLED_MODELS, BUNDLED_NGRAM, Pronouncer
from fastseq.pipelines.words import split_words
from joint_ngrams import random_table
from tiny_models import BACKENDS, random_model, recurrent_config, write_folder


@pytest.fixture(scope="module", params=BUNDLED_MODELS)
def pronounce(request: pytest.FixtureRequest) -> Pronouncer:
    pronouncer = fastseq.pipeline("pronounce", request.param)
    assert isinstance(pronouncer, Pronouncer)
    return pronouncer


# Words that any reasonable model of English spelling gets right.
EASY = {"speech": "S P IY1 CH", "green": "G R IY1 N", "cat": "K AE1 T", "running": "R AH1 N IH0 NG"}


def test_easy_words(pronounce: Pronouncer) -> None:
    results: Any = pronounce(" ".join(EASY))
    assert {result["word"]: result["pronunciation"] for result in results} == EASY


def test_a_result_has_everything(pronounce: Pronouncer) -> None:
    [result] = pronounce("Speech!", num_return_sequences=3)
    assert list(result) == ["word", "pronunciation", "phonemes", "score", "alternatives"]
    assert result["word"] == "speech"
    assert result["phonemes"] == ["S", "P", "IY1", "CH"]
    assert len(result["alternatives"]) == 2
    scores = [result["score"], *(other["score"] for other in result["alternatives"])]
    assert scores == sorted(scores, reverse=True)
    assert list(result["alternatives"][0]) == ["pronunciation", "phonemes", "score"]


def test_formats(pronounce: Pronouncer) -> None:
    [result] = pronounce("speech", format="ipa")
    assert result["pronunciation"] == "ˈspitʃ"
    assert result["phonemes"] == ["S", "P", "IY1", "CH"]
    with pytest.raises(ValueError, match="format is 'sampa'; expected one of arpabet, ipa"):
        pronounce("speech", format="sampa")


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 1.5])
def test_without_stress_equals_the_sum_over_stress(pronounce: Pronouncer, length_penalty: float) -> None:
    words = ["record", "tomato", "permit", "onomatopoeia"]
    options: dict[str, Any] = {"num_beams": 6, "length_penalty": length_penalty}
    marked = pronounce.words(words, num_return_sequences=6, **options)
    plain = pronounce.words(words, num_return_sequences=6, stress=False, **options)
    for with_stress, without in zip(marked, plain, strict=True):
        sums: dict[str, list[float]] = {}
        for found in [with_stress, *with_stress["alternatives"]]:
            steps = (len(found["phonemes"]) + 1) ** length_penalty
            sums.setdefault(re.sub("[012]", "", found["pronunciation"]), []).append(math.exp(found["score"] * steps))
        merged = [without, *without["alternatives"]]
        assert {found["pronunciation"] for found in merged} == sums.keys()
        scores = [found["score"] for found in merged]
        assert scores == sorted(scores, reverse=True)
        for found in merged:
            steps = (len(found["phonemes"]) + 1) ** length_penalty
            # Scores are float32, and their multiples here up to 15 times as large.
            assert math.exp(found["score"] * steps) == pytest.approx(sum(sums[found["pronunciation"]]), rel=1e-5)


def test_without_stress_gives_as_many_as_asked_for(pronounce: Pronouncer) -> None:
    [result] = pronounce("record", num_return_sequences=2, stress=False)
    assert len(result["alternatives"]) == 1
    [result] = pronounce("record", stress=False, format="ipa", num_beams=1)
    assert result["alternatives"] == []
    assert not re.search("[012]", " ".join(result["phonemes"]))
    assert not re.search("[ˈˌ]", result["pronunciation"])
    for wrong in (0, 9, "2", None):
        with pytest.raises((TypeError, ValueError), match="num_return_sequences"):
            pronounce("record", num_return_sequences=wrong, stress=False)


def test_a_text_and_a_list_of_texts(pronounce: Pronouncer) -> None:
    texts = ["Green, speech", "", "cat", "..."]
    results: Any = pronounce(texts)
    assert [[word["word"] for word in text] for text in results] == [["green", "speech"], [], ["cat"], []]
    assert results[0] == pronounce("Green, speech")
    assert pronounce([]) == []
    assert pronounce("") == []
    with pytest.raises(TypeError, match=r"text\[1\] is int; expected a str"):
        pronounce(["cat", 7])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="text is NoneType; expected a str or several"):
        pronounce(None)  # type: ignore[arg-type]


def test_an_iterator_is_read_some_texts_at_a_time(pronounce: Pronouncer) -> None:
    read: list[int] = []
    texts = (read.append(i) or text for i, text in enumerate(["cat", "green light"] * 200))  # type: ignore[func-returns-value]
    lazily: Any = pronounce(texts, num_beams=1)
    assert read == []
    assert next(lazily) == pronounce("cat", num_beams=1)
    assert len(read) == 256
    assert [len(words) for words in lazily] == [2, *[1, 2] * 199]


def test_order_and_repetitions(pronounce: Pronouncer) -> None:
    words = ["cat", "onomatopoeia", "a", "cat", "speech", "a"]
    results = pronounce.words(words, num_beams=1)
    assert [result["word"] for result in results] == words
    assert results[0] == results[3]
    assert results[0] is not results[3]


def test_same_bits_alone_and_together() -> None:
    pronouncer = Pronouncer("lstm", backend="native")
    words = [f"{a}{b}{c}" for a in "bcdfgst" for b in ("a", "ou", "igh") for c in ("t", "ng", "tion", "ler")]
    together = pronouncer.words(words, num_return_sequences=2)
    for word, result in list(zip(words, together, strict=True))[::9]:
        assert pronouncer.words([word], num_return_sequences=2) == [result]


@pytest.mark.parametrize("model", BUNDLED_MODELS)
def test_the_backends_agree_on_real_words(model: str) -> None:
    words = ["through", "thorough", "tough", "bough", "cough", "hiccough", "rendezvous", "pneumonia", "wednesday"]
    results = [Pronouncer(model, backend=backend).words(words, num_return_sequences=3) for backend in BACKENDS]
    for numpy_result, native_result in zip(*results, strict=True):
        assert numpy_result["phonemes"] == native_result["phonemes"]
        assert numpy_result["score"] == pytest.approx(native_result["score"], rel=1e-4, abs=1e-5)


def test_unknown_characters_name_word_and_character(pronounce: Pronouncer) -> None:
    with pytest.raises(ValueError, match=re.escape("'b2b' has character '2', which the model does not know")):
        pronounce("A b2b shop")
    with pytest.raises(ValueError, match="'café' has character 'é'"):
        pronounce("cafe\u0301")
    with pytest.raises(ValueError, match=r"'aaaaaaaaaaaaaaaaaaaa\.\.\.' has 300 letters; expected at most 256"):
        pronounce("a" * 300)


def test_attention(pronounce: Pronouncer) -> None:
    seen = pronounce.attention("Speech")
    assert seen["word"] == "speech"
    assert seen["letters"] == list("speech")
    assert seen["phonemes"] == ["S", "P", "IY1", "CH"]
    assert seen["weights"].shape == (5, 6)
    np.testing.assert_allclose(seen["weights"].sum(axis=1), 1.0, rtol=1e-6)
    with pytest.raises(ValueError, match="'two words' is 2 words; attention is of one"):
        pronounce.attention("two words")


def test_models_by_folder_and_object(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    by_folder = Pronouncer(folder).words(["abba", "deed"])
    assert by_folder == fastseq.pipeline("grapheme-to-phoneme", str(folder)).words(["abba", "deed"])
    assert by_folder == Pronouncer(random_model(recurrent_config(), Pronouncer(folder).model.backend)).words(
        ["abba", "deed"]
    )
    with pytest.raises(FileNotFoundError, match="no model 'nothing'; expected lstm, transformer, ensemble or the path"):
        Pronouncer("nothing")


def test_the_ensemble_is_of_the_bundled_models() -> None:
    models = [Pronouncer(name).model for name in BUNDLED_MODELS]
    words = ["colonel", "hiccough"]
    expected = Pronouncer(fastseq.Ensemble(models, average="log")).words(words)
    assert Pronouncer("ensemble", ngram=False).words(words) == expected


@pytest.fixture(scope="module")
def found_by_the_model() -> Any:
    """What the search of the bundled LSTM finds, and what the n-gram says to it."""
    words = ["tomato", "onomatopoeia", "record", "b.b.c", "zzz"]
    results = Pronouncer("lstm", ngram=False).words(words, num_beams=6, num_return_sequences=6)
    return words, [[result, *result["alternatives"]] for result in results]


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_an_ngram_ranks_what_the_search_has_found(found_by_the_model: Any, weight: float) -> None:
    words, found = found_by_the_model
    pronouncer = Pronouncer("lstm", ngram_weight=weight)
    ngram: Any = pronouncer.ngram
    letters, phonemes = ngram.vocabulary.source, ngram.vocabulary.target
    results = pronouncer.words(words, num_beams=6, num_return_sequences=6)
    for word, candidates, result in zip(words, found, results, strict=True):
        expected = {}
        for candidate in candidates:
            said = [phonemes.index(phoneme.rstrip("012")) for phoneme in candidate["phonemes"]]
            [judged] = ngram.score([[letters.index(letter) for letter in word]], [said])
            mean = max(judged / (len(word) + 1), -15.0)
            expected[candidate["pronunciation"]] = candidate["score"] + weight * mean
        given = {other["pronunciation"]: other["score"] for other in [result, *result["alternatives"]]}
        assert given == pytest.approx(expected, rel=1e-5)
        assert list(given.values()) == sorted(given.values(), reverse=True)
        [best] = pronouncer.words([word], num_beams=6)
        assert best["pronunciation"] == result["pronunciation"]
        assert pronouncer.attention(word, num_beams=6)["phonemes"] == result["phonemes"]


def test_stress_variants_are_judged_as_one() -> None:
    pronouncer = Pronouncer("lstm")
    [alone] = Pronouncer("lstm", ngram=False).words(["record"], num_return_sequences=5, stress=False)
    [judged] = pronouncer.words(["record"], num_return_sequences=5, stress=False)
    ngram: Any = pronouncer.ngram
    word = [ngram.vocabulary.source.index(letter) for letter in "record"]
    before = {r["pronunciation"]: r["score"] for r in [alone, *alone["alternatives"]]}
    for result in [judged, *judged["alternatives"]]:
        said = [ngram.vocabulary.target.index(phoneme) for phoneme in result["phonemes"]]
        added = ngram.score([word], [said])[0] / len("record.")
        assert result["score"] == pytest.approx(before.pop(result["pronunciation"]) + added, rel=1e-5)
    assert before == {}


def test_who_is_judged_by_default(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    assert Pronouncer("transformer").ngram is not None
    assert Pronouncer(folder).ngram is None
    assert Pronouncer(folder, ngram=True).ngram is not None
    with pytest.raises(TypeError, match="ngram is int; expected True, False, a path or a JointNgram"):
        Pronouncer("lstm", ngram=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is for text2text-generation; expected a joint n-gram"):
        Pronouncer("lstm", ngram=folder)
    with pytest.raises(ValueError, match="is for scoring of pairs; expected one that pronounces"):
        Pronouncer(BUNDLED_NGRAM)
    with pytest.raises(FileNotFoundError, match="no model folder 'nothing'"):
        Pronouncer("lstm", ngram="nothing")
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"ngram_weight is .*; expected a number of at least 0"):
            Pronouncer("lstm", ngram_weight=weight)


def test_an_ngram_that_does_not_know_the_tokens_changes_no_order(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    options: dict[str, Any] = {"num_beams": 4, "num_return_sequences": 4}
    alone = Pronouncer(folder).words(["jjjj"], **options)[0]
    ngram = random_table(1).model(Pronouncer(folder).model.backend)  # has no letter j
    judged = Pronouncer(folder, ngram=ngram, ngram_weight=1.0).words(["jjjj"], **options)[0]
    before, after = ({r["pronunciation"]: r["score"] for r in [x, *x["alternatives"]]} for x in (alone, judged))
    assert list(before) == list(after)
    assert list(after.values()) == pytest.approx([score - 15.0 for score in before.values()], rel=1e-6)


def test_unknown_tasks_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no task 'sing'; expected one of pronounce, translation, summarization, "):
        fastseq.pipeline("sing")


def test_drawing_needs_a_matrix_of_the_right_shape(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"weights has shape \(2, 2\); expected \(3, 2\)"):
        draw_attention(np.zeros((2, 2)), "ab", ["AA1", "B"], tmp_path / "x.png")


def test_drawing(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "x.png"
    draw_attention(np.eye(3, 2), "ab", ["AA1", "B"], path, title="ab")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_drawing_without_matplotlib_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"drawing needs matplotlib: pip install 'fastseq-cpu\[plot\]'"):
        draw_attention(np.eye(3, 2), "ab", ["AA1", "B"], tmp_path / "x.png")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world!", ["hello", "world"]),
        ("'tis the dogs' 'bone'", ["'tis", "the", "dogs'", "bone"]),
        ("it\u2019s \u201cquoted\u201d\u2014twice\u2026", ["it's", "quoted", "twice"]),
        ("well-known -- e.g. U.S.", ["well-known", "e.g", "u.s"]),
        ("either/or", ["either", "or"]),
        ("3 R&B $5", ["3", "r&b", "$5"]),
        (" \t\n", []),
        ("'' - '-'", []),
    ],
)
def test_splitting_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words
