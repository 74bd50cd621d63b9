"""Encoder-decoders that label what they read: both backends, the same bits in any company, errors that name a row."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from conftest import needs_native
from fastseq import _backend
from fastseq.models import Seq2SeqClassifier
from fastseq.pipelines.verify import verify
from tiny_models import BACKENDS, classifier_config, random_tensors

ANSWERS: dict[str, Any] = {"task": "question-answering", "id2label": {0: "start", 1: "end"}}
ROTATED: dict[str, Any] = {"decoder_start_token_id": None}
ENDED = [[0, 3, 2], [2], [5, 2, 6, 2, 7, 4], [0, *[3, 4, 5, 6, 7] * 3, 2], [0, 3, 2, 2]]


def model(backend: str = "native", compute_type: str = "float32", **changes: Any) -> Seq2SeqClassifier:
    config = classifier_config(**changes)
    return Seq2SeqClassifier(config, random_tensors(config), backend, compute_type=compute_type)


@needs_native
@pytest.mark.parametrize("changes", [{}, ROTATED, ANSWERS, {"shared_embedding": False}])
@pytest.mark.parametrize("compute_type", ["float32", "bfloat16", "int8"])
def test_both_backends_give_the_same_numbers(changes: dict[str, Any], compute_type: str) -> None:
    native, numpy = (model(backend, compute_type, **changes).logits(ENDED) for backend in BACKENDS)
    # Sums in another order; a number at the edge of two int8 ones may fall to either.
    tolerance = 0.05 if compute_type == "int8" else 1e-4
    for one, other in zip(native, numpy, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)


@needs_native
@pytest.mark.parametrize("changes", [{}, ROTATED, ANSWERS])
@pytest.mark.parametrize("compute_type", ["float32", "bfloat16", "int8"])
def test_alone_in_another_order_and_with_more_threads_the_bits_are_the_same(
    changes: dict[str, Any], compute_type: str
) -> None:
    generator = np.random.default_rng(5)
    rows = [[*generator.integers(0, 8, n).tolist(), 2] for n in generator.integers(0, 20, 50)]
    ours = model("native", compute_type, **changes)
    together = ours.logits(rows)
    threads = fastseq.get_num_threads()
    try:
        for count in (1, 2, 3):
            fastseq.set_num_threads(count)
            for row, expected in list(zip(rows, together, strict=True))[::7]:
                np.testing.assert_array_equal(ours.logits([row])[0], expected, strict=True)
            for logits, expected in zip(ours.logits(rows[::-1]), together[::-1], strict=True):
                np.testing.assert_array_equal(logits, expected, strict=True)
    finally:
        fastseq.set_num_threads(threads)


def test_parts_are_put_together(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    whole = [model(backend, **changes).logits(ENDED) for changes in ({}, ANSWERS)]
    monkeypatch.setattr("fastseq.models.ragged._PART_TOKENS", 4)
    for changes, expected in zip(({}, ANSWERS), whole, strict=True):
        for one, other in zip(model(backend, **changes).logits(ENDED), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_the_last_end_token_is_looked_at_and_what_follows_it_is_read_by_the_encoder_only(backend: str) -> None:
    ours = model(backend)
    first, both, with_more = ours.logits([[0, 3, 2], [0, 3, 2, 2], [0, 3, 2, 5]])
    assert not np.allclose(first, both, atol=1e-3)
    assert not np.allclose(first, with_more, atol=1e-3)
    # Of a padded array the lengths say what is there.
    padded = ours.logits(np.array([[0, 3, 2, 1], [0, 3, 2, 2]]), lengths=[3, 4])
    for one, other in zip(padded, (first, both), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_a_decoder_may_begin_with_the_last_token_that_is_no_padding(backend: str) -> None:
    rotated, plain = model(backend, **ROTATED), model(backend)
    [own], [ends] = rotated.logits([[3, 4, 2, 6]]), rotated.logits([[3, 4, 6, 2]])
    assert not np.allclose(own, plain.logits([[3, 4, 2, 6]])[0], atol=1e-3)
    np.testing.assert_allclose(ends, plain.logits([[3, 4, 6, 2]])[0], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(rotated._decoder_ids(np.int32([3, 2, 5, 1, 1]), np.array([0, 2, 5])), [2, 3, 5, 5, 1])


def test_none_and_nothing_are_fine_for_answers(backend: str) -> None:
    ours = model(backend, **ANSWERS)
    assert [logits.shape for logits in ours.logits([[], [3], []])] == [(0, 2), (1, 2), (0, 2)]
    assert ours.logits([]) == model(backend).logits([]) == []


def test_wrong_input_is_named(backend: str) -> None:
    ours = model(backend)
    with pytest.raises(ValueError, match=r"input_ids\[1\] has no end token, 2"):
        ours.logits([[0, 2], [0, 3, 4], [2]])
    with pytest.raises(ValueError, match=r"input_ids\[0\] has no end token, 2"):
        ours.logits([[], [2]])
    with pytest.raises(ValueError, match=r"input_ids\[1\] has 21 tokens; expected at most 20"):
        ours.logits([[2], [2] * 21])
    with pytest.raises(ValueError, match="decoder_start_token_id is 8; expected one of the 8 tokens"):
        model(backend, decoder_start_token_id=8)
    decoder = dataclasses.replace(classifier_config().decoder, vocab_size=9)
    with pytest.raises(ValueError, match="the decoder has 9 tokens; expected 8, the encoder's"):
        model(backend, decoder=decoder, shared_embedding=False)


@needs_native
def test_the_extension_checks_what_it_is_given() -> None:
    core, native = model()._core, _backend.get("native")
    ids, offsets = np.array([0, 3, 2], np.int32), np.array([0, 3])
    for places in ([0, 3], [1, 0], [1, 1], [-1]):
        with pytest.raises(ValueError, match="places must rise, each below the number of tokens, 3"):
            core.logits(ids, offsets, ids, np.array(places))
    with pytest.raises(ValueError, match="decoder_ids"):
        core.logits(ids, offsets, ids[:2], None)
    with pytest.raises(ValueError, match=r"decoder_ids has id 9; expected ids in \[0, 8\)"):
        core.logits(ids, offsets, np.array([9, 0, 0], np.int32), None)
    config = classifier_config()
    tensors = random_tensors(config)
    for wrong in (config.encoder, dataclasses.replace(config.decoder, ssru=True)):
        options = config.backend_options() | {"decoder": wrong.options()}
        with pytest.raises(ValueError, match="must have self-attention, attend to an encoder"):
            native.TransformerClassifier(options, tensors)


@needs_native
@pytest.mark.parametrize("changes", [{}, ROTATED, ANSWERS])
def test_a_saved_one_is_the_same_and_can_be_verified(changes: dict[str, Any], tmp_path: Path) -> None:
    for compute_type in ("float32", "bfloat16", "int8"):
        ours = model("native", compute_type, **changes)
        ours.save_pretrained(tmp_path / compute_type)
        loaded = fastseq.load_model(tmp_path / compute_type, backend="native")
        assert isinstance(loaded, Seq2SeqClassifier)
        assert (loaded.config, loaded.compute_type, loaded.task) == (ours.config, compute_type, ours.task)
        for one, other in zip(loaded.logits(ENDED), ours.logits(ENDED), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
    stages = verify(tmp_path / "float32")
    assert [stage.name for stage in stages] == ["encoder layer 1", "encoder layer 2", "logits"]
    assert all(stage.passed for stage in stages)
