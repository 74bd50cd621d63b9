"""DeBERTa v2 and v3 against transformers: every variant of its attention, sequences beyond its distances, the heads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from tiny_models import BACKENDS

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import torch  # noqa: E402
from torch_families import assert_close, batches, padded, randomise, save  # noqa: E402
from transformers.models.deberta_v2 import modeling_deberta_v2 as theirs  # noqa: E402

from fastseq.models.families.positions import deberta_rows  # noqa: E402

SIZES: dict[str, Any] = {
    "vocab_size": 71,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
}
V3: dict[str, Any] = SIZES | {
    "relative_attention": True,
    "position_buckets": 8,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
}
PLAIN: dict[str, Any] = {"position_buckets": -1, "norm_rel_ebd": "none"}
CONVOLUTION = {"conv_kernel_size": 3, "conv_act": "gelu"}
VARIANTS: dict[str, dict[str, Any]] = {
    "v3": V3,
    "keys only": V3 | {"pos_att_type": ["c2p"]},
    "queries only": V3 | {"pos_att_type": ["p2c"]},
    "neither": V3 | {"pos_att_type": None},
    "own projections": V3 | {"share_att_key": False},
    "own projection of keys": V3 | {"share_att_key": False, "pos_att_type": "c2p"},
    "own projection of queries": V3 | {"share_att_key": False, "pos_att_type": "p2c"},
    "no norm": V3 | {"norm_rel_ebd": "none"},
    "no buckets": V3 | PLAIN,
    "near distances": V3 | PLAIN | {"max_relative_positions": 5},
    "far buckets": V3 | {"position_buckets": 6, "max_relative_positions": 90},
    "as many buckets as distances": V3 | {"position_buckets": 16, "max_relative_positions": 16},
    "two buckets": V3 | {"position_buckets": 2},
    "positions": V3 | {"position_biased_input": True},
    "types": V3 | {"type_vocab_size": 2, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5},
    "no relative attention": SIZES
    | {"position_biased_input": True, "pos_att_type": "c2p", "norm_rel_ebd": "layer_norm"},
    "v2": V3 | CONVOLUTION,
    "wide convolution": V3 | {"conv_kernel_size": 5},
    "one head": V3 | {"num_attention_heads": 1},
}
LENGTHS = [9, 1, 31, 4, 17]
LABELS = {0: "bad", 1: "good", 2: "neither"}


def make(values: dict[str, Any], folder: Path, suffix: str = "Model", seed: int = 1) -> Any:
    torch.manual_seed(0)
    labels = {} if suffix in ("Model", "ForQuestionAnswering") else {"id2label": LABELS}
    config = transformers.DebertaV2Config(**(values | labels))
    model = randomise(getattr(transformers, f"DebertaV2{suffix}")(config), seed)
    save(model, folder)
    return model


def outputs(hf: Any, rows: list[list[int]], types: list[list[int]] | None = None) -> Any:
    ids, mask = padded(rows, 0)
    extra = {} if types is None else {"token_type_ids": padded(types, 0)[0]}
    with torch.no_grad():
        return hf(input_ids=ids, attention_mask=mask, output_hidden_states=True, **extra)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants(variant: str, tmp_path: Path) -> None:
    hf = make(VARIANTS[variant], tmp_path)
    rows, types = batches(70, LENGTHS, 1), None
    if hf.config.type_vocab_size:
        types = [[int(i > len(row) // 2) for i in range(len(row))] for row in rows]
    hidden = outputs(hf, rows, types).last_hidden_state
    for backend in BACKENDS:
        model = fastseq.load_model(tmp_path, backend=backend)
        assert (model.task, model.model_type) == ("feature-extraction", "deberta-v2")
        for encoded, expected in zip(model.encode(rows, types), hidden, strict=True):
            assert_close(encoded, expected[: len(encoded)])


@pytest.mark.parametrize("variant", ["v3", "far buckets", "near distances", "v2"])
def test_sequences_longer_than_any_distance_and_than_a_block_of_queries(variant: str, tmp_path: Path) -> None:
    hf = make(VARIANTS[variant], tmp_path)
    rows = batches(70, [300, 129, 41], 2)  # there are 40 positions, but nothing that has them
    hidden = outputs(hf, rows).last_hidden_state
    for backend in BACKENDS:
        for encoded, expected in zip(fastseq.load_model(tmp_path, backend=backend).encode(rows), hidden, strict=True):
            assert_close(encoded, expected[: len(encoded)])


@pytest.mark.parametrize("variant", ["keys only", "queries only", "own projections", "no buckets"])
def test_a_changed_vector_of_a_distance_is_seen(variant: str, tmp_path: Path) -> None:
    """What the comparisons above would say if a distance had another vector: only tokens so far apart feel it."""
    hf = make(VARIANTS[variant], tmp_path)
    rows = batches(70, [4], 1)
    hidden = outputs(hf, rows).last_hidden_state[0].numpy()
    with torch.no_grad():
        middle = len(hf.encoder.rel_embeddings.weight) // 2
        hf.encoder.rel_embeddings.weight[middle + 4] += 1.0  # no two tokens are four apart
        save(hf, tmp_path)
        assert_close(fastseq.load_model(tmp_path, backend="native").encode(rows)[0], hidden)
        hf.encoder.rel_embeddings.weight[middle + 3] *= -1.0
    save(hf, tmp_path)
    for backend in BACKENDS:
        with pytest.raises(AssertionError):
            assert_close(fastseq.load_model(tmp_path, backend=backend).encode(rows)[0], hidden)


@pytest.mark.parametrize("values", [V3, V3 | CONVOLUTION | {"share_att_key": False}])
@pytest.mark.parametrize(
    ("suffix", "task"),
    [
        ("ForMaskedLM", "feature-extraction"),
        ("ForSequenceClassification", "text-classification"),
        ("ForTokenClassification", "token-classification"),
        ("ForQuestionAnswering", "question-answering"),
    ],
)
def test_heads(suffix: str, task: str, values: dict[str, Any], tmp_path: Path) -> None:
    hf = make(values | {"pooler_hidden_act": "tanh"}, tmp_path, suffix)
    rows = batches(70, LENGTHS, 1)
    output = outputs(hf, rows)
    for backend in BACKENDS:
        model = fastseq.load_model(tmp_path, backend=backend)
        assert model.task == task
        for encoded, expected in zip(model.encode(rows), output.hidden_states[-1], strict=True):
            assert_close(encoded, expected[: len(encoded)])
        if task == "feature-extraction":
            continue
        wanted = output.get("logits")
        if task == "question-answering":
            wanted = torch.stack((output.start_logits, output.end_logits), dim=2)
        for row, logits, expected in zip(rows, model.logits(rows), wanted, strict=True):
            assert_close(logits, expected if task == "text-classification" else expected[: len(row)])


def test_masked_language_models_of_both_forms_and_what_pretraining_left(tmp_path: Path) -> None:
    hf = make(V3 | {"legacy": False}, tmp_path, "ForMaskedLM")
    tensors = {name: tensor.clone() for name, tensor in hf.state_dict().items()}
    tensors |= {
        "mask_predictions.dense.weight": torch.zeros(24, 24),
        "lm_predictions.lm_head.dense.bias": torch.zeros(24),
    }
    tensors["deberta.embeddings.position_embeddings.weight"] = torch.zeros(40, 24)
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    rows = batches(70, [7], 1)
    assert_close(fastseq.load_model(tmp_path).encode(rows)[0], outputs(hf, rows).hidden_states[-1][0])


@pytest.mark.parametrize("buckets", [0, 2, 4, 6, 16, 48, 256])
def test_every_distance_has_the_vector_that_transformers_gives_it(buckets: int) -> None:
    for farthest in {max(3, buckets), buckets + 1, 2 * buckets + 3, 300, 512, 513} - {1, 2}:
        if farthest < buckets:
            continue
        span, count = buckets or farthest, 3 * farthest
        nothing = torch.zeros(count, 1)
        stored = theirs.build_relative_position(nothing, nothing, buckets or -1, farthest)[0].numpy()
        rows = np.array(deberta_rows(span, buckets, farthest))
        most = len(rows) // 2
        distance = np.arange(count) - np.arange(count)[:, None]
        ours = 2 * span - 1 - rows[np.clip(distance, -most, most) + most]
        np.testing.assert_array_equal(ours, np.clip(stored + span, 0, 2 * span - 1))


@pytest.mark.parametrize("compute_type", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("variant", ["own projections", "v2"])
def test_narrow_weights(variant: str, compute_type: str, tmp_path: Path) -> None:
    """Both backends narrow alike, the vectors of distances not at all; saved and loaded the bits are the same."""
    make(VARIANTS[variant], tmp_path / "published", "ForTokenClassification")
    rows = batches(70, LENGTHS, 4)
    exact = fastseq.load_model(tmp_path / "published", backend="native").encode(rows)
    models = [fastseq.load_model(tmp_path / "published", compute_type, backend) for backend in BACKENDS]
    reference, native = (model.encode(rows) for model in models)
    for one, other, wanted in zip(reference, native, exact, strict=True):
        # An int8 input that lies between two numbers may be rounded to either.
        assert_close(one, other, 5e-2 if compute_type == "int8" else 1e-4)
        assert_close(one, wanted, {"float32": 1e-4, "bfloat16": 5e-2, "int8": 2e-1}[compute_type])
    models[BACKENDS.index("native")].save_pretrained(tmp_path / "saved")
    for asked in (None, compute_type):
        again = fastseq.load_model(tmp_path / "saved", asked, "native").encode(rows)
        for one, other in zip(again, native, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
    for other_type in {"float32", "int8"} - {compute_type}:  # unpacked, and packed again
        assert len(fastseq.load_model(tmp_path / "saved", other_type, "native").encode(rows)) == len(rows)
    for one, other in zip(fastseq.load_model(tmp_path / "saved", backend="numpy").encode(rows), reference, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("variant", ["v3", "own projection of keys", "v2"])
def test_alone_in_a_batch_and_with_more_threads_the_bits_are_the_same(variant: str, tmp_path: Path) -> None:
    make(VARIANTS[variant], tmp_path, "ForTokenClassification")
    model = fastseq.load_model(tmp_path, backend="native")
    rows = batches(70, [int(n) for n in np.random.default_rng(3).integers(1, 200, 40)], 4)
    together, labels = model.encode(rows), model.logits(rows)
    threads = fastseq.get_num_threads()
    try:
        for count in (1, 2):
            fastseq.set_num_threads(count)
            for b in range(0, len(rows), 9):
                np.testing.assert_array_equal(model.encode([rows[b]])[0], together[b], strict=True)
            for alone, expected in zip(model.logits(rows[::-1]), labels[::-1], strict=True):
                np.testing.assert_array_equal(alone, expected, strict=True)
    finally:
        fastseq.set_num_threads(threads)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"pos_att_type": "c2p|p2p"}, "pos_att_type is 'c2p|p2p'; expected c2p, p2c, both or none"),
    ({"position_buckets": 7}, "position_buckets is 7; expected an even number of at most 40 distances"),
    ({"position_buckets": 80}, "position_buckets is 80; expected an even number of at most 40 distances"),
    ({"position_buckets": -3}, "position_buckets is -3; expected a whole number from 1"),
    ({"max_relative_positions": "far"}, "max_relative_positions is 'far'; expected a whole number from 1"),
    ({"embedding_size": 12}, "embedding_size is 12; expected 24"),
    ({"pooler_hidden_size": 12}, "pooler_hidden_size is 12; expected 24"),
    ({"attention_head_size": 16}, "attention_head_size is 16; expected 8"),
    ({"conv_kernel_size": 2}, "conv_kernel_size is 2; expected an odd number"),
    ({"conv_kernel_size": 3, "conv_groups": 2}, "conv_groups is 2; expected 1"),
    ({"conv_kernel_size": 3, "conv_act": "mish"}, "conv_act is 'mish'; expected one of relu"),
    ({"pooler_hidden_act": "mish"}, "pooler_hidden_act is 'mish'; expected one of relu"),
    ({"type_vocab_size": -1}, "type_vocab_size is -1; expected a whole number from 0"),
    ({"norm_rel_ebd": 1}, "norm_rel_ebd is 1; expected 'layer_norm' or 'none'"),
    ({"share_att_key": "yes"}, "share_att_key is 'yes'; expected true or false"),
    ({"architectures": ["DebertaV2ForMultipleChoice"]}, "architectures is 'DebertaV2ForMultipleChoice'"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_what_is_not_supported_is_named(case: int, tmp_path: Path) -> None:
    changes, message = REFUSED[case]
    make(V3, tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | changes))
    with pytest.raises(ValueError, match=re.escape(message)):
        fastseq.load_model(tmp_path)


def test_missing_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    hf = make(V3 | CONVOLUTION | {"share_att_key": False}, tmp_path, "ForSequenceClassification")
    tensors = {name: tensor.clone() for name, tensor in hf.state_dict().items()}
    del tensors["deberta.encoder.rel_embeddings.weight"], tensors["pooler.dense.bias"]
    own = "deberta.encoder.layer.1.attention.self"
    del tensors[f"{own}.pos_query_proj.weight"]
    tensors[f"{own}.pos_key_proj.bias"] = torch.zeros(23)
    tensors["deberta.encoder.conv.conv.weight"] = torch.zeros(24, 24, 5)
    tensors["deberta.embeddings.position_ids"] = torch.zeros(1, 40, dtype=torch.int64)
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="is missing") as caught:
        fastseq.load_model(tmp_path)
    for part in (
        "tensor encoder.rel_embeddings.weight is missing",
        "tensor encoder.layer.1.attention.self.pos_query_proj.weight is missing",
        f"tensor {own}.pos_key_proj.bias has shape (23,); expected (24,)",
        "tensor deberta.encoder.conv.conv.weight has shape (24, 24, 5); expected (24, 24, 3)",
        "tensor pooler.dense.bias is missing",
    ):
        assert part in str(caught.value)
    assert "position_ids" not in str(caught.value)
