"""What a folder's JSON files say about its tokenizer is obeyed as Hugging Face's tokenizers obey it."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")
pytest.importorskip("google.protobuf")

from test_tokenizers_transformers import theirs  # noqa: E402

from fastseq.text import Tokenizer, load_tokenizer  # noqa: E402
from tokenizer_folders import KINDS, SENTENCES  # noqa: E402

NEW = ["<|im|>", "zz top"]
TEXTS = ["<|im|> The ship zz topped.", "zz top", "a <|im|>b zz top  c", " <|im|> zz top "]


@cache
def plain(kind: str) -> dict[str, bytes]:
    """Return the files of a folder of a kind."""
    with tempfile.TemporaryDirectory() as path:
        return {file.name: file.read_bytes() for file in KINDS[kind](Path(path)).iterdir()}


def folder(kind: str, path: Path, saved: bool = False, files: dict[str, Any] | None = None, **settings: Any) -> Path:
    """Write a folder of a kind, with other settings; `saved`: as transformers saves it, with `tokenizer.json`."""
    path.mkdir(exist_ok=True)
    for name, content in plain(kind).items():
        (path / name).write_bytes(content)
    if saved:
        theirs(path).save_pretrained(path)
    config = json.loads((path / "tokenizer_config.json").read_text())
    for name, content in ({"tokenizer_config.json": config | settings} | (files or {})).items():
        (path / name).write_text(json.dumps(content))
    return path


def same(path: Path, texts: list[str], decode: bool = True) -> Tokenizer:
    hf, tokenizer = theirs(path), load_tokenizer(path)
    assert tokenizer.vocab_size == len(hf)
    for text in texts:
        ids = hf(text)["input_ids"]
        assert tokenizer.encode(text).ids == ids, text
        for skip in (True, False) if decode else ():
            assert tokenizer.decode(ids, skip) == hf.decode(ids, skip_special_tokens=skip), text
    return tokenizer


@pytest.mark.parametrize("field", ["additional_special_tokens", "extra_special_tokens"])
@pytest.mark.parametrize(
    "kind", ["marian", "t5", "pegasus", "xlm-roberta", "albert", "bert uncased", "roberta", "gpt2"]
)
def test_further_special_tokens_come_behind_the_vocabulary(kind: str, field: str, tmp_path: Path) -> None:
    tokenizer = same(folder(kind, tmp_path, **{field: NEW}), TEXTS)
    assert [tokenizer.token_id(token) for token in NEW] == [tokenizer.vocab_size - 2, tokenizer.vocab_size - 1]


@pytest.mark.parametrize("kind", ["marian", "t5", "bert uncased", "roberta"])
def test_tokens_of_added_tokens_json(kind: str, tmp_path: Path) -> None:
    size = load_tokenizer(folder(kind, tmp_path / "plain")).vocab_size
    added = {token: size + i for i, token in enumerate(NEW)}
    same(folder(kind, tmp_path / "added", files={"added_tokens.json": added}), TEXTS)


@pytest.mark.parametrize(("left", "right", "alone"), [(True, False, False), (False, True, False), (False, False, True)])
@pytest.mark.parametrize("kind", ["marian", "bert uncased"])
def test_what_an_added_token_swallows(kind: str, left: bool, right: bool, alone: bool, tmp_path: Path) -> None:
    size = load_tokenizer(folder(kind, tmp_path / "plain")).vocab_size
    flags = {"lstrip": left, "rstrip": right, "single_word": alone, "normalized": False, "special": False}
    decoder = {str(size + i): {"content": token} | flags for i, token in enumerate(NEW)}
    texts = [text for text in TEXTS if not alone or "topped" not in text]  # one of them takes "zz top" out of it
    same(folder(kind, tmp_path / "added", added_tokens_decoder=decoder), texts, decode=False)


def test_an_id_of_marian_belongs_to_one_token(tmp_path: Path) -> None:
    decoder = {"5": {"content": "<|im|>"}}
    with pytest.raises(ValueError, match=r"added token '<\|im\|>' has id 5; in this vocabulary it gets"):
        load_tokenizer(folder("marian", tmp_path, added_tokens_decoder=decoder))


def test_the_flags_of_added_tokens_decoder_count_before_those_of_tokenizer_json(tmp_path: Path) -> None:
    path = folder("bert uncased", tmp_path, saved=True)
    decoder = json.loads((path / "tokenizer_config.json").read_text()).get("added_tokens_decoder", {})
    mask = load_tokenizer(path).token_id("[MASK]")
    decoder[str(mask)] = {"content": "[MASK]", "lstrip": True, "rstrip": True, "special": True, "normalized": False}
    folder("bert uncased", tmp_path, saved=True, added_tokens_decoder=decoder)
    encoding = same(path, ["The [MASK] ship"]).encode("The [MASK] ship", details=True)
    assert (3, 11) in (encoding.offsets or [])


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("kind", ["bert uncased", "roberta", "t5", "marian"])
def test_text_is_cut_off_on_the_side_that_the_folder_says(kind: str, saved: bool, tmp_path: Path) -> None:
    path = folder(kind, tmp_path, saved, truncation_side="left")
    hf, tokenizer = theirs(path), load_tokenizer(path)
    for text in SENTENCES[:4]:
        cut = tokenizer.encode(text, max_length=9)
        assert cut.ids == hf(text, truncation=True, max_length=9)["input_ids"]
        assert cut.truncated
    if kind == "bert uncased":
        first, second = "Who left?", " ".join(SENTENCES[:4])
        windows = tokenizer.encode_windows(first, second, max_length=40, stride=7)
        expected = hf(first, second, truncation="only_second", max_length=40, stride=7, return_overflowing_tokens=True)[
            "input_ids"
        ]
        assert sorted(window.ids for window in windows) == sorted(expected)


def test_truncation_of_tokenizer_json_says_the_side_too(tmp_path: Path) -> None:
    path = folder("bert uncased", tmp_path, saved=True)
    engine = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    engine.enable_truncation(9, direction="left")
    engine.save(str(path / "tokenizer.json"))
    expected = theirs(path)(SENTENCES[0], truncation=True, max_length=9)["input_ids"]
    assert load_tokenizer(path).encode(SENTENCES[0], max_length=9).ids == expected
    assert len(load_tokenizer(path).encode(SENTENCES[0])) > 9  # where to cut is the caller's


@pytest.mark.parametrize(("kind", "cleaned"), [("bert uncased", True), ("t5", True), ("roberta", False)])
def test_spaces_of_bpe_are_not_cleaned_up_by_the_folder(kind: str, cleaned: bool, tmp_path: Path) -> None:
    text = "isn 't it , no ?"
    tokenizer = same(folder(kind, tmp_path, clean_up_tokenization_spaces=True), [text])
    ids = tokenizer.encode(text).ids
    assert ("it," in tokenizer.decode(ids)) == cleaned
    assert "it," in tokenizer.decode(ids, clean_up_tokenization_spaces=True)  # the caller wants it


def test_special_tokens_in_text_may_be_cut_like_other_text(tmp_path: Path) -> None:
    path = folder("bert uncased", tmp_path, saved=True, split_special_tokens=True)
    tokenizer = same(path, ["The [MASK] ship"], decode=False)
    assert tokenizer.token_id("[MASK]") not in tokenizer.encode("The [MASK] ship").ids


def test_the_second_text_has_type_1_where_no_template_says_otherwise(tmp_path: Path) -> None:
    path = folder("bert uncased", tmp_path, saved=True, tokenizer_class="PreTrainedTokenizerFast")
    engine = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    engine.post_processor = tokenizers.processors.ByteLevel(trim_offsets=False)
    engine.save(str(path / "tokenizer.json"))
    encoding = load_tokenizer(path).encode("The ship", "leaves")
    assert encoding.ids == theirs(path)("The ship", "leaves")["input_ids"]
    assert encoding.type_ids == theirs(path)("The ship", "leaves", return_token_type_ids=True)["token_type_ids"]
    assert encoding.type_ids == [sequence or 0 for sequence in encoding.sequences]
    # Settings of one family do not concern a tokenizer of no family.
    path = folder("bert uncased", tmp_path, saved=True, tokenizer_class="PreTrainedTokenizerFast", do_lower_case=False)
    assert load_tokenizer(path).encode("The Ship").ids == theirs(path)("The Ship")["input_ids"]
