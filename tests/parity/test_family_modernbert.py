"""ModernBERT against transformers: rotary positions, windows of attention, heads, configurations old and new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from fastseq.models.prefix import encoder_prefixes
from tiny_models import BACKENDS

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import torch  # noqa: E402
from torch_families import TASKS, assert_close, batches, padded, randomise, save  # noqa: E402

MODERNBERT: dict[str, Any] = {
    "vocab_size": 71,
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 700,
    "local_attention": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "biases": {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True},
    "attention bias": {"attention_bias": True, "classifier_pooling": "mean"},
    "feed-forward bias": {"mlp_bias": True, "norm_bias": True, "classifier_activation": "relu"},
    "odd window": {"local_attention": 5, "hidden_activation": "silu", "classifier_pooling": "mean", "norm_eps": 1e-3},
    "only itself": {"local_attention": 1, "num_hidden_layers": 2},
    "own order of layers": {"layer_types": ["sliding_attention"] * 3 + ["full_attention"]},
    "windows only": {"layer_types": ["sliding_attention"] * 4, "num_attention_heads": 6},
    "everything everywhere": {"layer_types": ["full_attention"] * 4, "num_attention_heads": 1},
    "bases": {
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 300.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 77.5},
        }
    },
}
LENGTHS = [9, 1, 31, 4, 600, 17]
LABELS = {0: "bad", 1: "good", 2: "neither", 3: "both", 4: "other"}


def make(case: str, suffix: str, folder: Path) -> Any:
    labels = {} if suffix == "ForQuestionAnswering" else {"id2label": LABELS}
    config = transformers.ModernBertConfig(**(MODERNBERT | CASES[case] | labels))
    model = randomise(getattr(transformers, f"ModernBert{suffix}")(config), seed=len(case))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("Wqkv.weight"):  # attention that tells near from far
                parameter.mul_(0.6)
    save(model, folder)
    return model


def expected_outputs(hf: Any, rows: list[list[int]]) -> Any:
    ids, mask = padded(rows, 0)
    with torch.no_grad():
        return hf(input_ids=ids, attention_mask=mask, output_hidden_states=True)


def encoder_output(hf: Any, rows: list[list[int]]) -> list[Any]:
    """Without the head: the hidden states that transformers records are those before the final norm."""
    ids, mask = padded(rows, 0)
    with torch.no_grad():
        hidden = getattr(hf, "model", hf)(input_ids=ids, attention_mask=mask).last_hidden_state
    return [states[: len(row)] for states, row in zip(hidden, rows, strict=True)]


@pytest.mark.parametrize("suffix", TASKS)
@pytest.mark.parametrize("case", CASES)
def test_encoder_and_head(case: str, suffix: str, tmp_path: Path) -> None:
    hf = make(case, suffix, tmp_path)
    rows = batches(70, LENGTHS, 1)
    output, hidden = expected_outputs(hf, rows), encoder_output(hf, rows)
    for backend in BACKENDS:
        model = fastseq.load_model(tmp_path, backend=backend)
        assert (model.task, model.model_type) == (TASKS[suffix], "modernbert")
        for encoded, expected in zip(model.encode(rows), hidden, strict=True):
            assert_close(encoded, expected)
        if TASKS[suffix] == "feature-extraction":
            with pytest.raises(ValueError, match="no head"):
                model.logits(rows)
            continue
        for b, logits in enumerate(model.logits(rows)):
            if suffix == "ForQuestionAnswering":
                expected = torch.stack((output.start_logits[b], output.end_logits[b]), dim=1)[: len(rows[b])]
            else:
                expected = output.logits[b]
                expected = expected if suffix == "ForSequenceClassification" else expected[: len(rows[b])]
            assert_close(logits, expected)


def test_what_a_window_hides_and_positions_matter(tmp_path: Path) -> None:
    """The comparison above would pass for a model that ignored them only if they made no difference here."""
    make("windows only", "Model", tmp_path)
    model = fastseq.load_model(tmp_path)
    row = batches(70, [60], 2)[0]
    changed = [*row[:-1], (row[-1] + 1) % 70]
    one, other = model.encode([row, changed])
    reach = 4 * 4  # layers times the distance that each may bridge
    np.testing.assert_array_equal(one[: 59 - reach], other[: 59 - reach], strict=True)
    assert (one[59 - reach :] != other[59 - reach :]).any(axis=1).all()
    same = model.encode([[5] * 60])[0]
    assert np.abs(same[30] - same[31]).max() < 1e-5  # far from both ends, only distances count
    swapped = model.encode([[*row[:29], row[30], row[29], *row[31:]]])[0]
    assert np.abs(swapped[27] - one[27]).max() > 1e-3


@pytest.mark.parametrize("theirs", ["5.x", "4.x", "4.x without a local base", "nothing said"])
def test_configurations_of_older_and_newer_releases(theirs: str, tmp_path: Path) -> None:
    bases = {"4.x": (900.0, 50.0), "4.x without a local base": (900.0, 900.0)}.get(theirs, (160000.0, 10000.0))
    parameters = {
        kind: {"rope_type": "default", "rope_theta": base}
        for kind, base in zip(("full_attention", "sliding_attention"), bases, strict=True)
    }
    kinds = ["sliding_attention" if i % 2 else "full_attention" for i in range(4)]
    config = transformers.ModernBertConfig(**MODERNBERT, rope_parameters=parameters, layer_types=kinds)
    hf = randomise(transformers.ModernBertModel(config), seed=3)
    save(hf, tmp_path)
    rows = batches(70, LENGTHS, 5)
    if theirs != "5.x":
        path = tmp_path / "config.json"
        values = json.loads(path.read_text())
        del values["rope_parameters"], values["layer_types"]
        values["global_attn_every_n_layers"] = 2
        if theirs != "nothing said":
            values |= {"global_rope_theta": 900.0, "local_rope_theta": 50.0 if theirs == "4.x" else None}
            values["position_embedding_type"] = "absolute"
        path.write_text(json.dumps(values))
    for encoded, expected in zip(fastseq.load_model(tmp_path).encode(rows), encoder_output(hf, rows), strict=True):
        assert_close(encoded, expected)


def test_native_and_reference_agree_after_each_layer(tmp_path: Path) -> None:
    make("biases", "Model", tmp_path)
    rows = batches(70, LENGTHS, 7)
    pairs = list(encoder_prefixes(fastseq.load_model(tmp_path, backend="numpy"), "float32"))
    assert len(pairs) == 4
    for native, reference in pairs:
        for ours, theirs in zip(native.encode(rows), reference.encode(rows), strict=True):
            # Sums of some hundred terms, each side in its own order.
            assert_close(ours, theirs, 1e-5)


@pytest.mark.parametrize("compute_type", ["bfloat16", "int8"])
def test_fewer_bits(compute_type: str, tmp_path: Path) -> None:
    make("biases", "ForSequenceClassification", tmp_path)
    rows = batches(70, LENGTHS, 6)
    exact = fastseq.load_model(tmp_path, backend="native")
    native, numpy = (fastseq.load_model(tmp_path, compute_type, backend=backend) for backend in ("native", "numpy"))
    # 2^-9 a bfloat16 weight, 2^-8 an int8 weight and what it multiplies; a few layers add up.
    for ours, reference, full in zip(native.encode(rows), numpy.encode(rows), exact.encode(rows), strict=True):
        error = np.linalg.norm(ours - full) / np.linalg.norm(full)
        assert 1e-4 < error < (0.03 if compute_type == "bfloat16" else 0.1)
        # In bfloat16 both multiply the same numbers; in int8 a row may be rounded to the other side.
        assert np.linalg.norm(ours - reference) / np.linalg.norm(full) < (1e-5 if compute_type == "bfloat16" else 0.03)
    assert [row.shape for row in native.logits(rows)] == [(5,)] * len(rows)


@pytest.mark.parametrize("suffix", ["ForSequenceClassification", "ForTokenClassification"])
@pytest.mark.parametrize("compute_type", ["float32", "int8"])
def test_alone_in_a_batch_and_with_more_threads_the_bits_are_the_same(
    suffix: str, compute_type: str, tmp_path: Path
) -> None:
    make("attention bias", suffix, tmp_path)
    model = fastseq.load_model(tmp_path, compute_type, backend="native")
    rows = batches(70, [int(n) for n in np.random.default_rng(3).integers(1, 80, 40)] + [650, 300], 4)
    together, outputs = model.encode(rows), model.logits(rows)
    threads = fastseq.get_num_threads()
    try:
        for count in (1, 2, 3):
            fastseq.set_num_threads(count)
            for b in [*range(0, len(rows), 9), len(rows) - 2, len(rows) - 1]:
                np.testing.assert_array_equal(model.encode([rows[b]])[0], together[b], strict=True)
            for alone, expected in zip(model.logits(rows[::-1]), outputs[::-1], strict=True):
                np.testing.assert_array_equal(alone, expected, strict=True)
    finally:
        fastseq.set_num_threads(threads)


def test_a_model_saved_as_it_computes(tmp_path: Path) -> None:
    make("bases", "ForTokenClassification", tmp_path / "published")
    model = fastseq.load_model(tmp_path / "published", "int8", backend="native")
    model.save_pretrained(tmp_path / "packed")
    packed = fastseq.load_model(tmp_path / "packed", backend="native")
    assert packed.config == model.config
    rows = batches(70, [40, 3], 8)
    for one, other in zip(packed.logits(rows), model.logits(rows), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rope_parameters.full_attention": {"rope_type": "yarn", "factor": 2.0}}, "full_attention: rope_type is 'yarn'"),
    (
        {"rope_parameters.sliding_attention": {"rope_theta": -1}},
        "sliding_attention: rope_theta is -1; expected a number",
    ),
    ({"rope_parameters": "default"}, "rope_parameters is 'default'; expected an object"),
    ({"rope_parameters.rope_theta": 5.0}, "rope_parameters: rope_theta is not expected"),
    (
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        "rope_scaling is {'type': 'linear', 'factor': 2.0}; expected",
    ),
    ({"layer_types": ["full_attention"]}, "layer_types is ['full_attention']; expected full_attention or sliding_"),
    ({"layer_types": ["full_attention", "linear_attention", "full_attention", "full_attention"]}, "layer_types is"),
    (
        {"layer_types": None, "global_attn_every_n_layers": 0},
        "global_attn_every_n_layers is 0; expected a whole number",
    ),
    ({"rope_parameters": None, "global_rope_theta": "far"}, "global_rope_theta is 'far'; expected a number above 0"),
    ({"local_attention": 0}, "local_attention is 0; expected a whole number from 1"),
    ({"num_attention_heads": 8}, "8 heads of a hidden size of 24 are 3 wide; expected an even width"),
    ({"head_dim": 6}, "head_dim is 6; expected 8"),
    ({"hidden_activation": "mish"}, "hidden_activation is 'mish'"),
    ({"classifier_pooling": "max"}, "classifier_pooling is 'max'; expected 'cls' or 'mean'"),
    ({"classifier_activation": "mish"}, "classifier_activation is 'mish'"),
    ({"norm_bias": "no"}, "norm_bias is 'no'; expected true or false"),
    ({"architectures": ["ModernBertForMultipleChoice"]}, "architectures is 'ModernBertForMultipleChoice'; expected"),
    ({"classifier_bias": True}, "tensor head.dense.bias is missing"),
    ({"norm_bias": True}, "tensor embeddings.norm.bias is missing"),
    ({"intermediate_size": 38}, "tensor model.layers.0.mlp.Wi.weight has shape (74, 24); expected (76, 24)"),
    (
        {"layer_types": ["full_attention"] * 3, "num_hidden_layers": 3},
        "model.layers.3.attn.Wqkv.weight is not expected",
    ),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_what_is_wrong_is_named(case: int, tmp_path: Path) -> None:
    changes, message = WRONG[case]
    make("plain", "ForSequenceClassification", tmp_path)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    for name, value in changes.items():
        *outer, last = name.split(".")
        (values[outer[0]] if outer else values)[last] = value
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError) as caught:
        fastseq.load_model(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize("case", ["attention bias", "plain"])
def test_nothing_to_read(case: str, tmp_path: Path) -> None:
    make(case, "ForSequenceClassification", tmp_path)
    for backend in BACKENDS:
        model = fastseq.load_model(tmp_path, backend=backend)
        assert model.encode([]) == model.logits([]) == []
        assert [states.shape for states in model.encode([[], [5], []])] == [(0, 24), (1, 24), (0, 24)]
        with pytest.raises(ValueError, match=r"ids\[1\] is empty; expected at least one token"):
            model.logits([[5], []])


def test_a_sequence_longer_than_the_positions(tmp_path: Path) -> None:
    make("plain", "Model", tmp_path)
    for backend in BACKENDS:
        model = fastseq.load_model(tmp_path, backend=backend)
        assert model.encode([[3] * 700])[0].shape == (700, 24)
        with pytest.raises(ValueError, match=r"input_ids\[1\] has 701 tokens"):
            model.encode([[3], [3] * 701])
