"""Transformers of Marian in `.npz` files.

Marian itself is a C++ program that cannot be installed here: the model is written down a second time in PyTorch from
its definition (`src/models/transformer.h`), one sentence at a time, in float64. In float32 a logit is off by a few
hundred roundings of numbers of at most the size of the largest.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

import fastseq  # noqa: E402
from fastseq.weights.flat_yaml import read_flat_yaml  # noqa: E402
from fastseq.weights.npz import read_npz  # noqa: E402

HIDDEN, INNER, HEADS, VOCAB = 12, 20, 3, (9, 7)
OPTIONS = {
    "type": "transformer",
    "dim-emb": HIDDEN,
    "dim-vocabs": list(VOCAB),
    "enc-depth": 2,
    "dec-depth": 2,
    "transformer-dim-ffn": INNER,
    "transformer-heads": HEADS,
    "transformer-ffn-activation": "swish",
    "transformer-ffn-depth": 2,
    "transformer-preprocess": "",
    "transformer-postprocess": "dan",
    "transformer-postprocess-top": "",
    "transformer-decoder-autoreg": "self-attention",
    "transformer-tied-layers": [],
    "tied-embeddings-all": False,
    "tied-embeddings": False,
    "version": "v1.12.0 abc",
}
PRE = {"transformer-preprocess": "n", "transformer-postprocess": "da", "transformer-postprocess-top": "n"}
VARIANTS: list[dict[str, Any]] = [
    {},
    PRE | {"transformer-ffn-activation": "relu"},
    {"tied-embeddings-all": True, "dim-vocabs": [7, 7]},
    {"tied-embeddings": True, "dec-depth": 1},
]
SENTENCES = [([3, 4, 6, 0], [2, 5, 4]), ([0], []), ([5, 5, 2, 3, 6, 4, 0], [6, 1, 2, 2, 3])]


def yaml_of(options: dict[str, Any]) -> str:
    """As yaml-cpp writes it."""
    lines = []
    for name, value in options.items():
        if isinstance(value, list):
            lines += [f"{name}:", *(f"  - {item}" for item in value)] if value else [f"{name}: []"]
        else:
            shown = str(value).lower() if isinstance(value, bool) else value
            lines.append(f'{name}: "{shown}"' if value == "" else f"{name}: {shown}")
    return "\n".join(lines) + "\n"


def tensors(options: dict[str, Any]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    source, target = options["dim-vocabs"]
    shapes: dict[str, tuple[int, ...]] = {"decoder_ff_logit_out_b": (1, target)}
    if options["tied-embeddings-all"]:
        shapes["Wemb"] = (source, HIDDEN)
    else:
        shapes |= {"encoder_Wemb": (source, HIDDEN), "decoder_Wemb": (target, HIDDEN)}
        if not options["tied-embeddings"]:
            shapes["decoder_ff_logit_out_W"] = (HIDDEN, target)
    pre = options["transformer-preprocess"] == "n"
    for part, depth in (("encoder", options["enc-depth"]), ("decoder", options["dec-depth"])):
        for i in range(1, depth + 1):
            norms = [f"{part}_l{i}_ffn_ffn"]
            for block in ("self", "context") if part == "decoder" else ("self",):
                norms.append(f"{part}_l{i}_{block}_Wo")
                for kind in "qkvo":
                    shapes[f"{part}_l{i}_{block}_W{kind}"] = (HIDDEN, HIDDEN)
                    shapes[f"{part}_l{i}_{block}_b{kind}"] = (1, HIDDEN)
            shapes |= {f"{part}_l{i}_ffn_W1": (HIDDEN, INNER), f"{part}_l{i}_ffn_b1": (1, INNER)}
            shapes |= {f"{part}_l{i}_ffn_W2": (INNER, HIDDEN), f"{part}_l{i}_ffn_b2": (1, HIDDEN)}
            for name in norms:
                shapes |= {f"{name}_ln_{kind}{'_pre' * pre}": (1, HIDDEN) for kind in ("scale", "bias")}
        if pre:
            shapes |= {f"{part}_top_ln_{kind}": (1, HIDDEN) for kind in ("scale", "bias")}
    return {name: generator.uniform(-0.6, 0.6, shape).astype(np.float32) for name, shape in shapes.items()}


def write(path: Path, options: dict[str, Any], arrays: dict[str, np.ndarray] | None = None, text: str = "") -> Path:
    config = np.frombuffer((text or yaml_of(options)).encode() + b"\0", np.int8)
    np.savez(path, **(tensors(options) if arrays is None else arrays), **{"special:model.yml": config})
    return path


class Written:
    """The model as Marian defines it."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.o = options
        self.w = {name: torch.tensor(array).double() for name, array in tensors(options).items()}

    def affine(self, x: Any, name: str, kind: str) -> Any:
        return x @ self.w[f"{name}_W{kind}"] + self.w[f"{name}_b{kind}"]

    def norm(self, x: Any, name: str, suffix: str = "") -> Any:
        scale, bias = (self.w[f"{name}_ln_{kind}{suffix}"][0] for kind in ("scale", "bias"))
        return F.layer_norm(x, (HIDDEN,), scale, bias, 1e-6)

    def process(self, ops: str, x: Any, name: str, before: Any = None, suffix: str = "") -> Any:
        for op in ops:
            if op == "n":
                x = self.norm(x, name, suffix)
            elif op == "a":
                x = x + before
        return x

    def block(self, x: Any, name: str, function: Any) -> Any:
        inner = self.process(self.o["transformer-preprocess"], x, name, suffix="_pre")
        return self.process(self.o["transformer-postprocess"], function(inner), name, x)

    def attention(self, query: Any, memory: Any, name: str, mask: Any = None) -> Any:
        q, k, v = (self.affine(x, name, kind) for x, kind in ((query, "q"), (memory, "k"), (memory, "v")))
        heads = [x.view(len(x), HEADS, -1).transpose(0, 1) for x in (q, k, v)]
        scores = heads[0] @ heads[1].transpose(1, 2) / math.sqrt(HIDDEN // HEADS)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        joined = (scores.softmax(-1) @ heads[2]).transpose(0, 1).reshape(len(query), HIDDEN)
        return self.affine(joined, name, "o")

    def feed_forward(self, x: Any, name: str) -> Any:
        activation = {"swish": F.silu, "relu": F.relu}[self.o["transformer-ffn-activation"]]
        return self.affine(activation(self.affine(x, name, "1")), name, "2")

    def positions(self, x: Any) -> Any:
        half = HIDDEN // 2
        scales = torch.exp(torch.arange(half).double() * (-math.log(10000.0) / (half - 1)))
        angles = torch.arange(len(x)).double()[:, None] * scales
        return math.sqrt(HIDDEN) * x + torch.cat((angles.sin(), angles.cos()), 1)

    def logits(self, source: list[int], target: list[int]) -> Any:
        table = "{}_Wemb" if not self.o["tied-embeddings-all"] else "Wemb"
        x = self.positions(self.w[table.format("encoder")][source])
        for i in range(1, self.o["enc-depth"] + 1):
            x = self.block(x, f"encoder_l{i}_self_Wo", lambda y, i=i: self.attention(y, y, f"encoder_l{i}_self"))
            x = self.block(x, f"encoder_l{i}_ffn_ffn", lambda y, i=i: self.feed_forward(y, f"encoder_l{i}_ffn"))
        memory = self.process(self.o["transformer-postprocess-top"], x, "encoder_top")
        embedding = self.w[table.format("decoder")]
        x = self.positions(torch.cat((torch.zeros(1, HIDDEN).double(), embedding[target])))
        causal = torch.ones(len(x), len(x)).tril().bool()
        for i in range(1, self.o["dec-depth"] + 1):
            n = f"decoder_l{i}"
            x = self.block(x, f"{n}_self_Wo", lambda y, n=n: self.attention(y, y, f"{n}_self", causal))
            x = self.block(x, f"{n}_context_Wo", lambda y, n=n: self.attention(y, memory, f"{n}_context"))
            x = self.block(x, f"{n}_ffn_ffn", lambda y, n=n: self.feed_forward(y, f"{n}_ffn"))
        x = self.process(self.o["transformer-postprocess-top"], x, "decoder_top")
        tied = self.o["tied-embeddings-all"] or self.o["tied-embeddings"]
        weight = embedding.T if tied else self.w["decoder_ff_logit_out_W"]
        return x @ weight + self.w["decoder_ff_logit_out_b"]


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
    with pytest.raises(ValueError, match=r"model\.npz: array 'evil': its type is object; expected numbers"):
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
    np.savez(path, a=np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)))
    np.testing.assert_array_equal(read_npz(path)["a"], np.arange(6, dtype=np.float32).reshape(2, 3), strict=True)
    with pytest.raises(ValueError, match=r"there is no special:model\.yml"):
        fastseq.load_model(path)
    assert "printed" not in capsys.readouterr().out


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
