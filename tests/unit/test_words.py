"""Words and marks as tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseq.text import WordTokenizer


def test_words_keep_inner_apostrophes_and_marks_stand_alone() -> None:
    tokenizer = WordTokenizer(["<unk>"], "<unk>")
    assert tokenizer.split("It’s a 10/10 — isn't it?") == ["it’s", "a", "10", "/", "10", "—", "isn't", "it", "?"]
    assert tokenizer.split("'quoted' snake_case") == ["'", "quoted", "'", "snake", "_", "case"]
    assert tokenizer.split(" \n\t") == []


def test_frequent_tokens_come_first_and_rare_ones_are_unknown() -> None:
    tokenizer = WordTokenizer.from_texts(["b b a a c"], special=["<unk>", "<s>"], min_count=2)
    assert tokenizer.tokens == ["<unk>", "<s>", "a", "b"]
    assert tokenizer.encode("c b") == [0, 3]
    assert tokenizer.token_id("<s>") == 1
    with pytest.raises(ValueError, match="no token 'c'"):
        tokenizer.token_id("c")


def test_special_tokens_are_not_read_from_text() -> None:
    tokenizer = WordTokenizer.from_texts(["a"], special=["<unk>", "</s>"])
    assert tokenizer.encode("a </s>") == [2, 0, 0, 0, 0]


@given(st.text())
def test_characters_survive_the_way_to_ids_and_back(text: str) -> None:
    tokenizer = WordTokenizer.from_texts([text], special=["<unk>"], lowercase=False, unit="character")
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    tokenizer = WordTokenizer(["?", "É", "\u2028"], "?", lowercase=False, unit="character")
    tokenizer.save(tmp_path / "vocab.json")
    assert vars(WordTokenizer.read(tmp_path / "vocab.json")) == vars(tokenizer)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["a", 3], "a"), TypeError, "token 1 is 3; expected text"),
        ((["a", "b", "b"], "a"), ValueError, "token 'b' is there 2 times; expected once"),
        ((["a"], "b"), ValueError, "unknown is 'b'; expected one of the tokens"),
        ((["a"], ["a"]), ValueError, "unknown is"),
        ((["a"], "a", "yes"), TypeError, "lowercase is 'yes'; expected true or false"),
        ((["a"], "a", True, "byte"), ValueError, "unit is 'byte'; expected one of word, character"),
    ],
)
def test_wrong_arguments_are_named(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        WordTokenizer(*arguments)


@pytest.mark.parametrize("content", ["", "[]", '{"tokens": 3}', '{"tokens": []}', "[" * 100000, "\x00"])
def test_damaged_files_are_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"vocab\.json"):
        WordTokenizer.read(path)


def test_ids_out_of_range_and_texts_of_another_type_are_refused() -> None:
    tokenizer = WordTokenizer(["a"], "a")
    with pytest.raises(ValueError, match="id 1; expected 0 to 0"):
        tokenizer.decode([0, 1])
    with pytest.raises(TypeError, match="text is 3"):
        tokenizer.encode(3)  # type: ignore[arg-type]
