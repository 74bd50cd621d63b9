"""Configurations that no published model has but transformers saves: the same logits, or an error that says why not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import fastseq
from tiny_models import BACKENDS

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import torch  # noqa: E402
from test_family_encoders import BERT  # noqa: E402
from test_family_gpt2 import GPT2  # noqa: E402
from test_family_seq2seq import BART_LIKE, MARIAN, T5  # noqa: E402
from torch_families import assert_close, batches, padded, randomise, save  # noqa: E402

UNTIED: dict[str, Any] = {"tie_word_embeddings": False}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bart: an embedding for each part": ("Bart", BART_LIKE | UNTIED),
    "marian: an embedding for each part": ("Marian", MARIAN | UNTIED),
    "marian: two vocabularies": (
        "Marian",
        MARIAN | {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 90},
    ),
    "m2m_100: positions behind another padding id": ("M2M100", BART_LIKE | {"pad_token_id": 0, "eos_token_id": 2}),
    "pegasus: no encoder layers": ("Pegasus", BART_LIKE | UNTIED | {"encoder_layers": 0, "pad_token_id": 0}),
    "umt5: no scale, one decoder layer": ("UMT5", T5 | UNTIED | {"num_decoder_layers": 1}),
    "umt5: not gated": ("UMT5", T5 | {"feed_forward_proj": "gelu", "layer_norm_epsilon": 0.01}),
    "t5: another activation than its feed_forward_proj": (
        "T5",
        T5 | {"feed_forward_proj": "gated-gelu", "dense_act_fn": "silu", "is_gated_act": False},
    ),
    "t5: a scale without a tied output": ("T5", T5 | {"feed_forward_proj": "gated-tanh"}),
}


def make(name: str, values: dict[str, Any], seed: int = 3) -> Any:
    torch.manual_seed(0)
    kind = "MarianMTModel" if name == "Marian" else f"{name}ForConditionalGeneration"
    return randomise(getattr(transformers, kind)(getattr(transformers, f"{name}Config")(**values)), seed)


def assert_same_logits(hf: Any, folder: Path, backends: tuple[str, ...] = ("native",)) -> None:
    rows, targets = batches(80, [7, 1, 19], 1), batches(80, [3, 9, 1], 2)
    ids, mask = padded(rows, hf.config.pad_token_id)
    with torch.no_grad():
        logits = hf(input_ids=ids, attention_mask=mask, decoder_input_ids=padded(targets, hf.config.pad_token_id)[0])
    for backend in backends:
        found = fastseq.load_model(folder, backend=backend).decode(rows, targets)
        for scores, expected, target in zip(found, logits.logits, targets, strict=True):
            assert_close(scores, expected[: len(target)])


@pytest.mark.parametrize("case", CASES)
def test_encoder_decoders(case: str, tmp_path: Path) -> None:
    hf = make(*CASES[case])
    assert_same_logits(hf, save(hf, tmp_path), tuple(BACKENDS))


@pytest.mark.parametrize("name", ["Bart", "T5"])
def test_copies_of_tied_weights_are_one_embedding_and_other_numbers_are_not(name: str, tmp_path: Path) -> None:
    hf = make(name, BART_LIKE if name == "Bart" else T5)
    save(hf, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    tensors = {key: tensor.clone() for key, tensor in hf.state_dict().items()}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    config = fastseq.load_model(tmp_path).config
    assert (config.shared_embedding, config.tie_output) == (True, True)
    assert_same_logits(hf, tmp_path)
    tensors["lm_head.weight"] += 1  # what transformers does not tie then, whatever the configuration says
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    assert not fastseq.load_model(tmp_path).config.tie_output
    assert_same_logits(type(hf).from_pretrained(tmp_path), tmp_path)


def test_stored_sinusoids_are_read_as_they_are(tmp_path: Path) -> None:
    hf = make("Marian", MARIAN).to(torch.bfloat16)
    hf.config.save_pretrained(tmp_path)
    torch.save(hf.state_dict(), tmp_path / "pytorch_model.bin")  # with positions, rounded to 8 bits
    assert_same_logits(hf.float(), tmp_path)


REFUSED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "causal": ("Bert", "Model", BERT | {"is_decoder": True}, "is_decoder is True; expected False"),
    "start is padding": (
        "M2M100",
        "ForConditionalGeneration",
        BART_LIKE | {"pad_token_id": 2, "decoder_start_token_id": 2},
        "decoder_start_token_id is pad_token_id, which has no position",
    ),
    "near buckets": (
        "T5",
        "ForConditionalGeneration",
        T5 | {"relative_attention_max_distance": 12},
        "32 buckets of relative positions do not fit a largest distance of 12",
    ),
    "cross-attention": ("GPT2", "LMHeadModel", GPT2 | {"add_cross_attention": True}, "add_cross_attention is True"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_description_cannot_say_is_refused(case: str, tmp_path: Path) -> None:
    name, suffix, values, message = REFUSED[case]
    model = getattr(transformers, name + suffix)(getattr(transformers, f"{name}Config")(**values))
    with pytest.raises(ValueError, match=re.escape(message)):
        fastseq.load_model(save(model, tmp_path))
