"""Encoder-decoders made of two of BERT's descendants, against transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from conftest import needs_native
from tiny_models import BACKENDS

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import torch  # noqa: E402
from test_family_seq2seq import (  # noqa: E402, F401
    test_a_sentence_gives_the_same_bits_in_any_batch,
    test_encoder_and_logits,
    test_greedy_and_beams,
)
from test_saved_families import assert_saved_is_the_same  # noqa: E402
from torch_encoder_decoder import CASES, make  # noqa: E402
from torch_families import assert_answers, assert_close, assert_varied, batches, padded, save, their_answers  # noqa: E402


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """What the tests of encoder-decoders above are about here."""
    model = make(request.param)
    return model, save(model, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("name", ["roberta2roberta", "bert-generation"])
def test_generation_is_varied(name: str, tmp_path: Path) -> None:
    """The head of a random BERT writes one token most of the time: there the logits of random targets have to do."""
    assert_varied(save(make(name), tmp_path), max_length=14)


@needs_native
@pytest.mark.parametrize("name", ["bert2bert", "wide-to-narrow"])
def test_saved_as_it_computes_it_is_the_same(name: str, tmp_path: Path) -> None:
    assert_saved_is_the_same(save(make(name), tmp_path / "hf"), tmp_path)


@pytest.mark.parametrize("backend", BACKENDS)
def test_encoder_and_decoder_have_limits_of_their_own(backend: str, tmp_path: Path) -> None:
    model = fastseq.load_model(save(make("wide-to-narrow"), tmp_path), backend=backend)
    assert (model.config.source_position_limit, model.config.position_limit) == (38, 22)
    rows = batches(80, [38], 1)
    assert len(model.generate(rows, max_length=23, eos_token_id=[])[0].tokens) == 22
    ensemble = fastseq.Ensemble([model, model])
    assert ensemble.generate(rows, max_length=23)[0].tokens == model.generate(rows, max_length=23)[0].tokens
    with pytest.raises(ValueError, match=r"input_ids\[0\] has 39 tokens.* 38"):
        model.encode(batches(80, [39], 1))
    with pytest.raises(ValueError, match=r"target_ids\[0\] has 23 tokens.* 22"):
        model.decode(rows, batches(80, [23], 1))
    with pytest.raises(ValueError, match="max_length is 24; expected at most 23"):
        model.generate(rows, max_length=24)


OUTER = {"num_beams": 3, "max_length": 9, "decoder_start_token_id": None, "eos_token_id": None}
INNER = {"eos_token_id": [3, 7], "bos_token_id": 5, "num_beams": 2, "no_repeat_ngram_size": 2, "length_penalty": 2.0}


def test_for_generation_the_decoder_says_what_the_whole_does_not(tmp_path: Path) -> None:
    """As folders were before `generation_config.json`; the start is the first of four places that says it."""
    save(make("bert2bert"), tmp_path)
    (tmp_path / "generation_config.json").unlink()
    values = json.loads((tmp_path / "config.json").read_text())
    rows = batches(80, [7, 1, 19, 4], 3)
    for start, outer in ((5, OUTER), (6, OUTER | {"bos_token_id": 6})):
        whole = values | outer | {"decoder": values["decoder"] | INNER}
        (tmp_path / "config.json").write_text(json.dumps(whole))
        hf = transformers.EncoderDecoderModel.from_pretrained(tmp_path).eval()
        ids, mask = padded(rows, 1)
        expected = their_answers(hf, {3, 7}, input_ids=ids, attention_mask=mask)
        for backend in BACKENDS:
            model = fastseq.load_model(tmp_path, backend=backend)
            assert model.config.bos_token_id == start
            assert_answers(model.generate(rows), expected, backend)


def test_ids_that_only_the_file_about_generation_has(tmp_path: Path) -> None:
    save(make("bert2bert", decoder_start_token_id=None, eos_token_id=None), tmp_path)
    (tmp_path / "generation_config.json").write_text('{"decoder_start_token_id": 4, "eos_token_id": [9, 3]}')
    config = fastseq.load_model(tmp_path).config
    assert (config.bos_token_id, config.eos_token_id) == (4, 9)


@pytest.mark.parametrize("name", ["bert2bert", "roberta2roberta", "bert-generation"])
def test_both_names_of_tied_weights_may_be_stored(name: str, tmp_path: Path) -> None:
    """As transformers reads them: equal numbers are one weight, others are two, and the bias is that of the layer."""
    hf = make(name)
    head = "decoder.cls.predictions" if name == "bert2bert" else "decoder.lm_head"
    tensors = {key: tensor.clone() for key, tensor in hf.state_dict().items()}
    assert {f"{head}.bias", f"{head}.decoder.bias", f"{head}.decoder.weight"} <= tensors.keys()
    hf.config.save_pretrained(tmp_path)
    rows, targets = batches(80, [7, 1, 19], 1), batches(80, [3, 9, 1], 2)
    ids, mask = padded(rows, 1)
    for changes in ({}, {f"{head}.bias": 1.0}, {f"{head}.decoder.weight": 0.5}):
        torch.save(
            {key: tensor + changes.get(key, 0.0) for key, tensor in tensors.items()}, tmp_path / "pytorch_model.bin"
        )
        theirs = transformers.EncoderDecoderModel.from_pretrained(tmp_path).eval()
        with torch.no_grad():
            logits = theirs(input_ids=ids, attention_mask=mask, decoder_input_ids=padded(targets, 3)[0]).logits
        model = fastseq.load_model(tmp_path)
        assert model.config.tie_output == (name != "roberta2roberta" and f"{head}.decoder.weight" not in changes)
        for found, expected, target in zip(model.decode(rows, targets), logits, targets, strict=True):
            assert_close(np.delete(found, 1, 1), np.delete(expected[: len(target)].numpy(), 1, 1))
