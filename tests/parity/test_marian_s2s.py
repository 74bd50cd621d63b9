"""Recurrent models of Marian (type "s2s").

Marian itself, a C++ program, is not installed: the model is written down a second time in PyTorch from its definition
(`src/models/s2s.h`, `src/rnn/cells.h`, `src/rnn/attention.h`), one sentence at a time, in float64. In float32 a logit
is off by a few hundred roundings of numbers of at most the size of the largest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_marian import write  # noqa: E402

import fastseq  # noqa: E402

EMBEDDING, HIDDEN, VOCAB = 5, 6, (9, 7)
OPTIONS: dict[str, Any] = {
    "type": "s2s",
    "dim-emb": EMBEDDING,
    "dim-rnn": HIDDEN,
    "dim-vocabs": list(VOCAB),
    "enc-type": "bidirectional",
    "enc-cell": "gru",
    "enc-cell-depth": 1,
    "enc-depth": 1,
    "dec-cell": "gru",
    "dec-cell-base-depth": 2,
    "dec-cell-high-depth": 1,
    "dec-depth": 1,
    "skip": False,
    "layer-normalization": False,
    "tied-embeddings": False,
    "tied-embeddings-all": False,
    "version": "v1.12.0 abc",
}
DEEP = {"enc-cell-depth": 3, "dec-cell-base-depth": 4, "dec-depth": 3, "dec-cell-high-depth": 2, "skip": True}
VARIANTS: list[dict[str, Any]] = [
    {},
    DEEP | {"enc-type": "alternating", "enc-depth": 3, "tied-embeddings": True},
    DEEP | {"enc-type": "bi-unidirectional", "enc-depth": 3, "dim-vocabs": [7, 7], "tied-embeddings-all": True},
    {"enc-depth": 2, "enc-cell": "gru-nematus", "dec-cell": "gru-nematus", "dec-depth": 2},
]
SENTENCES = [([3, 4, 6, 0], [2, 5, 4]), ([0], []), ([5, 5, 2, 3, 6, 4, 0], [6, 1, 2, 2, 3])]


class Written:
    """The model as Marian defines it; `w` grows the parameters that it asks for."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.o, self.w = options, {}
        self.generator = np.random.default_rng(0)
        self.logits([1, 0], [1])  # every parameter is used

    def param(self, name: str, *shape: int) -> Any:
        if name not in self.w:
            self.w[name] = self.generator.uniform(-0.6, 0.6, shape).astype(np.float32)
        assert self.w[name].shape == shape
        return torch.tensor(self.w[name]).double()

    def affine(self, x: Any, name: str, size: int, suffix: str = "") -> Any:
        return x @ self.param(f"{name}_W{suffix}", x.shape[-1], size) + self.param(f"{name}_b{suffix}", 1, size)[0]

    def gru(self, name: str, x: Any, state: Any, final: bool = False) -> Any:
        """gruOps: x W and s U of r, z and the candidate, the bias of which `final` moves behind the reset gate."""

        def both(kind: str, rows: int) -> Any:
            return torch.cat((self.param(name + kind, rows, 2 * HIDDEN), self.param(f"{name}{kind}x", rows, HIDDEN)), 1)

        xw = torch.zeros(3 * HIDDEN).double() if x is None else x @ both("_W", len(x))
        su, b = state @ both("_U", HIDDEN), both("_b", 1)[0]
        r, z = (torch.sigmoid((xw + su + b)[i * HIDDEN : (i + 1) * HIDDEN]) for i in range(2))
        xw, su, b = xw[2 * HIDDEN :], su[2 * HIDDEN :], b[2 * HIDDEN :]
        h = torch.tanh(xw + (su + b) * r) if final else torch.tanh(xw + su * r + b)
        return (1 - z) * h + z * state

    def stack(self, xs: Any, names: list[list[str]], reverse: list[bool]) -> Any:
        for i, cells in enumerate(names):
            state, outputs = torch.zeros(HIDDEN).double(), [None] * len(xs)
            for t in range(len(xs))[:: -1 if reverse[i] else 1]:
                for j, cell in enumerate(cells):
                    state = self.gru(cell, None if j else xs[t], state)
                outputs[t] = state
            xs = torch.stack(outputs) + (xs if self.o["skip"] and i else 0)
        return xs

    def encode(self, source: list[int]) -> Any:
        kind, depth = self.o["enc-type"], range(1, self.o["enc-cell-depth"] + 1)
        first = 1 if kind == "bi-unidirectional" else self.o["enc-depth"]
        name = "Wemb" if self.o["tied-embeddings-all"] else "encoder_Wemb"
        xs, sides = self.param(name, self.o["dim-vocabs"][0], EMBEDDING)[source], []
        for prefix, backward in (("encoder_bi", False), ("encoder_bi_r", True)):
            names = []
            for i in range(1, first + 1):
                layer = [prefix + (f"_l{i}" if i > 1 else "") for _ in depth]
                names.append([n + (f"_cell{j}" if i > 1 or j > 1 else "") for n, j in zip(layer, depth, strict=True)])
            flip = [kind == "alternating" and i % 2 == 1 for i in range(first)]
            sides.append(self.stack(xs, names, [backward != other for other in flip]))
        memory = torch.cat(sides, 1)
        names = [[f"encoder_l{i}_cell{j}" for j in depth] for i in range(first + 1, self.o["enc-depth"] + 1)]
        return self.stack(memory, names, [False] * len(names))

    def attend(self, state: Any, memory: Any) -> Any:
        size = memory.shape[1]
        mapped = memory @ self.param("decoder_Wc_att", size, size) + self.param("decoder_b_att", 1, size)
        query = state @ self.param("decoder_W_comb_att", HIDDEN, size)
        return (torch.tanh(mapped + query) @ self.param("decoder_U_att", size, 1))[:, 0].softmax(0) @ memory

    def logits(self, source: list[int], target: list[int]) -> Any:
        memory = self.encode(source)
        tied = "Wemb" if self.o["tied-embeddings-all"] else "decoder_Wemb"
        table = self.param(tied, self.o["dim-vocabs"][1], EMBEDDING)
        words = torch.cat((torch.zeros(1, EMBEDDING).double(), table[target]))
        start = torch.tanh(self.affine(memory.mean(0), "decoder_ff_state", HIDDEN))
        states, outputs = [start] * self.o["dec-depth"], []
        for word in words:
            state = self.gru("decoder_cell1", word, states[0])
            context = self.attend(state, memory)
            for i in range(2, self.o["dec-cell-base-depth"] + 1):
                state = self.gru(f"decoder_cell{i}", context if i == 2 else None, state, final=True)
            top, following = state, [state]
            for i in range(2, self.o["dec-depth"] + 1):
                state = states[i - 1]
                for j in range(1, self.o["dec-cell-high-depth"] + 1):
                    state = self.gru(f"decoder_l{i}_cell{j}", None if j > 1 else top, state)
                top = state + top if self.o["skip"] else state
                following.append(state)
            states = following
            name = "decoder_ff_logit_l1"
            parts = [self.affine(x, name, EMBEDDING, str(i)) for i, x in enumerate((word, top, context))]
            outputs.append(torch.tanh(sum(parts)))
        hidden = torch.stack(outputs)
        if self.o["tied-embeddings"] or self.o["tied-embeddings-all"]:
            return hidden @ table.T + self.param("decoder_ff_logit_l2_b", 1, len(table))[0]
        return self.affine(hidden, "decoder_ff_logit_l2", len(table))


def written(changes: dict[str, Any]) -> Written:
    return Written(OPTIONS | changes)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_files_compute_what_the_definition_says(changes: dict[str, Any], backend: str, tmp_path: Path) -> None:
    definition = written(changes)
    model = fastseq.load_model(write(tmp_path / "model.npz", definition.o, definition.w))
    sources, targets = [s for s, _ in SENTENCES], [[model.config.bos_token_id, *t] for _, t in SENTENCES]
    for memory, source in zip(model.encode(sources), sources, strict=True):
        np.testing.assert_allclose(memory, definition.encode(source).numpy(), rtol=0, atol=1e-5)
    for mine, (source, target) in zip(model.decode(sources, targets), SENTENCES, strict=True):
        np.testing.assert_allclose(mine[:, :-1], definition.logits(source, target).numpy(), rtol=0, atol=1e-5)
        assert (mine[:, -1] < -1e8).all()


@pytest.mark.parametrize("changes", VARIANTS[:2], ids=str)
@pytest.mark.parametrize("beams", [1, 3])
def test_generated_tokens_are_those_of_a_search_over_the_definition(
    changes: dict[str, Any], beams: int, backend: str, tmp_path: Path
) -> None:
    definition = written(changes)
    model = fastseq.load_model(write(tmp_path / "model.npz", definition.o, definition.w))
    sources = [source for source, _ in SENTENCES]

    def step(ids: Any, state: Any) -> Any:
        prefixes = np.concatenate((state["prefix"], ids[:, None]), axis=1)
        pairs = zip(state["of"], prefixes, strict=True)
        rows = [definition.logits(sources[int(b)], list(prefix[1:]))[-1] for b, prefix in pairs]
        return torch.stack(rows).float().numpy(), {"prefix": prefixes, "of": state["of"]}

    start = {"prefix": np.zeros((len(sources), 0), np.int64), "of": np.arange(len(sources))}
    search = {"num_beams": beams, "max_length": 6}
    expected = fastseq.beam_search(step, start, batch_size=len(sources), start_id=0, eos_id=0, **search)
    found = model.generate(sources, **search)
    assert [mine.tokens for mine in found] == [theirs.tokens for theirs in expected]
    assert [mine.score for mine in found] == pytest.approx([theirs.score for theirs in expected], abs=1e-4)


@pytest.mark.parametrize("compute_type", ["float32", "bfloat16", "int8"])
def test_a_sentence_has_the_same_bits_in_any_batch_and_both_backends_agree(compute_type: str, tmp_path: Path) -> None:
    definition = written(VARIANTS[1])
    path = write(tmp_path / "model.npz", definition.o, definition.w)
    model = fastseq.load_model(path, compute_type=compute_type, backend="native")
    sources, targets = [s for s, _ in SENTENCES], [[7, *t] for _, t in SENTENCES]
    together = model.decode(sources, targets)
    for source, target, logits in zip(sources, targets, together, strict=True):
        np.testing.assert_array_equal(logits, model.decode([source], [target])[0])
    for source, found in zip(sources, model.generate(sources, max_new_tokens=3, return_attention=True), strict=True):
        [alone] = model.generate([source], max_new_tokens=3, return_attention=True)
        np.testing.assert_array_equal(found.hypotheses[0].attention, alone.hypotheses[0].attention)
        np.testing.assert_allclose(found.hypotheses[0].attention.sum(1), 1, atol=1e-5)
    numpy = fastseq.load_model(path, compute_type=compute_type, backend="numpy")
    # A rounding may move a number to the next int8 step, 1/127 of its row's largest.
    tolerance = 0.05 if compute_type == "int8" else 1e-4
    for mine, theirs in zip(together, numpy.decode(sources, targets), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance)
    fastseq.save_model(tmp_path / "own", model.config, model_tensors(path))
    again = fastseq.load_model(tmp_path / "own", compute_type=compute_type, backend="native")
    for mine, theirs in zip(together, again.decode(sources, targets), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def model_tensors(path: Path) -> dict[str, Any]:
    from fastseq.models.marian_npz import read_marian

    return read_marian(path)[1]


def test_output_weights_of_newer_files_are_transposed(tmp_path: Path) -> None:
    definition = written({})
    old = fastseq.load_model(write(tmp_path / "old.npz", definition.o, definition.w)).score([[3, 0]], [[2, 4]])
    arrays = dict(definition.w)
    arrays["decoder_ff_logit_l2_Wt"] = np.ascontiguousarray(arrays.pop("decoder_ff_logit_l2_W").T)
    new = fastseq.load_model(write(tmp_path / "new.npz", definition.o, arrays)).score([[3, 0]], [[2, 4]])
    np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enc-cell": "lstm", "dec-cell": "mlstm"}, "enc-cell is 'lstm', dec-cell is 'mlstm'"),
        ({"layer-normalization": True}, "layer-normalization is True"),
        ({"dec-cell-base-depth": 1}, "decoder_base_depth is 1; expected 2 or more"),
        ({"enc-cell-depth": 1000}, "encoder_depth is 1000; expected at most 64"),
        ({"dim-rnn": 0}, "dim-rnn is '0'; expected a whole number above 0"),
        ({"dec-depth": 2}, "decoder_l2_cell1_U is missing"),
    ],
)
def test_what_is_not_supported_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as error:
        fastseq.load_model(write(tmp_path / "model.npz", OPTIONS | changes, written({}).w))
    assert "model.npz" in str(error.value)
