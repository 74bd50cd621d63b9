"""Transformers of Marian in `.npz` files, with self-attention or SSRU in the decoder.

Marian itself, a C++ program, is not installed: the model is written down a second time in PyTorch from its definition
(`src/models/transformer.h`), one sentence at a time, in float64. In float32 a logit is off by a few hundred roundings
of numbers of at most the size of the largest.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_marian import OPTIONS, VOCAB, Written, tensors, write  # noqa: E402

import fastseq  # noqa: E402
from fastseq.weights.flat_yaml import read_flat_yaml  # noqa: E402
from fastseq.weights.npz import read_npz  # noqa: E402

PRE = {"transformer-preprocess": "n", "transformer-postprocess": "da", "transformer-postprocess-top": "n"}
SSRU = {"transformer-decoder-autoreg": "rnn", "dec-cell": "ssru"}
VARIANTS: list[dict[str, Any]] = [
    {},
    PRE | {"transformer-ffn-activation": "relu"},
    {"tied-embeddings-all": True, "dim-vocabs": [7, 7]},
    {"tied-embeddings": True, "dec-depth": 1},
    SSRU,
    PRE | SSRU | {"tied-embeddings": True},
]
SENTENCES = [([3, 4, 6, 0], [2, 5, 4]), ([0], []), ([5, 5, 2, 3, 6, 4, 0], [6, 1, 2, 2, 3])]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_files_compute_what_the_definition_says(changes: dict[str, Any], backend: str, tmp_path: Path) -> None:
    options = OPTIONS | changes
    model = fastseq.load_model(write(tmp_path / "model.npz", options))
    written, start = Written(options), model.config.bos_token_id
    sources, targets = [s for s, _ in SENTENCES], [[start, *t] for _, t in SENTENCES]
    for mine, (source, target) in zip(model.decode(sources, targets), SENTENCES, strict=True):
        expected = written.logits(source, target).numpy()
        np.testing.assert_allclose(mine[:, :-1], expected, rtol=0, atol=2e-5)
        assert (mine[:, -1] < -1e8).all()
    for generation in model.generate(sources, num_beams=3, max_new_tokens=6):
        assert start not in generation.tokens


def test_a_generated_target_has_the_probability_that_the_definition_gives_it(tmp_path: Path) -> None:
    model, written = fastseq.load_model(write(tmp_path / "model.npz", OPTIONS)), Written(OPTIONS)
    [found] = model.generate([[3, 4, 0]], num_beams=2, max_new_tokens=5, length_penalty=0.0)
    said = [*found.tokens, 0] if found.finished else found.tokens
    log_probs = written.logits([3, 4, 0], said[:-1]).log_softmax(-1)
    assert found.score == pytest.approx(float(log_probs[torch.arange(len(said)), said].sum()), abs=1e-4)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("changes", [{}, SSRU], ids=str)
def test_generated_tokens_are_those_of_a_search_over_the_definition(
    changes: dict[str, Any], beams: int, backend: str, tmp_path: Path
) -> None:
    options = OPTIONS | changes
    model, written = fastseq.load_model(write(tmp_path / "model.npz", options)), Written(options)
    sources = [source for source, _ in SENTENCES]

    def step(ids: Any, state: Any) -> Any:
        prefixes = np.concatenate((state["prefix"], ids[:, None]), axis=1)
        pairs = zip(state["of"], prefixes, strict=True)
        rows = [written.logits(sources[int(b)], list(prefix[1:]))[-1] for b, prefix in pairs]
        return torch.stack(rows).float().numpy(), {"prefix": prefixes, "of": state["of"]}

    start = {"prefix": np.zeros((len(sources), 0), np.int64), "of": np.arange(len(sources))}
    search = {"num_beams": beams, "max_length": 8}
    expected = fastseq.beam_search(step, start, batch_size=len(sources), start_id=0, eos_id=0, **search)
    found = model.generate(sources, **search)
    assert [mine.tokens for mine in found] == [theirs.tokens for theirs in expected]
    assert [mine.score for mine in found] == pytest.approx([theirs.score for theirs in expected], abs=1e-4)


def test_vocabularies_beside_the_file_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "model.npz", OPTIONS)
    (tmp_path / "decoder.yml").write_text("relative-paths: true\nvocabs:\n  - source.yml\n  - target.yml\n")
    words = ['"</s>"', "<unk>", "'it''s'", "2", "true", '"\\x41\\u00e9"', "a-b", "▁c", "▁:"]
    for name, size in zip(("source.yml", "target.yml"), VOCAB, strict=True):
        (tmp_path / name).write_text("".join(f"{word}: {i}\n" for i, word in enumerate(words[:size])))
    model = fastseq.load_model(path)
    assert model.vocabulary.source == ["</s>", "<unk>", "it's", "2", "true", "Aé", "a-b", "▁c", "▁:"]
    assert model.vocabulary.target[-1] == "<start>"
    (tmp_path / "source.yml").write_text("a: 0\nb: 2\n")
    with pytest.raises(ValueError, match=r"source\.yml: its ids are not the numbers from 0 to 1"):
        fastseq.load_model(path)
    (tmp_path / "decoder.yml").write_text("vocabs: 3\n")
    with pytest.raises(ValueError, match=r"decoder\.yml: vocabs is no list of two files"):
        fastseq.load_model(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "amun"}, "type is 'amun'"),
        ({"transformer-ffn-activation": "gelu"}, "transformer-ffn-activation is 'gelu'"),
        ({"transformer-decoder-autoreg": "average-attention"}, "transformer-decoder-autoreg is 'average-attention'"),
        (
            {"transformer-ffn-depth": 3, "transformer-no-projection": True},
            "transformer-ffn-depth is 3, transformer-no-projection is True",
        ),
        ({"transformer-decoder-autoreg": "rnn", "dec-cell": "gru"}, "dec-cell is 'gru'; a Transformer may only"),
        ({"transformer-postprocess": "dnh"}, "transformer-postprocess 'nh'"),
        ({"dim-emb": 0}, "dim-emb is '0'; expected a whole number above 0"),
        ({"transformer-heads": 5}, "num_heads is 5; expected a divisor"),
    ],
)
def test_what_is_not_supported_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "model.npz", OPTIONS | changes, tensors(OPTIONS))
    with pytest.raises(ValueError, match=message) as error:
        fastseq.load_model(path)
    assert "model.npz" in str(error.value)


def test_missing_foreign_and_misshapen_tensors_are_named_at_once(tmp_path: Path) -> None:
    arrays = tensors(OPTIONS) | {"decoder_extra": np.zeros(1, np.float32)}
    del arrays["encoder_l1_self_Wq"]
    arrays["decoder_l1_ffn_b1"] = np.zeros((1, 3), np.float32)
    with pytest.raises(ValueError) as error:
        fastseq.load_model(write(tmp_path / "model.npz", OPTIONS, arrays))
    for words in ("encoder_l1_self_Wq is missing", "b1 has shape (1, 3); expected (1, 20)", "decoder_extra is not exp"):
        assert words in str(error.value)


@pytest.mark.parametrize("text", ["a: {b: c}", "a: b\na: c", "- a", "a: [b", "\tq: 3", 'a: "b', "no key", "a: &b c"])
def test_configurations_that_are_more_than_a_flat_mapping_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"special:model\.yml: line \d"):
        fastseq.load_model(write(tmp_path / "model.npz", OPTIONS, text=text))


def test_scalars_of_flat_yaml() -> None:
    text = "---\n# comment\na: 1\nb: -2.5e3\nc: true\nd:\ne: [x, 'y z', 3]\nf: \"\\x41\"\ng:\n- 1\n- two\n"
    expected = {"a": 1, "b": -2500.0, "c": True, "d": None, "e": ["x", "y z", 3], "f": "A", "g": [1, "two"]}
    assert read_flat_yaml(text) == expected


class Evil:
    def __reduce__(self) -> Any:
        return print, ("this must not be printed",)


def test_archives_with_anything_but_numbers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, evil=np.array([Evil()], object))
    with pytest.raises(ValueError, match=r"model\.npz: array 'evil': its type is \|O; expected numbers"):
        read_npz(path)
    np.savez_compressed(path, a=np.zeros(3))
    with pytest.raises(ValueError, match="array 'a' is compressed"):
        read_npz(path)
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (1 << 50,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("huge.npy", buffer.getvalue())
    with pytest.raises(ValueError, match="array 'huge': it has 0 bytes for shape"):
        read_npz(path)
    np.savez(path, a=np.float64(1e300), b=np.zeros((0, 3), ">i2"))
    assert np.isposinf(read_npz(path)["a"])
    assert read_npz(path)["b"].shape == (0, 3)
    np.savez(path, a=np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)))
    np.testing.assert_array_equal(read_npz(path)["a"], np.arange(6, dtype=np.float32).reshape(2, 3), strict=True)
    with pytest.raises(ValueError, match=r"there is no special:model\.yml"):
        fastseq.load_model(path)
    assert "printed" not in capsys.readouterr().out


@pytest.mark.parametrize("header", [b"{'descr': '<f4", b"{'shape': (2,)}", b"[1]", b"", b"\xff\0", b"((((("])
def test_damaged_headers_are_named(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ValueError, match=r"model\.npz: array 'a': its header is damaged"):
        read_npz(path)


def test_a_directory_that_is_said_to_lie_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, a=np.zeros(3))
    content = path.read_bytes()
    for place in (0, 1 << 31):  # of the central directory, in the last record
        path.write_bytes(content[:-6] + place.to_bytes(4, "little") + content[-2:])
        with pytest.raises(ValueError, match=r"model\.npz"):
            read_npz(path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "model.npz", OPTIONS)
    content = path.read_bytes()
    generator = np.random.default_rng(1)
    for size in (0, 100, len(content) // 2, len(content) - 10):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"model\.npz"):
            fastseq.load_model(path)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[int(generator.integers(len(content)))] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        try:
            fastseq.load_model(path)
        except ValueError as error:
            assert "model.npz" in str(error)
