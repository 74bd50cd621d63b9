"""Classifiers of BART and mBART against transformers, and what of their families is refused."""

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
from test_family_seq2seq import BART_LIKE, MARIAN  # noqa: E402
from torch_families import assert_close, batches, padded, randomise, save  # noqa: E402

LABELS = {"id2label": {0: "contradiction", 1: "neutral", 2: "entailment"}}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bart": ("Bart", BART_LIKE | LABELS),
    "bart-scaled": ("Bart", BART_LIKE | LABELS | {"scale_embedding": True, "activation_function": "relu"}),
    "bart-ids": ("Bart", BART_LIKE | LABELS | {"decoder_start_token_id": 5, "eos_token_id": 7, "pad_token_id": 0}),
    "bart-regression": ("Bart", BART_LIKE | {"num_labels": 1, "problem_type": "regression"}),
    "mbart": ("MBart", BART_LIKE | LABELS | {"scale_embedding": True}),
    "mbart-narrow": ("MBart", BART_LIKE | LABELS | {"decoder_layers": 1, "encoder_layers": 3}),
}
SUFFIXES = {"ForSequenceClassification": "text-classification", "ForQuestionAnswering": "question-answering"}
LENGTHS = [9, 4, 33, 17, 6]


def make(case: str, suffix: str, folder: Path) -> Any:
    family, values = CASES[case]
    own = values if suffix == "ForSequenceClassification" else {n: v for n, v in values.items() if n not in LABELS}
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**own)
    hf = randomise(getattr(transformers, family + suffix)(config), seed=3)
    save(hf, folder)
    return hf


def sentences(hf: Any, ends: int) -> list[list[int]]:
    """Rows with as many end tokens each, as transformers wants them; behind the last one mBART has the language."""
    rows = batches(82, LENGTHS, 1, lowest=8)
    tail = [hf.config.eos_token_id] + ([81] if hf.config.model_type == "mbart" else [])
    for b, row in enumerate(rows):
        for i in range(1, ends):
            row[(b + i) % (len(row) - len(tail))] = hf.config.eos_token_id
        row[-len(tail) :] = tail
    return rows


@pytest.mark.parametrize("ends", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_sequences(case: str, ends: int, tmp_path: Path) -> None:
    hf = make(case, "ForSequenceClassification", tmp_path)
    rows = sentences(hf, ends)
    ids, mask = padded(rows, hf.config.pad_token_id)
    with torch.no_grad():
        expected = hf(input_ids=ids, attention_mask=mask).logits
    assert float(expected.std(dim=0).min()) > 0.05  # the head sees what was read
    for backend in BACKENDS:
        model = fastseq.load_model(tmp_path, backend=backend)
        assert (model.task, model.model_type, model.vocab_size) == ("text-classification", hf.config.model_type, 83)
        assert model.config.id2label == hf.config.id2label
        assert model.config.problem_type == hf.config.problem_type
        for logits, wanted in zip(model.logits(rows), expected, strict=True):
            assert_close(logits, wanted)
        for logits, wanted in zip(model.logits(ids.numpy(), lengths=list(map(len, rows))), expected, strict=True):
            assert_close(logits, wanted)


@pytest.mark.parametrize("case", ["bart", "bart-ids", "mbart"])
def test_questions(case: str, tmp_path: Path) -> None:
    hf = make(case, "ForQuestionAnswering", tmp_path)
    rows = [*sentences(hf, 2), [9], [30, 20, 10]]  # no end token is needed
    ids, mask = padded(rows, hf.config.pad_token_id)
    with torch.no_grad():
        output = hf(input_ids=ids, attention_mask=mask)
    for backend in BACKENDS:
        model = fastseq.load_model(tmp_path, backend=backend)
        assert model.task == "question-answering"
        for b, logits in enumerate(model.logits(rows)):
            wanted = torch.stack((output.start_logits[b], output.end_logits[b]), dim=1)
            assert_close(logits, wanted[: len(rows[b])])


def test_rows_need_not_have_as_many_end_tokens(tmp_path: Path) -> None:
    hf = make("bart", "ForSequenceClassification", tmp_path)
    rows = [[5, 6, 2], [7, 2, 8, 2, 2], [2], [9, 2, 30, 40]]
    with torch.no_grad():
        expected = [hf(input_ids=torch.tensor([row])).logits[0] for row in rows]
        with pytest.raises(ValueError, match="same number of <eos>"):
            hf(input_ids=padded(rows[:2], 1)[0])
    for backend in BACKENDS:
        for logits, wanted in zip(fastseq.load_model(tmp_path, backend=backend).logits(rows), expected, strict=True):
            assert_close(logits, wanted)


@needs_native
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", ["bart", "mbart"])
@pytest.mark.parametrize("compute_type", ["float32", "bfloat16", "int8"])
def test_other_types_and_saved_ones(case: str, suffix: str, compute_type: str, tmp_path: Path) -> None:
    hf = make(case, suffix, tmp_path / "hf")
    rows = sentences(hf, 1)
    native, numpy = (fastseq.load_model(tmp_path / "hf", compute_type, backend) for backend in BACKENDS)
    native, numpy = sorted((native, numpy), key=lambda model: model.backend)
    together = native.logits(rows)
    for one, other in zip(together, numpy.logits(rows), strict=True):
        # A rounding may move a number to the next int8 step, 1/127 of its row's largest.
        assert_close(one, other, 0.05 if compute_type == "int8" else 1e-4)
    native.save_pretrained(tmp_path / "saved")
    loaded = fastseq.load_model(tmp_path / "saved", backend="native")
    assert (loaded.config, loaded.compute_type) == (native.config, compute_type)
    for one, other in zip(loaded.logits(rows[::-1]), together[::-1], strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_files_of_older_versions(tmp_path: Path) -> None:
    """A folder may have copies of the shared embedding, a bias that only generation needs, and labels by number."""
    hf = make("bart", "ForSequenceClassification", tmp_path)
    rows = sentences(hf, 1)
    expected = fastseq.load_model(tmp_path).logits(rows)
    tensors = {name: tensor.clone() for name, tensor in hf.state_dict().items()}
    tensors["final_logits_bias"] = torch.zeros(1, 83)
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    values = json.loads((tmp_path / "config.json").read_text())
    del values["id2label"], values["label2id"]
    (tmp_path / "config.json").write_text(json.dumps(values | {"num_labels": 3}))
    model = fastseq.load_model(tmp_path)
    assert model.config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert model.config.shared_embedding
    for one, other in zip(model.logits(rows), expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize(
    ("family", "cls", "values"),
    [
        ("Bart", "BartForCausalLM", BART_LIKE),
        ("MBart", "MBartForCausalLM", BART_LIKE),
        ("Marian", "MarianForCausalLM", MARIAN),
        ("Pegasus", "PegasusForCausalLM", BART_LIKE),
    ],
)
def test_other_heads_are_refused_by_name(family: str, cls: str, values: dict[str, Any], tmp_path: Path) -> None:
    config = getattr(transformers, f"{family}Config")(**values)
    save(getattr(transformers, cls)(config), tmp_path)
    known = "Model, ForConditionalGeneration"
    known += ", ForSequenceClassification, ForQuestionAnswering" if "Bart" in family else ""
    with pytest.raises(ValueError) as error:
        fastseq.load_model(tmp_path)
    expected = f"{tmp_path / 'config.json'}: architectures is '{cls}'; expected one that ends with {known}"
    assert str(error.value) == expected


@pytest.mark.parametrize("name", ["BartEncoder", "BartForTokenClassification", "BartDecoderWrapper"])
def test_parts_of_a_model_are_refused_by_name(name: str, tmp_path: Path) -> None:
    make("bart", "ForSequenceClassification", tmp_path)
    values = json.loads((tmp_path / "config.json").read_text()) | {"architectures": [name]}
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=f"architectures is '{name}'; expected one that ends with Model"):
        fastseq.load_model(tmp_path)


def test_damage_is_named(tmp_path: Path) -> None:
    hf = make("bart", "ForSequenceClassification", tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())

    def error_of(tensors: dict[str, Any], **changes: Any) -> str:
        (tmp_path / "model.safetensors").unlink(missing_ok=True)
        given = {name: tensor for name, tensor in (hf.state_dict() | tensors).items() if tensor is not None}
        torch.save({name: tensor.clone() for name, tensor in given.items()}, tmp_path / "pytorch_model.bin")
        (tmp_path / "config.json").write_text(json.dumps(values | changes))
        with pytest.raises(ValueError) as error:
            fastseq.load_model(tmp_path)
        return str(error.value)

    found = error_of({"classification_head.dense.bias": None, "classification_head.out_proj.bias": torch.zeros(2)})
    assert "tensor classification_head.dense.bias is missing" in found
    assert "tensor classification_head.out_proj.bias has shape (2,); expected (3,)" in found
    assert "tensor lm.head is not expected" in error_of({"lm.head": torch.zeros(2)})
    assert "problem_type is 'ranking'; expected" in error_of({}, problem_type="ranking")
    assert "id2label is wrong" in error_of({}, id2label={"0": "no", "2": "yes"})
    assert "decoder_start_token_id is 83; expected one of the 83" in error_of({}, decoder_start_token_id=83)
