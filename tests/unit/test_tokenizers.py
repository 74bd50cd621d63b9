"""Tokenizers of model folders: which kind is chosen, what errors say, windows and decoding."""

from __future__ import annotations

import importlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")

from fastseq.text import Tokenizer, load_tokenizer
from tokenizer_folders import KINDS, SENTENCES, deberta, m2m100, marian, nllb, t5, wordpiece, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wordpiece(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return load_tokenizer(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_text_comes_back(kind: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(KINDS[kind](tmp_path))
    text = "the ship leaves the harbour at seven, and nobody waves"
    ids = tokenizer.encode(text).ids
    assert max(ids) < tokenizer.vocab_size
    if kind != "marian separate":  # there the target has other ids
        assert tokenizer.decode(ids).replace(" ,", ",").strip() == text
    assert tokenizer.encode(text, src_lang=tokenizer.languages[1] if tokenizer.needs_source_language else None).ids


def test_the_kind_follows_from_the_model_type_or_the_files(tmp_path: Path) -> None:
    for make, model_type in ((t5, "t5"), (m2m100, "m2m_100"), (nllb, "m2m_100"), (marian, "marian")):
        folder = make(tmp_path / make.__name__)
        named = load_tokenizer(folder).encode(SENTENCES[0]).ids
        config = json.loads((folder / "tokenizer_config.json").read_text())
        del config["tokenizer_class"]
        write(folder, config, {"config.json": {"model_type": model_type}})
        assert load_tokenizer(folder).encode(SENTENCES[0]).ids == named
        write(folder, config, {"config.json": {"model_type": "encoder-decoder", "encoder": {"model_type": model_type}}})
        assert load_tokenizer(folder).encode(SENTENCES[0]).ids == named
    shutil.rmtree(tmp_path / "marian" / "config.json", ignore_errors=True)
    (tmp_path / "marian" / "config.json").unlink()
    (tmp_path / "marian" / "tokenizer_config.json").unlink()
    assert load_tokenizer(tmp_path / "marian").encode(SENTENCES[0]).ids


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no model folder"):
        load_tokenizer(tmp_path / "no")
    with pytest.raises(FileNotFoundError, match=r"no tokenizer\.json, and neither .* says which kind it is"):
        load_tokenizer(write(tmp_path / "empty", {}, {}))
    with pytest.raises(FileNotFoundError, match=r"'LlamaTokenizer' in tokenizer_config\.json is none of ours"):
        load_tokenizer(write(tmp_path / "llama", {"tokenizer_class": "LlamaTokenizer"}, {}))
    for name, missing in {
        "MarianTokenizer": r"source\.spm and no target\.spm and no vocab\.json",
        "M2M100Tokenizer": r"vocab\.json and no sentencepiece\.bpe\.model",
        "T5Tokenizer": r"none of spiece\.model",
        "BertTokenizerFast": r"no vocab\.txt",
        "RobertaTokenizer": r"no vocab\.json and no merges\.txt",
    }.items():
        with pytest.raises(FileNotFoundError, match=missing):
            load_tokenizer(write(tmp_path / name, {"tokenizer_class": name}, {}))


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("BertTokenizer", "tokenizer.json", "{}", "tokenizer.json is no tokenizer"),
        ("BertTokenizer", "tokenizer_config.json", "[", "tokenizer_config.json is no JSON"),
        ("BertTokenizer", "special_tokens_map.json", "[]", "special_tokens_map.json holds a list"),
        ("BertTokenizer", "vocab.txt", "a\nb\n", r"vocab.txt lacks the special tokens \[UNK\], \[SEP\]"),
        ("BertTokenizer", "vocab.txt", b"\xff\xfe", "vocab.txt is no UTF-8"),
        ("T5Tokenizer", "spiece.model", b"\x0a\xff\xff", "spiece.model is no SentencePiece model"),
        ("T5Tokenizer", "spiece.model", b"", "spiece.model is no SentencePiece model"),
        ("T5Tokenizer", "spiece.model", b"hello, this is text", "spiece.model is no SentencePiece model"),
    ],
)
def test_damage_is_named(name: str, file: str, content: Any, message: str, tmp_path: Path) -> None:
    folder = write(tmp_path, {"tokenizer_class": name}, {})
    write(folder, {"tokenizer_class": name}, {file: content} if file != "tokenizer_config.json" else {})
    if file == "tokenizer_config.json":
        (folder / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_tokenizer(folder)


def test_an_end_token_that_is_no_token_is_named(tmp_path: Path) -> None:
    folder = KINDS["mbart"](tmp_path)
    write(folder, {"tokenizer_class": "MBartTokenizer", "eos_token": "<none>"}, {})
    with pytest.raises(ValueError, match=r"lacks the eos_token '<none>'"):
        load_tokenizer(folder)
    write(folder, {"tokenizer_class": "MBartTokenizer", "eos_token": ""}, {})  # names nothing
    assert load_tokenizer(folder).encode("The ship").ids[-2] == 2


def test_a_token_that_is_no_text_is_named(tmp_path: Path) -> None:
    folder = wordpiece(tmp_path, additional_special_tokens=["ok", "x\ud800"])
    with pytest.raises(ValueError, match="has half a character: a lone surrogate"):
        load_tokenizer(folder)


def test_damaged_marian_files(tmp_path: Path) -> None:
    folder = marian(tmp_path)
    (folder / "vocab.json").write_text('{"</s>": 0, "<unk>": "one"}')
    with pytest.raises(ValueError, match=r"vocab\.json: the id of '<unk>' is 'one'"):
        load_tokenizer(folder)
    (folder / "vocab.json").write_text('{"a": 0}')
    with pytest.raises(ValueError, match="lacks <unk> and </s>"):
        load_tokenizer(folder)
    (folder / "source.spm").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"source\.spm is no SentencePiece model"):
        load_tokenizer(folder)


@pytest.mark.parametrize(("make", "package"), [(wordpiece, "tokenizers"), (marian, "sentencepiece")])
def test_without_the_packages_the_message_says_what_to_install(
    make: Any, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path)
    real = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ImportError, match=rf"needs the package '{package}': pip install 'fastseq-cpu\[text\]'"):
        load_tokenizer(folder)


def test_limits(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="max_length is 2; expected more than the 2 special tokens"):
        tokenizer.encode("a", max_length=2)
    with pytest.raises(ValueError, match="truncation is 'both'"):
        tokenizer.encode("a", truncation="both")
    with pytest.raises(ValueError, match=r"the text alone has \d+ tokens and is not cut"):
        tokenizer.encode("the ship leaves the", "the", max_length=6, truncation="only_second")
    with pytest.raises(ValueError, match="which must be more than the stride"):
        tokenizer.encode_windows("the ship leaves the", "the", max_length=9, stride=5)
    with pytest.raises(TypeError, match="text is bytes; expected a str"):
        tokenizer.encode(b"a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="pair is int; expected a str"):
        tokenizer.encode("a", 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="id -1 is no token"):
        tokenizer.decode([-1])


def test_languages_are_checked(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="marks no source language"):
        tokenizer.encode("a", src_lang="de")
    with pytest.raises(ValueError, match="it has none: its model is for one pair of languages"):
        tokenizer.language_id("de")
    many = load_tokenizer(m2m100(tmp_path))
    with pytest.raises(ValueError, match="language 'tlh' is unknown to this tokenizer; it has af, am, ar"):
        many.encode("a", src_lang="tlh")


def test_a_lone_surrogate_is_no_error(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("a \ud800 b").ids == tokenizer.encode("a \ufffd b").ids


def test_windows_cover_the_text(tokenizer: Tokenizer) -> None:
    text = " ".join(SENTENCES)
    whole = tokenizer.encode(text, add_special_tokens=False, details=True)
    found = tokenizer.encode_windows("who", text, max_length=40, stride=9)
    spans = [
        [span for span, sequence in zip(window.offsets or [], window.sequences, strict=True) if sequence == 1]
        for window in found
    ]
    assert all(window.truncated for window in found)
    assert [part[-9:] for part in spans[:-1]] == [part[:9] for part in spans[1:]]
    assert spans[0] + [span for part in spans[1:] for span in part[9:]] == whole.offsets


def test_one_tokenizer_serves_many_threads(tokenizer: Tokenizer) -> None:
    def ids(i: int) -> list[int]:
        return tokenizer.encode(SENTENCES[i % 10], SENTENCES[i % 7], max_length=20 + i % 5).ids

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ids, range(200))) == [ids(i) for i in range(200)]


def test_added_tokens_have_the_ids_they_say(tmp_path: Path) -> None:
    config = {"added_tokens_decoder": {"500": {"content": "<new>", "special": False}}}
    folder = wordpiece(tmp_path, **config)
    tokenizer = load_tokenizer(folder)
    assert tokenizer.encode("a <new> b", add_special_tokens=False).ids[1] == 500
    assert tokenizer.decode([500]) == "<new>"
    write(folder, {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": {"900": {"content": "<new>"}}}, {})
    with pytest.raises(ValueError, match="added token '<new>' has id 900; in this vocabulary it gets 500"):
        load_tokenizer(folder)


def test_debertas_folders_as_they_are_published(tmp_path: Path) -> None:
    """They have `spm.model`, in which [MASK] is missing, and name no class."""
    named = load_tokenizer(deberta(tmp_path))
    write(tmp_path, {"do_lower_case": False, "vocab_type": "spm"}, {"config.json": {"model_type": "deberta-v2"}})
    tokenizer = load_tokenizer(tmp_path)
    names = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    ids = [tokenizer.token_id(name) for name in names]
    assert ids == [0, 1, 2, 3, tokenizer.vocab_size - 1]
    for text in (*SENTENCES, "one [MASK] two"):
        encoding = tokenizer.encode(text, text)
        assert encoding.ids == named.encode(text, text).ids
        assert (encoding.ids[0], encoding.ids.count(2), set(encoding.type_ids)) == (1, 2, {0, 1})
    assert tokenizer.encode("one [MASK] two").ids.count(ids[4]) == 1
    assert tokenizer.max_length is None
    assert tokenizer.encode("THE SHIP").ids != tokenizer.encode("the ship").ids
    lower = load_tokenizer(write(tmp_path, {"do_lower_case": True}, {}))
    assert lower.encode("THE SHIP").ids == lower.encode("the ship").ids
