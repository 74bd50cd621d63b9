"""Whole models with bfloat16 and int8 weights: quality, folders, both backends."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

import fastseq
from conftest import needs_native
from fastseq.models.quantized import read_quantized
from fastseq.pipelines.pronounce import BUNDLED_MODELS
from fastseq.pipelines.verify import verify as verify_folder
from fastseq.reference.quantize import narrow
from fastseq.weights import open_weights

TEXT = """speech onomatopoeia wednesday colonel physics through rhythm knight psychology queue yacht island chaos
    bouquet receipt salmon subtle debris hour honest gauge choir height leopard mortgage sword plumber ache
    banana computer language station question nature picture measure thought enough laughter daughter weird friend
    believe ceiling neighbor science ancient ocean machine chemistry character orchestra theatre"""
WORDS = TEXT.split()


def sentences(model: fastseq.models.Seq2SeqModel) -> list[list[int]]:
    return [model.vocabulary.encode(word) for word in WORDS]


@pytest.fixture(scope="module", params=list(BUNDLED_MODELS))
def name(request):
    return request.param


@needs_native
def test_bundled_models_keep_their_pronunciations_in_int8(name):
    exact, narrow = (fastseq.load_model(BUNDLED_MODELS[name], compute_type=t) for t in ("float32", "int8"))
    report = fastseq.verify(narrow, exact, sentences(exact), num_beams=1)
    assert narrow.compute_type == report.compute_type == "int8"
    assert 0 < report.relative_error < 0.05, str(report)
    assert report.top_agreement > 0.99, str(report)
    assert report.sentence_agreement >= 0.9, str(report)


@needs_native
def test_weights_stored_as_bfloat16_lose_nothing_when_computed_in_bfloat16():
    exact, narrow = (fastseq.load_model(BUNDLED_MODELS["lstm"], compute_type=t) for t in ("float32", "bfloat16"))
    report = fastseq.verify(narrow, exact, sentences(exact), num_beams=1)
    assert narrow.compute_type == report.compute_type == "bfloat16"
    assert report.relative_error == 0, str(report)
    assert report.sentence_agreement == 1, str(report)


@needs_native
@pytest.mark.parametrize("compute_type", ["bfloat16", "int8"])
def test_both_backends_say_the_same(name, compute_type):
    native, numpy = (fastseq.load_model(BUNDLED_MODELS[name], compute_type, b) for b in ("native", "numpy"))
    report = fastseq.verify(numpy, native, sentences(native)[:20], num_beams=1)
    assert report.sentence_agreement == 1.0, str(report)
    assert report.relative_error < 0.005, str(report)


def test_verify_notices_another_model(backend):
    one, other = (fastseq.load_model(BUNDLED_MODELS[name]) for name in BUNDLED_MODELS)
    report = fastseq.verify(one, other, sentences(one)[:10], num_beams=1)
    assert report.relative_error > 0.05
    assert "10 sentences" in str(report)
    with pytest.raises(ValueError, match="input_ids has no sentence"):
        fastseq.verify(one, other, [])


def saved(tmp_path, name="lstm", dtype="int8"):
    model = fastseq.load_model(BUNDLED_MODELS[name])
    stored = read_quantized(BUNDLED_MODELS[name], open_weights(BUNDLED_MODELS[name]))
    tensors = {name: narrow(tensor, "float32") for name, tensor in stored.items()}
    fastseq.save_model(tmp_path / dtype, model.config, tensors, model.vocabulary, dtype=dtype)
    return tmp_path / dtype


def test_a_folder_in_int8_gives_the_bits_of_quantising_at_load(tmp_path, name, backend):
    folder, original = saved(tmp_path, name), saved(tmp_path, name, "float32")
    stored, at_load = (fastseq.load_model(path, compute_type="int8") for path in (folder, original))
    ids = sentences(at_load)[:6]
    targets = [[1, 5, 9]] * len(ids)
    for a, b in zip(stored.decode(ids, targets), at_load.decode(ids, targets), strict=True):
        np.testing.assert_array_equal(a, b)
    size, whole = ((path / "model.safetensors").stat().st_size for path in (folder, original))
    assert size < 0.4 * whole
    # In float32 its weights are what int8 stands for.
    widened = fastseq.load_model(folder)
    assert widened.generate(ids[:2])[0].tokens == fastseq.load_model(original).generate(ids[:2])[0].tokens


@needs_native
@pytest.mark.parametrize("compute_type", ["float32", "int8"])
def test_the_stages_of_an_int8_folder(tmp_path, name, compute_type):
    stages = {stage.name: stage for stage in verify_folder(saved(tmp_path, name), compute_type=compute_type)}
    layers = [f"encoder layer {i}" for i in (1, 2, 3)] if name == "transformer" else []
    assert list(stages) == [*layers, "encoder output", "logits", "tokens"]
    # The reference has the weights that int8 stands for; what int8 adds is that activations are rounded to 1/127.
    limit = 1e-5 if compute_type == "float32" else 0.05
    for stage in list(stages.values())[:-1]:
        assert stage.difference < limit * stage.scale, stage


def rewrite(folder, change):
    """Let `change` edit the header and the data of the folder's safetensors file."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    change(header, data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))


def test_damaged_int8_folders_are_refused(tmp_path):
    folder = saved(tmp_path)

    def fill(name, values):
        def change(header, data):
            begin, _ = header[name]["data_offsets"]
            data[begin : begin + len(values)] = values

        rewrite(folder, change)

    fill("output.weight", b"\x80")
    with pytest.raises(ValueError, match=r"model\.safetensors: tensor output\.weight has -128; expected numbers from"):
        fastseq.load_model(folder)
    fill("output.weight", b"\x01")
    fill("output.weight.scales", np.float32(np.nan).tobytes())
    with pytest.raises(ValueError, match=r"tensor output\.weight has scales that are NaN or infinite"):
        fastseq.load_model(folder)
    fill("output.weight.scales", np.float32(1).tobytes())
    fastseq.load_model(folder)
    rewrite(folder, lambda header, _: header.update({"other": header.pop("output.weight.scales")}))
    with pytest.raises(ValueError, match=r"tensor output\.weight is I8; expected"):
        fastseq.load_model(folder)


def test_an_int8_table_is_refused(tmp_path):
    folder = saved(tmp_path)

    def swap(header, _):
        # The embedding of the decoder has int8 numbers and scales now.
        names = "decoder.embedding.weight", "output.weight"
        header[names[0]], header[names[1]] = header[names[1]], header[names[0]]
        header[names[0] + ".scales"] = header.pop(names[1] + ".scales")

    rewrite(folder, swap)
    with pytest.raises(ValueError, match=r"tensor decoder\.embedding\.weight"):
        fastseq.load_model(folder, compute_type="int8")


def test_an_unknown_compute_type_is_refused():
    with pytest.raises(ValueError, match="load_model: compute_type is 'int4'"):
        fastseq.load_model(BUNDLED_MODELS["lstm"], compute_type="int4")
