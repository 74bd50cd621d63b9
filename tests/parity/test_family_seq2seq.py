"""Encoder-decoder families against transformers: encoder output, logits, greedy and beam search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from tiny_models import BACKENDS

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import torch  # noqa: E402
from torch_families import (  # noqa: E402
    assert_close,
    assert_generates_the_same,
    assert_varied,
    batches,
    ends_for,
    padded,
    randomise,
    save,
)

BART_LIKE: dict[str, Any] = {
    "vocab_size": 83,
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 36,
    "max_position_embeddings": 40,
    "forced_eos_token_id": None,
}
MARIAN = BART_LIKE | {"pad_token_id": 82, "eos_token_id": 0, "decoder_start_token_id": 82}
FSMT = {name: value for name, value in BART_LIKE.items() if name != "vocab_size"}
FSMT |= {"src_vocab_size": 83, "tgt_vocab_size": 81, "langs": ["en", "de"]}
T5: dict[str, Any] = {
    "vocab_size": 83,
    "d_model": 24,
    "d_kv": 7,
    "d_ff": 40,
    "num_layers": 2,
    "num_heads": 3,
    "decoder_start_token_id": 0,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "marian": ("Marian", MARIAN | {"activation_function": "swish", "scale_embedding": True}),
    "marian-separate": (
        "Marian",
        MARIAN
        | {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 83, "encoder_layers": 1}
        | {"activation_function": "relu", "tie_word_embeddings": False},
    ),
    "bart": ("Bart", BART_LIKE | {"scale_embedding": True}),
    "mbart": ("MBart", BART_LIKE | {"activation_function": "relu", "scale_embedding": True}),
    "m2m_100": ("M2M100", BART_LIKE | {"scale_embedding": True, "d_model": 36}),
    "pegasus": ("Pegasus", BART_LIKE | {"scale_embedding": True, "activation_function": "gelu_new"}),
    "blenderbot": ("Blenderbot", BART_LIKE | {"scale_embedding": True, "decoder_start_token_id": 1}),
    "blenderbot-small": ("BlenderbotSmall", BART_LIKE | {"scale_embedding": True, "decoder_start_token_id": 1}),
    "fsmt": ("FSMT", FSMT),
    "t5": ("T5", T5 | {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 12}),
    "t5-v1.1": ("T5", T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_decoder_layers": 1}),
    "mt5": ("MT5", T5 | {"feed_forward_proj": "gated-silu", "d_kv": 8}),
    "umt5": ("UMT5", T5 | {"relative_attention_num_buckets": 6, "relative_attention_max_distance": 5}),
}
LENGTHS = [7, 1, 19, 4, 12, 5, 9, 2, 30, 6]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    name, values = CASES[request.param]
    config = getattr(transformers, f"{name}Config")(**values)
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForConditionalGeneration" if name != "Marian" else "MarianMTModel")(config)
    randomise(model, seed=2)
    return model, save(model, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("backend", BACKENDS)
def test_encoder_and_logits(case: tuple[Any, Path], backend: str) -> None:
    hf, folder = case
    model = fastseq.load_model(folder, backend=backend)
    assert model.model_type == hf.config.model_type
    assert model.task == "text2text-generation"
    assert model.folder == folder
    assert model.vocab_size == hf.config.vocab_size
    rows, targets = batches(80, LENGTHS, 1), batches(80, [3, 9, 1, 17, 5, 2, 12, 1, 8, 4], 2)
    ids, mask = padded(rows, hf.config.pad_token_id)
    with torch.no_grad():
        memory = hf.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        read = padded(targets, 3)[0]
        # With a cache FSMT takes all that it reads for one new token's past.
        logits = hf(input_ids=ids, attention_mask=mask, decoder_input_ids=read, use_cache=False).logits
    for b, (encoded, scores) in enumerate(zip(model.encode(rows), model.decode(rows, targets), strict=True)):
        assert_close(encoded, memory[b, : len(rows[b])])
        assert_close(scores, logits[b, : len(targets[b])])


def test_greedy_and_beams(case: tuple[Any, Path]) -> None:
    hf, folder = case
    assert_generates_the_same(hf, folder, batches(80, LENGTHS, 3), max_length=14, eos_token_id=ends_for(folder))


def test_generation_is_varied(case: tuple[Any, Path]) -> None:
    assert_varied(case[1], max_length=14)


def test_a_sentence_gives_the_same_bits_in_any_batch(case: tuple[Any, Path]) -> None:
    model = fastseq.load_model(case[1], backend="native")
    rows = batches(80, [int(n) for n in np.random.default_rng(2).integers(0, 30, 40)], 5)
    options: dict[str, Any] = {"num_beams": 3, "num_return_sequences": 3, "max_length": 12}
    together, memory = model.generate(rows, **options), model.encode(rows)
    threads = fastseq.get_num_threads()
    try:
        for count in (1, 2):
            fastseq.set_num_threads(count)
            assert model.generate(rows[::-1], **options)[::-1] == together
            for b in range(0, len(rows), 7):
                assert model.generate([rows[b]], **options) == [together[b]]
                np.testing.assert_array_equal(model.encode([rows[b]])[0], memory[b], strict=True)
    finally:
        fastseq.set_num_threads(threads)
