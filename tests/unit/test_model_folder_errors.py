"""Damaged, incomplete and foreign model folders: an error that says what is wrong where, never a crash."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseq.models import load_model, save_model
from fastseq.text import Vocabulary
from fastseq.weights import read_safetensors, write_safetensors
from tiny_models import BACKENDS, VOCABULARY, random_tensors, recurrent_config, transformer_config, write_folder

CONFIGS = {"recurrent": recurrent_config(), "transformer": transformer_config()}


def change_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "model")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_saved_is_loaded(name: str, backend: str, tmp_path: Path) -> None:
    config, tensors = CONFIGS[name], random_tensors(CONFIGS[name])
    save_model(tmp_path, config, tensors, VOCABULARY)
    model = load_model(tmp_path, backend=backend)
    assert model.config == config
    assert model.backend == backend
    assert model.vocabulary.source == VOCABULARY.source
    stored = read_safetensors(tmp_path / "model.safetensors")
    assert stored.keys() == tensors.keys()
    for key, array in tensors.items():
        np.testing.assert_array_equal(stored[key], array, strict=True)


def test_half_precision_is_widened_exactly(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    tensors = {
        "half": torch.tensor([1.5, -0.0, 65504.0, 6e-8, float("inf")]).half(),
        "brain": torch.tensor([[1.5, -2.25e30], [3e-39, float("nan")]]).bfloat16(),
        "scalar": torch.tensor(2.5).bfloat16(),
        "empty": torch.zeros(0, 3),
    }
    save_file(tensors, tmp_path / "x.safetensors")
    read = read_safetensors(tmp_path / "x.safetensors")
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor.float().numpy(), strict=True)


def test_float16_weights_load(tmp_path: Path) -> None:
    config = CONFIGS["recurrent"]
    save_model(tmp_path, config, random_tensors(config), dtype="float16")
    assert load_model(tmp_path).generate([[1, 2]], max_new_tokens=3)
    with pytest.raises(ValueError, match="no vocabulary"):
        _ = load_model(tmp_path).vocabulary
    with pytest.raises(ValueError, match="dtype is 'int4'; expected 'float32', 'float16' or 'int8'"):
        save_model(tmp_path, config, random_tensors(config), dtype="int4")


def test_missing_folders_and_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model folder '.*nowhere'"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no model folder"):
        load_model(folder / "config.json")
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors"):
        load_model(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no config\.json and no model\.safetensors"):
        load_model(folder)


def test_unknown_compute_types(folder: Path) -> None:
    with pytest.raises(ValueError, match="compute_type is 'int4'; expected 'float32' or 'bfloat16' or 'int8'"):
        load_model(folder, compute_type="int4")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff\xfe{}", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"9" * 10_000, "is no JSON"),
        (b"[1]", "holds a list; expected an object"),
        (b"{}", "model_type is 'None'; expected one of "),
        (b'{"format": "onnx"}', "format is 'onnx'; expected 'fastseq'"),
        (b'{"format": "fastseq"}', "format_version is None; this fastseq reads 1"),
        (b'{"format": "fastseq", "format_version": 2}', "format_version is 2; this fastseq reads 1"),
        (
            b'{"format": "fastseq", "format_version": 1, "model_type": "gpt"}',
            "model_type is 'gpt'; expected one of recurrent_seq2seq, deep_recurrent_seq2seq, transformer_seq2seq",
        ),
        (b'{"format": "fastseq", "format_version": 1, "model_type": ["gpt"]}', "model_type is"),
        (b'{"format": "fastseq", "format_version": 1, "model_type": "recurrent_seq2seq"}', "missing field cell"),
    ],
)
def test_damaged_configs(folder: Path, content: bytes, message: str) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_model(folder)
    assert "config.json" in str(caught.value)


def test_every_wrong_field_is_named(folder: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config |= {"cell": "lstmm", "decoder_num_layers": "two", "colour": "red"}
        del config["bridge"]

    change_json(folder / "config.json", change)
    with pytest.raises(ValueError, match=r"config\.json") as caught:
        load_model(folder)
    for part in ("unknown field 'colour'", "missing field bridge", "cell is 'lstmm'", "decoder_num_layers is 'two'"):
        assert part in str(caught.value)


def test_a_config_that_does_not_fit_its_tensors(folder: Path) -> None:
    change_json(folder / "config.json", lambda config: config.update(target_embedding_size=8, attention="dot"))
    with pytest.raises(ValueError, match=r"model\.safetensors") as caught:
        load_model(folder)
    for part in (
        "tensor attention.weight is not expected",
        "tensor decoder.embedding.weight has shape (13, 7); expected (13, 8)",
        "tensor decoder.rnn.weight_ih_l0 has shape (48, 19); expected (48, 20)",
    ):
        assert part in str(caught.value)


def test_missing_and_extra_tensors_are_all_named(folder: Path) -> None:
    tensors: dict[str, Any] = read_safetensors(folder / "model.safetensors")
    del tensors["output.bias"], tensors["encoder.rnn.weight_hh_l1_reverse"]
    write_safetensors(folder / "model.safetensors", tensors | {"extra": np.zeros(2, np.float32)})
    with pytest.raises(ValueError) as caught:
        load_model(folder)
    for part in (
        "tensor output.bias is missing",
        "tensor encoder.rnn.weight_hh_l1_reverse is missing",
        "tensor extra is not expected",
    ):
        assert part in str(caught.value)


def test_an_error_about_a_thousand_tensors_stays_readable(folder: Path) -> None:
    change_json(folder / "config.json", lambda config: config.update(encoder_num_layers=1000, decoder_num_layers=1000))
    with pytest.raises(ValueError, match=r"and \d+ more") as caught:
        load_model(folder)
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_none_are_named(folder: Path, number: float) -> None:
    tensors = dict(read_safetensors(folder / "model.safetensors"))
    tensors["output.bias"] = np.full_like(tensors["output.bias"], number)
    write_safetensors(folder / "model.safetensors", tensors)
    with pytest.raises(ValueError, match=r"tensor output.bias has NaN or infinite numbers"):
        load_model(folder)


def test_tensors_of_another_type_are_named(folder: Path) -> None:
    tensors: dict[str, Any] = read_safetensors(folder / "model.safetensors")
    tensors["output.bias"] = tensors["output.bias"].astype(np.int64)
    write_safetensors(folder / "model.safetensors", tensors)
    with pytest.raises(ValueError, match=r"model\.safetensors: tensor output\.bias is I64; expected F32, F16, BF16"):
        load_model(folder)


def damages() -> dict[str, Callable[[bytes], bytes]]:
    def header(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
        size = struct.unpack("<Q", content[:8])[0]
        values = json.loads(content[8 : 8 + size])
        change(values)
        text = json.dumps(values).encode()
        return struct.pack("<Q", len(text)) + text + content[8 + size :]

    def entry(key: str, value: Any) -> Callable[[bytes], bytes]:
        return lambda content: header(content, lambda values: values["output.bias"].update({key: value}))

    return {
        "empty": lambda content: b"",
        "seven bytes": lambda content: content[:7],
        "half": lambda content: content[: len(content) // 2],
        "one byte short": lambda content: content[:-1],
        "one byte long": lambda content: content + b"\0",
        "huge header": lambda content: struct.pack("<Q", 2**63) + content[8:],
        "text": lambda content: b"this is no tensor file at all",
        "pickle": lambda content: b"\x80\x04\x95" + content,
        "broken header": lambda content: content[:8] + b"x" + content[9:],
        "no offsets": lambda content: header(content, lambda values: values["output.bias"].pop("data_offsets")),
        "offsets outside": entry("data_offsets", [0, 2**40]),
        "offsets backwards": entry("data_offsets", [52, 0]),
        "negative offset": entry("data_offsets", [-52, 0]),
        "overlap": entry("data_offsets", [0, 52]),
        "negative shape": entry("shape", [-13]),
        "huge shape": entry("shape", [2**62, 2**62]),
        "shape of another size": entry("shape", [14]),
        "unknown type": entry("dtype", "F31"),
        "type of another size": entry("dtype", "F16"),
    }


@pytest.mark.parametrize("damage", damages())
def test_damaged_tensor_files(folder: Path, damage: str) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(damages()[damage](path.read_bytes()))
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load_model(folder)


def test_any_flipped_byte_of_the_header_is_an_error_or_harmless(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = 8 + struct.unpack("<Q", content[:8])[0]
    generator = np.random.default_rng(0)
    for position in generator.integers(0, size, 300):
        damaged = bytearray(content)
        damaged[position] ^= 1 << generator.integers(0, 8)
        path.write_bytes(damaged)
        try:
            load_model(folder, backend="numpy")
        except ValueError as error:
            assert "model.safetensors" in str(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "vocab.json"),
        ("[]", 'expected {"source": {"tokens": [...]}}'),
        ('{"source": {"tokens": ["a"]}}', 'expected {"target": {"tokens": [...]}}'),
        ('{"source": {"tokens": ["a", 1]}, "target": {"tokens": []}}', "source token 1 is 1; expected text"),
        ('{"source": {"tokens": ["a", "a"]}, "target": {"tokens": []}}', "source token 'a' is there 2 times"),
        ('{"source": {"tokens": ["a"], "unit": "byte"}, "target": {"tokens": []}}', "unit is 'byte'; expected one of"),
        ('{"source": {"tokens": ["a"]}, "target": {"tokens": [], "separator": 1}}', "separator is 1; expected text"),
        ('{"source": {"tokens": ["a"]}, "target": {"tokens": []}}', "1 source tokens; expected source_vocab_size = 11"),
    ],
)
def test_damaged_vocabularies(folder: Path, content: str, message: str) -> None:
    (folder / "vocab.json").write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load_model(folder)
    assert "vocab.json" in str(caught.value)


def test_a_vocabulary_of_another_size_is_not_saved(tmp_path: Path) -> None:
    config = CONFIGS["recurrent"]
    with pytest.raises(ValueError, match="2 source tokens; expected source_vocab_size = 11"):
        save_model(tmp_path, config, random_tensors(config), Vocabulary(["<pad>", "a"], ["<pad>"]))
    assert not list(tmp_path.iterdir())


def test_vocabularies_name_what_they_do_not_know() -> None:
    with pytest.raises(ValueError, match=r"'caf3!' has characters '3', '!', which the model does not know"):
        VOCABULARY.encode("caf3!")
    tokens = Vocabulary(["<pad>", "ab", "c"], ["x"], unit="token")
    assert tokens.encode(" ab c  ab") == [1, 2, 1]
    with pytest.raises(ValueError, match="'ab d' has token 'd', which the model does not know"):
        tokens.encode("ab d")
    with pytest.raises(ValueError, match="target id 1; expected 0 to 0"):
        tokens.decode([0, 1])


def test_a_file_of_another_kind_is_no_folder(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json', which is a file; those that are read are \.npz, \.pt"):
        load_model(folder / "config.json")
