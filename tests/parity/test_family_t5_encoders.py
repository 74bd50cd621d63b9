"""Encoder halves of T5, mT5 and umT5 against transformers, and as sentence-transformers publishes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from fastseq.text import load_tokenizer
from fastseq.weights import write_safetensors
from tiny_models import BACKENDS
from tokenizer_folders import SENTENCES, t5

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import torch  # noqa: E402
from test_family_seq2seq import T5  # noqa: E402
from torch_families import assert_close, batches, padded, randomise, save  # noqa: E402

NEAR = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 5}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "t5": ("T5", T5),
    "t5-v1.1": ("T5", T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_decoder_layers": 1}),
    # Too near for the buckets of a decoder, which has none.
    "t5-near": ("T5", T5 | {"relative_attention_num_buckets": 32, "relative_attention_max_distance": 9}),
    "mt5": ("MT5", T5 | {"feed_forward_proj": "gated-silu", "d_kv": 8}),
    "umt5": ("UMT5", T5 | NEAR | {"num_layers": 3}),
}
# Beyond the largest distance, in a batch with the shortest.
ROWS = batches(80, [9, 1, 150, 4, 31], 1)


def make(case: str, suffix: str = "EncoderModel") -> Any:
    name, values = CASES[case]
    torch.manual_seed(0)
    return randomise(getattr(transformers, name + suffix)(getattr(transformers, f"{name}Config")(**values)), seed=5)


def hidden_states(hf: Any) -> list[Any]:
    ids, mask = padded(ROWS, 0)
    with torch.no_grad():
        hidden = hf(input_ids=ids, attention_mask=mask).last_hidden_state
    return [states[: len(row)] for states, row in zip(hidden, ROWS, strict=True)]


def assert_same_states(hf: Any, folder: Path, backends: Any = ("native",)) -> None:
    for backend in backends:
        for encoded, expected in zip(
            fastseq.load_model(folder, backend=backend).encode(ROWS), hidden_states(hf), strict=True
        ):
            assert_close(encoded, expected)


@pytest.mark.parametrize("case", CASES)
def test_hidden_states(case: str, tmp_path: Path) -> None:
    hf = make(case)
    model = fastseq.load_model(save(hf, tmp_path))
    assert isinstance(model, fastseq.models.EncoderModel)
    assert (model.model_type, model.task, model.vocab_size) == (hf.config.model_type, "feature-extraction", 83)
    assert (model.config.hidden_size, model.config.pad_token_id, model.config.max_positions) == (24, 0, 0)
    assert_same_states(hf, tmp_path, BACKENDS)
    with pytest.raises(ValueError, match="no head"):
        model.logits(ROWS)


@pytest.mark.parametrize("case", ["t5", "mt5", "umt5"])
def test_the_encoder_of_a_whole_model(case: str, tmp_path: Path) -> None:
    """With one embedding under either name, copies of it, or two: then the encoder reads its own."""
    whole = make(case, "ForConditionalGeneration")
    whole.config.architectures = [f"{CASES[case][0]}EncoderModel"]
    whole.config.save_pretrained(tmp_path)
    shared, own = "shared.weight", "encoder.embed_tokens.weight"
    tensors = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    for changes in ({}, {shared: None}, {own: None}, {own: tensors[own] + 1}):
        given = {name: tensor for name, tensor in (tensors | changes).items() if tensor is not None}
        torch.save(given, tmp_path / "pytorch_model.bin")
        hf = getattr(transformers, whole.config.architectures[0]).from_pretrained(tmp_path).eval()
        assert_same_states(hf, tmp_path)


@pytest.mark.parametrize("case", ["t5", "umt5"])
def test_precisions(case: str, tmp_path: Path) -> None:
    """Both backends round weights and, for int8, inputs in the same way; what differs is the order of sums.

    A sum that falls on the other side of a boundary of int8 moves by a step, of 127 to the largest of its row.
    """
    save(make(case), tmp_path / "hf")
    for compute_type, tolerance in (("float32", 1e-4), ("bfloat16", 1e-4), ("int8", 2e-2)):
        native, numpy = (fastseq.load_model(tmp_path / "hf", compute_type, backend) for backend in ("native", "numpy"))
        for one, other in zip(native.encode(ROWS), numpy.encode(ROWS), strict=True):
            assert_close(one, other, tolerance)
        native.save_pretrained(tmp_path / compute_type)
        saved = fastseq.load_model(tmp_path / compute_type, backend="native")
        assert (saved.config, saved.compute_type) == (native.config, compute_type)
        for one, other in zip(native.encode(ROWS), saved.encode(ROWS), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("case", ["t5", "umt5"])
def test_alone_in_a_batch_and_with_more_threads_the_bits_are_the_same(case: str, tmp_path: Path) -> None:
    model = fastseq.load_model(save(make(case), tmp_path), backend="native")
    rows = batches(80, [int(n) for n in np.random.default_rng(3).integers(1, 40, 30)], 4)
    together = model.encode(rows)
    threads = fastseq.get_num_threads()
    try:
        for count in (1, 2):
            fastseq.set_num_threads(count)
            for alone, expected in zip(model.encode(rows[::-1]), together[::-1], strict=True):
                np.testing.assert_array_equal(alone, expected, strict=True)
            np.testing.assert_array_equal(model.encode([rows[7]])[0], together[7], strict=True)
    finally:
        fastseq.set_num_threads(threads)


@pytest.mark.parametrize("head", ["SequenceClassification", "TokenClassification", "QuestionAnswering"])
@pytest.mark.parametrize("case", ["t5", "umt5"])
def test_heads_are_refused_by_the_name_of_the_architecture(case: str, head: str, tmp_path: Path) -> None:
    save(make(case, f"For{head}"), tmp_path)
    message = rf"config\.json: architectures is '{CASES[case][0]}For{head}'; expected one that ends with ForConditional"
    with pytest.raises(ValueError, match=message):
        fastseq.load_model(tmp_path)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    hf = make("umt5")
    hf.config.architectures = ["UMT5EncoderModel"]
    hf.config.save_pretrained(tmp_path)
    bias = "encoder.block.2.layer.0.SelfAttention.relative_attention_bias.weight"
    tensors = {name: tensor.clone() for name, tensor in hf.state_dict().items() if name != bias}
    torch.save(tensors | {"encoder.block.3.layer.0.layer_norm.weight": torch.ones(24)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=rf"tensor {bias} is missing; tensor encoder.block.3.* is not expected"):
        fastseq.load_model(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    for buckets, farthest in ((3, 128), (32, 8)):
        changes = {"relative_attention_num_buckets": buckets, "relative_attention_max_distance": farthest}
        (tmp_path / "config.json").write_text(json.dumps(values | changes))
        with pytest.raises(ValueError, match=f"{buckets} buckets of relative positions do not fit .* of {farthest}"):
            fastseq.load_model(tmp_path)


MODULES = ("Transformer", "1_Pooling", "2_Dense", "3_Normalize")
ACTIVATIONS = {"torch.nn.modules.linear.Identity": torch.nn.Identity(), "torch.nn.modules.activation.Tanh": torch.tanh}


def sentence_folder(folder: Path, name: str, activation: str, weights: str, tokenizer: str) -> tuple[Any, torch.Tensor]:
    """Write a folder as those of sentence-t5 and gtr-t5 are; returns the encoder and the dense layer's weight."""
    t5(folder)
    size = load_tokenizer(folder).vocab_size
    if tokenizer == "tokenizer.json":
        transformers.T5Tokenizer.from_pretrained(folder).save_pretrained(folder)
        (folder / "spiece.model").unlink()
    config = getattr(transformers, f"{name}Config")(**(T5 | NEAR | {"vocab_size": size}))
    hf = save(randomise(getattr(transformers, f"{name}EncoderModel")(config), seed=6).half(), folder)
    hf = getattr(transformers, f"{name}EncoderModel").from_pretrained(folder, dtype=torch.float32).eval()
    entries = []
    for i, path in enumerate(MODULES):
        kind = f"sentence_transformers.models.{path.rpartition('_')[2]}"
        entries.append({"idx": i, "name": str(i), "path": path if i else "", "type": kind})
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 40, "do_lower_case": false}')
    for path in MODULES[1:]:
        (folder / path).mkdir()
    flags = {"cls_token": False, "mean_tokens": True, "max_tokens": False, "mean_sqrt_len_tokens": False}
    pooling: dict[str, Any] = {f"pooling_mode_{flag}": value for flag, value in flags.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 24} | pooling))
    dense = {"in_features": 24, "out_features": 17, "bias": False, "activation_function": activation}
    (folder / "2_Dense" / "config.json").write_text(json.dumps(dense))
    weight = torch.randn(17, 24, generator=torch.Generator().manual_seed(1))
    if weights == "pytorch_model.bin":
        torch.save({"linear.weight": weight}, folder / "2_Dense" / weights)
    else:
        write_safetensors(folder / "2_Dense" / weights, {"linear.weight": weight.numpy()})
    return hf, weight


@pytest.mark.parametrize(
    ("name", "activation", "weights", "tokenizer"),
    [
        ("T5", "torch.nn.modules.linear.Identity", "pytorch_model.bin", "spiece.model"),
        ("T5", "torch.nn.modules.activation.Tanh", "model.safetensors", "tokenizer.json"),
        ("MT5", "torch.nn.modules.linear.Identity", "model.safetensors", "spiece.model"),
        ("UMT5", "torch.nn.modules.linear.Identity", "model.safetensors", "tokenizer.json"),
    ],
)
def test_sentence_vectors(name: str, activation: str, weights: str, tokenizer: str, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    pytest.importorskip("sentencepiece")
    folder = tmp_path / "hf"
    hf, weight = sentence_folder(folder, name, activation, weights, tokenizer)
    texts = [sentence[:30] for sentence in SENTENCES]
    batch = transformers.T5Tokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    assert batch["input_ids"].shape[1] <= 40
    with torch.no_grad():
        hidden = hf(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    mask = batch["attention_mask"][..., None].float()
    pooled = ACTIVATIONS[activation](((hidden * mask).sum(1) / mask.sum(1)) @ weight.T)
    expected = torch.nn.functional.normalize(pooled, dim=1)

    for backend in BACKENDS:
        encoder = fastseq.SentenceEncoder(folder, backend=backend)
        assert (encoder.dimension, encoder.max_seq_length) == (17, 40)
        assert_close(encoder.encode(texts), expected)
    for states, row in zip(
        fastseq.pipeline("feature-extraction", folder)(texts, return_tensors=True), mask, strict=True
    ):
        assert states.shape == (1, int(row.sum()), 24)
    scores = fastseq.pipeline("sentence-similarity", folder)(source_sentence=texts[0], sentences=texts[1:])
    assert_close(np.array(scores, np.float32), expected[1:] @ expected[0])
    with pytest.raises(ValueError, match="is for feature-extraction; expected one for text2text-generation"):
        fastseq.pipeline("text2text-generation", folder)

    encoder = fastseq.SentenceEncoder(folder, backend="native", compute_type="int8")
    encoder.model.save_pretrained(tmp_path / "saved")
    saved = fastseq.SentenceEncoder(tmp_path / "saved", backend="native")
    np.testing.assert_array_equal(saved.encode(texts), encoder.encode(texts), strict=True)
    index = fastseq.SemanticIndex(saved)
    index.add(texts)
    assert [hits[0]["corpus_id"] for hits in index.search(texts, top_k=1)] == list(range(len(texts)))
