"""Folders of published models that do not fit: everything wrong is named, and nothing crashes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseq.models import EncoderModel, Seq2SeqModel, load_model
from fastseq.models.families import FAMILIES, find_family
from fastseq.models.families.fields import Fields
from fastseq.weights import write_safetensors

BERT: dict[str, Any] = {
    "model_type": "bert",
    "architectures": ["BertForSequenceClassification"],
    "vocab_size": 11,
    "hidden_size": 6,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 5,
    "max_position_embeddings": 9,
    "id2label": {"0": "no", "1": "yes"},
    "problem_type": "single_label_classification",
}
MARIAN: dict[str, Any] = {
    "model_type": "marian",
    "vocab_size": 11,
    "d_model": 6,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 5,
    "decoder_ffn_dim": 5,
    "max_position_embeddings": 9,
    "pad_token_id": 10,
    "eos_token_id": 0,
    "decoder_start_token_id": 10,
}
EXTRA = {"final_logits_bias": None}


def stored_tensors(values: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Random tensors of exactly the names and shapes that the family wants."""
    blueprint = find_family(values["model_type"]).read(Fields(values), extra)
    generator = np.random.default_rng(0)
    tensors: dict[str, Any] = {}
    for name, shape in blueprint.config.tensor_shapes().items():
        for stored, wanted in blueprint.sources[name].stored_shapes(shape).items():
            tensors[stored] = generator.uniform(-0.5, 0.5, wanted).astype(np.float32)
    return tensors


def write(folder: Path, values: dict[str, Any], tensors: dict[str, Any] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values))
    extra = EXTRA if values["model_type"] == "marian" else {}
    write_safetensors(folder / "model.safetensors", tensors or stored_tensors(values, extra))
    return folder


def test_what_a_model_says_of_itself(tmp_path: Path) -> None:
    model = load_model(write(tmp_path / "bert", BERT))
    assert isinstance(model, EncoderModel)
    assert (model.model_type, model.task, model.vocab_size) == ("bert", "text-classification", 11)
    assert model.config.id2label == {0: "no", 1: "yes"}
    assert model.config.problem_type == "single_label_classification"
    assert model.config.max_positions == 9
    assert model.folder == tmp_path / "bert"
    assert model.generation_config is None
    marian = load_model(write(tmp_path / "marian", MARIAN))
    assert isinstance(marian, Seq2SeqModel)
    assert (marian.model_type, marian.task, marian.vocab_size) == ("marian", "text2text-generation", 11)
    assert marian.generation_config.max_length == 10


def test_generation_defaults_come_from_their_own_file_or_the_configuration(tmp_path: Path) -> None:
    old = load_model(write(tmp_path, MARIAN | {"num_beams": 3, "max_length": 7, "length_penalty": 0.6}))
    assert (old.generation_config.num_beams, old.generation_config.max_length) == (3, 7)
    (tmp_path / "generation_config.json").write_text(
        json.dumps({"num_beams": 2, "max_new_tokens": 4, "max_length": 99, "eos_token_id": [0, 3], "use_cache": True})
    )
    model = load_model(tmp_path)
    assert (model.generation_config.num_beams, model.generation_config.max_new_tokens) == (2, 4)
    assert model.generation_config.length_penalty == 1.0
    sources = [[1, 2, 3], [4]]
    assert model.generate(sources) == old.generate(
        sources, num_beams=2, max_new_tokens=4, length_penalty=1.0, eos_token_id=[0, 3]
    )
    assert model.generate(sources, decoder_start_token_id=5) != model.generate(sources)
    with pytest.raises(ValueError, match="decoder_start_token_id is 11; expected an id below 11"):
        model.generate(sources, decoder_start_token_id=11)
    (tmp_path / "generation_config.json").write_text('{"guidance_scale": 1.0, "stop_strings": null}')
    load_model(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"guidance_scale": 2.0}')
    with pytest.raises(ValueError, match=r"generation_config\.json: guidance_scale is 2\.0; it is not supported"):
        load_model(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"num_beams": 0}')
    with pytest.raises(ValueError, match=r"generation_config\.json: num_beams is 0; expected at least 1"):
        load_model(tmp_path)


def test_unknown_families_are_told_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path, BERT)
    for model_type in ("llama", None, ["bert"]):
        (tmp_path / "config.json").write_text(json.dumps(BERT | {"model_type": model_type}))
        with pytest.raises(
            ValueError, match=r"config\.json: model_type is .* expected one of albert, bart, .* t5, umt5, xlm-ro"
        ):
            load_model(tmp_path)


def test_every_wrong_field_is_named(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {
        "pad_token_id": -1,
        "hidden_size": "wide",
        "num_hidden_layers": 10**9,
        "hidden_act": "snake",
        "id2label": {"a": 1},
    }
    write(tmp_path, BERT)
    (tmp_path / "config.json").write_text(json.dumps(BERT | wrong | {"position_embedding_type": "relative_key"}))
    with pytest.raises(ValueError, match=r"config\.json") as caught:
        load_model(tmp_path)
    for part in (
        "hidden_size is 'wide'; expected a whole number from 1",
        "pad_token_id is -1; expected a whole number from 0",
        "num_hidden_layers is 1000000000; expected a whole number from 0 to 1024",
        "hidden_act is 'snake'; expected one of relu, gelu",
        "id2label is wrong",
        "position_embedding_type is 'relative_key'; expected 'absolute'",
    ):
        assert part in str(caught.value)


def test_every_wrong_tensor_is_named(tmp_path: Path) -> None:
    tensors = stored_tensors(BERT, {})
    del tensors["pooler.dense.bias"], tensors["encoder.layer.0.attention.self.key.weight"]
    tensors["classifier.weight"] = np.zeros((3, 6), np.float32)
    tensors["embeddings.word_embeddings.weight"] = np.zeros((11, 6), np.int64)
    tensors |= {"bert.embeddings.position_ids": np.arange(9), "bert.extra": np.zeros(2, np.float32)}
    with pytest.raises(ValueError, match=r"model\.safetensors") as caught:
        load_model(write(tmp_path, BERT, tensors))
    for part in (
        "tensor pooler.dense.bias is missing",
        "tensor encoder.layer.0.attention.self.key.weight is missing",
        "tensor classifier.weight has shape (3, 6); expected (2, 6)",
        "tensor embeddings.word_embeddings.weight is I64; expected F32",
        "tensor bert.extra is not expected",
    ):
        assert part in str(caught.value)
    assert "position_ids" not in str(caught.value)


def test_numbers_that_are_none_are_refused_but_for_a_bias_that_forbids(tmp_path: Path) -> None:
    tensors = stored_tensors(MARIAN, EXTRA)
    tensors["final_logits_bias"][0, 5] = -np.inf
    for backend in ("native", "numpy"):
        found = load_model(write(tmp_path, MARIAN, tensors), backend=backend).generate([[1, 2]], num_beams=3)
        assert 5 not in found[0].tokens
    for name, number in (("final_logits_bias", np.inf), ("shared.weight", -np.inf), ("shared.weight", np.nan)):
        damaged = tensors | {name: np.full_like(tensors[name], number)}
        with pytest.raises(ValueError, match=rf"tensor {name} has NaN or infinite numbers"):
            load_model(write(tmp_path, MARIAN, damaged))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_configurations_that_say_nothing_or_nonsense_are_an_error(family: str) -> None:
    for values in ({}, {name: "x" for name in MARIAN | BERT}, {name: -1 for name in MARIAN | BERT}):
        fields = Fields({**values, "model_type": family})
        find_family(family).read(fields, {})
        with pytest.raises(ValueError):
            fields.check()


@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_wrong_arguments_of_an_encoder(backend: str, tmp_path: Path) -> None:
    model = load_model(write(tmp_path, BERT), backend=backend)
    assert model.encode([]) == []
    assert model.encode([[]])[0].shape == (0, 6)
    for arguments, message in (
        (([[11]],), r"input_ids\[0\]\[0\] is 11; expected a token id in \[0, 11\)"),
        (([[1] * 10],), r"input_ids\[0\] has 10 tokens; expected at most 9"),
        (([[1, 2]], [[0]]), r"token_type_ids has lengths \[1\]; expected those of input_ids, \[2\]"),
        (([[1, 2]], [[0, 2]]), r"token_type_ids\[0\]\[1\] is 2; expected"),
        (([[1], []],), r"input_ids\[1\] is empty; expected at least one token"),
    ):
        with pytest.raises(ValueError, match=message):
            model.logits(*arguments)
