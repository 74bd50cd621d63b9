"""Translation, summaries and generation: the text that tokenizer and generate of transformers give."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")
pytest.importorskip("google.protobuf")

import torch_pipeline_models as models  # noqa: E402

import fastseq  # noqa: E402
from tokenizer_folders import SENTENCES  # noqa: E402

TEXTS = SENTENCES[:3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    made: dict[Any, Path] = {}

    def make(build: Callable[..., Path], *arguments: Any) -> Path:
        key = (build, *arguments)
        if key not in made:
            made[key] = build(tmp_path_factory.mktemp(build.__name__), *arguments)
        return made[key]

    return make


def generated(path: Path, text: str, src_lang: str | None = None, **options: Any) -> list[str]:
    """What transformers makes of a text."""
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path).eval()
    if src_lang is not None:
        tokenizer.src_lang = src_lang
    output = model.generate(**tokenizer(text, return_tensors="pt"), **options)
    return [str(tokenizer.decode(row, skip_special_tokens=True)) for row in output]


def test_translation(folder: Callable[..., Path]) -> None:
    path = folder(models.marian_model)
    translate = fastseq.pipeline("translation", path, max_length=12)
    for options in ({"num_beams": 1}, {"num_beams": 3}):
        expected = [{"translation_text": generated(path, text, max_length=12, **options)[0]} for text in TEXTS]
        assert translate(TEXTS, **options) == expected
        assert translate(TEXTS[0], **options) == expected[:1]
        assert list(translate(iter(TEXTS), **options)) == [[result] for result in expected]
        assert translate(TEXTS, batch_size=1, **options) == expected


def test_several_results_of_a_text(folder: Callable[..., Path]) -> None:
    path = folder(models.marian_model)
    translate = fastseq.pipeline("translation_en_to_de", path)
    options = {"num_beams": 3, "num_return_sequences": 3, "max_length": 8}
    results = translate(TEXTS[:2], return_scores=True, **options)
    for text, found in zip(TEXTS, results, strict=False):
        assert [result["translation_text"] for result in found] == generated(path, text, **options)
        assert sorted((result["score"] for result in found), reverse=True) == [result["score"] for result in found]
    [ids] = translate(TEXTS[0], return_tensors=True, max_length=8)
    assert translate.tokenizer.decode(ids["translation_token_ids"]) == generated(path, TEXTS[0], max_length=8)[0]


def test_the_target_language_in_the_text(folder: Callable[..., Path]) -> None:
    path = folder(models.marian_model, ("deu", "fra"))
    translate = fastseq.pipeline("translation", path, max_length=10)
    expected = generated(path, f">>fra<< {TEXTS[0]}", max_length=10)
    assert [result["translation_text"] for result in translate(TEXTS[0], tgt_lang="fra")] == expected
    with pytest.raises(ValueError, match="language 'nld' is unknown to this tokenizer; it has deu, fra"):
        translate(TEXTS[0], tgt_lang="nld")


def test_text2text_and_the_prefix_of_a_task(folder: Callable[..., Path]) -> None:
    path = folder(models.t5_model)
    assert [r["generated_text"] for r in fastseq.pipeline("text2text-generation", path)(TEXTS, max_length=9)] == [
        generated(path, text, max_length=9)[0] for text in TEXTS
    ]
    summary = generated(path, f"summarize: {TEXTS[0]}", max_length=12, num_beams=2)
    assert fastseq.pipeline("summarization", path)(TEXTS[0]) == [{"summary_text": summary[0]}]
    german = generated(path, f"translate English to German: {TEXTS[0]}", max_length=7)
    translate = fastseq.pipeline("translation_en_to_de", path)
    assert translate(TEXTS[0], max_length=7) == [{"translation_text": german[0]}]
    plain = generated(path, TEXTS[0], max_length=10)
    assert translate(TEXTS[0], prefix="") == [{"translation_text": plain[0]}]


@pytest.mark.filterwarnings("ignore:Unfeasible length constraints")
def test_a_minimum_of_the_task_gives_way_to_a_maximum_of_the_call(folder: Callable[..., Path], tmp_path: Path) -> None:
    path = shutil.copytree(folder(models.t5_model), tmp_path / "model")
    config = json.loads((path / "config.json").read_text())
    config["task_specific_params"]["summarization"] |= {"min_length": 11}
    (path / "config.json").write_text(json.dumps(config))
    expected = generated(path, f"summarize: {TEXTS[0]}", max_length=6, min_length=6, num_beams=2)
    assert fastseq.pipeline("summarization", path)(TEXTS[0], max_length=6) == [{"summary_text": expected[0]}]


def test_what_is_too_long_is_cut_off_with_a_warning(folder: Callable[..., Path]) -> None:
    path = folder(models.marian_model)
    translate = fastseq.pipeline("translation", path, max_length=6)
    text = " ".join(SENTENCES[:3])
    with pytest.warns(UserWarning, match="translation: input 1 is longer than 64 tokens; the rest is left out"):
        results = translate(["short", text])
    ids = translate.tokenizer.encode(text, max_length=64).ids
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path).eval()
    output = model.generate(torch.tensor([ids]), max_length=6)[0]
    assert results[1]["translation_text"] == translate.tokenizer.decode(output.tolist())


def test_a_model_of_many_languages(folder: Callable[..., Path]) -> None:
    path = folder(models.m2m100_model)
    translate = fastseq.pipeline("translation", path, max_length=9)
    token = translate.tokenizer.language_id("de")
    for source in ("fr", "en"):
        expected = generated(path, TEXTS[0], src_lang=source, forced_bos_token_id=token, max_length=9)
        assert [r["translation_text"] for r in translate(TEXTS[0], src_lang=source, tgt_lang="de")] == expected
    named = fastseq.pipeline("translation_en_to_de", path, max_length=9)
    assert [result["translation_text"] for result in named(TEXTS[0])] == expected
    with pytest.raises(ValueError, match="a model of many languages needs tgt_lang; expected one of af, am, ar"):
        translate(TEXTS[0])


def test_text_generation(folder: Callable[..., Path]) -> None:
    path = folder(models.gpt2)
    transformers.logging.set_verbosity_error()
    ours, hf = fastseq.pipeline("text-generation", path), transformers.pipeline("text-generation", model=str(path))
    options = {"max_new_tokens": 6, "do_sample": False}
    plain = {"max_new_tokens": 6}
    for inputs in (TEXTS[0], TEXTS):
        assert ours(inputs, **plain) == hf(inputs, **options)
    assert ours(TEXTS[0], return_full_text=False, **plain) == hf(TEXTS[0], return_full_text=False, **options)
    assert ours(TEXTS[0], num_beams=2, **plain) == hf(TEXTS[0], num_beams=2, **options)
    with pytest.warns(UserWarning, match="96 positions; only the last 90 are read"):
        long = ours(" ".join(SENTENCES), **plain)
    assert long[0]["generated_text"].startswith(" ".join(SENTENCES))
