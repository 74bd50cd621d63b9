"""Ids, pairs, windows, offsets and decoded text are those of Hugging Face's tokenizers, for every kind of folder."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path
from typing import Any

import pytest

transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")
pytest.importorskip("google.protobuf")

from fastseq.text import Tokenizer, load_tokenizer  # noqa: E402
from tokenizer_folders import KINDS, ODD, SENTENCES, deberta, piece_model, write  # noqa: E402

TEXTS = SENTENCES + ODD
# transformers 5 builds mBART's and DeBERTa's tokenizers without the normalisation that their SentencePiece models hold,
# so on text that this normalisation changes, SentencePiece itself is the truth (`test_ids_are_sentencepieces`).
UNNORMALISED = {"mbart", "deberta nfkc"}
FAST_PAIRS = ["t5", "xlm-roberta", "albert", "bert uncased", "bert cased", "mpnet", "roberta", "bart", "gpt2", "nllb"]
FAST_PAIRS += ["deberta", "deberta lower"]
SEGMENTS = ["albert", "bert uncased", "bert cased", "deberta", "deberta lower"]  # the models that read type ids


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizers")


def both(kind: str, folders: Path) -> tuple[Any, Tokenizer]:
    folder = folders / kind.replace(" ", "-")
    if not folder.is_dir():
        KINDS[kind](folder)
    return theirs(folder), load_tokenizer(folder)


def theirs(folder: Path) -> Any:
    name = json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"]
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it recommends packages
        return getattr(transformers, name).from_pretrained(folder)


def same_text(kind: str, texts: list[str]) -> list[str]:
    """Leave out what the kind's normalisation changes, where transformers does not apply it."""
    if kind not in UNNORMALISED:
        return texts
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=piece_model("unigram"))

    def words(text: str) -> list[str]:
        return list(filter(None, text.split(" ")))

    return [text for text in texts if words(processor.normalize(text).replace("\u2581", " ")) == words(text)]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_text(kind: str, folders: Path) -> None:
    hf, tokenizer = both(kind, folders)
    texts = same_text(kind, TEXTS)
    assert len(texts) > 15
    for text in texts:
        expected = hf(text)["input_ids"]
        assert tokenizer.encode(text).ids == expected, text
        assert tokenizer.encode(text, add_special_tokens=False).ids == hf(text, add_special_tokens=False)["input_ids"]
        ids = [i % 280 for i in expected] if kind == "marian separate" else expected
        for skip in (True, False):
            assert tokenizer.decode(ids, skip) == hf.decode(ids, skip_special_tokens=skip), text


@pytest.mark.parametrize("kind", KINDS)
def test_any_ids_decode_alike(kind: str, folders: Path) -> None:
    hf, tokenizer = both(kind, folders)
    generator = random.Random(kind)
    for _ in range(40):
        ids = [generator.randrange(280 if kind == "marian separate" else len(hf)) for _ in range(12)]
        if kind == "pegasus":  # transformers 5 exchanges <mask_1> and <mask_2>, which pre-training used
            ids = [i for i in ids if i not in (2, 3)]
        assert tokenizer.decode(ids, False) == hf.decode(ids)
        assert tokenizer.decode(ids, True) == hf.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_in_the_text(kind: str, folders: Path) -> None:
    hf, tokenizer = both(kind, folders)
    names = ["eos_token", "pad_token", "sep_token", "unk_token"]
    if kind not in ("roberta", "bart", "pegasus"):  # version 5 forgot that <mask> swallows a space, and which is which
        names.append("mask_token")
    for token in {getattr(hf, name, None) for name in names} - {None}:
        for text in (f"one {token} two", f"{token}two", f"one{token}", f" {token} {token}  "):
            assert tokenizer.encode(text).ids == hf(text)["input_ids"], text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [4, 9, 16])
def test_truncation(kind: str, length: int, folders: Path) -> None:
    hf, tokenizer = both(kind, folders)
    for text in [*SENTENCES[:4], "", "a"]:
        expected = hf(text, truncation=True, max_length=length)["input_ids"]
        encoding = tokenizer.encode(text, max_length=length)
        assert encoding.ids == expected
        assert encoding.truncated == (len(tokenizer.encode(text)) > length)


@pytest.mark.parametrize("kind", FAST_PAIRS)
def test_pairs(kind: str, folders: Path) -> None:
    hf, tokenizer = both(kind, folders)
    for first, second in [*zip(TEXTS, [text for text in TEXTS[1:] if text], strict=False)]:
        expected = hf(first, second, return_token_type_ids=True, return_offsets_mapping=True)
        encoding = tokenizer.encode(first, second, details=True)
        assert encoding.ids == expected["input_ids"]
        assert encoding.type_ids == expected["token_type_ids"] or kind not in SEGMENTS
        assert encoding.offsets == expected["offset_mapping"]
        assert encoding.words == expected.word_ids()
        assert encoding.sequences == expected.sequence_ids()
        for strategy in ("longest_first", "only_second"):
            cut = hf(first, second, truncation=strategy, max_length=210)["input_ids"]
            if len(tokenizer.encode(first)) < 190:
                assert tokenizer.encode(first, second, max_length=210, truncation=strategy).ids == cut


@pytest.mark.parametrize("kind", FAST_PAIRS)
@pytest.mark.parametrize(("length", "stride"), [(40, 0), (40, 7), (64, 20)])
def test_windows(kind: str, length: int, stride: int, folders: Path) -> None:
    hf, tokenizer = both(kind, folders)
    question, context = "Who left?", " ".join(SENTENCES)
    settings = {"max_length": length, "stride": stride, "return_overflowing_tokens": True}
    settings |= {"return_offsets_mapping": True, "return_token_type_ids": True}
    for texts, strategy in (((question, context), "only_second"), ((context,), True)):
        expected = hf(*texts, truncation=strategy, **settings)
        found = tokenizer.encode_windows(*texts, max_length=length, stride=stride)
        assert [window.ids for window in found] == expected["input_ids"]
        assert [window.type_ids for window in found] == expected["token_type_ids"] or kind not in SEGMENTS
        # At the edge of a window it may count a space to the token or leave it out.
        for window, spans in zip(found, expected["offset_mapping"], strict=True):
            for sequence, ours, other in zip(window.sequences, window.offsets or [], spans, strict=True):
                text = texts[sequence or 0]
                assert text[slice(*ours)].strip() == text[slice(*other)].strip()
                assert abs(ours[0] - other[0]) + abs(ours[1] - other[1]) <= 2


@pytest.mark.parametrize("kind", ["mbart", "mbart50", "nllb", "m2m100"])
def test_languages(kind: str, folders: Path) -> None:
    hf, tokenizer = both(kind, folders)
    for language in (tokenizer.languages[0], tokenizer.languages[7], tokenizer.languages[-1]):
        hf.src_lang = language
        assert tokenizer.encode("The ship", src_lang=language).ids == hf("The ship")["input_ids"]
        inputs = hf._build_translation_inputs("The ship", src_lang=language, tgt_lang=language, return_tensors=None)
        assert tokenizer.language_id(language) == inputs["forced_bos_token_id"]


def test_a_target_language_of_marian(folders: Path) -> None:
    hf, tokenizer = both("marian multilingual", folders)
    assert tokenizer.languages == ["deu", "fra"]
    text = tokenizer.target_text("The ship", "fra")
    assert tokenizer.encode(text).ids == hf(">>fra<< The ship")["input_ids"]
    assert tokenizer.encode(text).ids[0] == tokenizer.language_id("fra")
    assert tokenizer.target_text(">>deu<< The ship", "fra") == ">>deu<< The ship"  # the text says it itself


@pytest.mark.parametrize(
    "kind", ["t5", "pegasus", "mbart50", "nllb", "xlm-roberta", "deberta", "bert uncased", "roberta", "gpt2"]
)
def test_folders_saved_by_transformers(kind: str, folders: Path, tmp_path: Path) -> None:
    """These have a `tokenizer.json`, and it is what is read."""
    hf, _ = both(kind, folders)
    hf.save_pretrained(tmp_path)
    assert (tmp_path / "tokenizer.json").is_file()
    hf, tokenizer = theirs(tmp_path), load_tokenizer(tmp_path)
    for text in TEXTS:
        expected = hf(text)["input_ids"]
        assert tokenizer.encode(text).ids == expected
        assert tokenizer.decode(expected, True) == hf.decode(expected, skip_special_tokens=True)


@pytest.mark.parametrize(
    ("kind", "model"), [("mbart", "unigram"), ("mbart50", "unigram"), ("xlm-roberta", "unigram"), ("nllb", "bpe")]
)
def test_ids_are_sentencepieces(kind: str, model: str, folders: Path) -> None:
    import sentencepiece

    _, tokenizer = both(kind, folders)
    processor = sentencepiece.SentencePieceProcessor(model_proto=piece_model(model))
    for text in (text.strip() for text in TEXTS if "\u2581" not in text):
        expected = [i + 1 if i > 2 else 3 for i in processor.encode(text)]  # unknown is 0 there, 3 here
        assert tokenizer.encode(text, add_special_tokens=False).ids == expected, text


@pytest.mark.parametrize("lower", [False, True])
def test_ids_are_sentencepieces_where_no_id_moves(lower: bool, tmp_path: Path) -> None:
    import sentencepiece

    tokenizer = load_tokenizer(deberta(tmp_path, "nmt_nfkc", do_lower_case=lower))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spm.model"))
    for text in (text.strip() for text in TEXTS if "\u2581" not in text):
        expected = processor.encode(text.lower() if lower else text)
        assert tokenizer.encode(text, add_special_tokens=False).ids == expected, text


def test_settings_have_the_last_word_over_tokenizer_json(folders: Path, tmp_path: Path) -> None:
    hf, _ = both("bert uncased", folders)
    hf.save_pretrained(tmp_path)
    write(tmp_path, {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": False}, {})
    hf, tokenizer = theirs(tmp_path), load_tokenizer(tmp_path)
    assert tokenizer.encode("The Größe").ids == hf("The Größe")["input_ids"] != tokenizer.encode("the grosse").ids
