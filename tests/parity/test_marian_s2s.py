"""Recurrent models of Marian (type "s2s").

Marian itself, a C++ program, is not installed: the model is written down a second time in `torch_marian_s2s.py`, in
float64. In float32 a logit is off by a few hundred roundings of numbers of at most the size of the largest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_marian import write  # noqa: E402
from torch_marian_s2s import OPTIONS, SENTENCES, Written  # noqa: E402

import fastseq  # noqa: E402

DEEP = {"enc-cell-depth": 3, "dec-cell-base-depth": 4, "dec-depth": 3, "dec-cell-high-depth": 2, "skip": True}
VARIANTS: list[dict[str, Any]] = [
    {},
    DEEP | {"enc-type": "alternating", "enc-depth": 3, "tied-embeddings": True},
    DEEP | {"enc-type": "bi-unidirectional", "enc-depth": 3, "dim-vocabs": [7, 7], "tied-embeddings-all": True},
    {"enc-depth": 2, "enc-cell": "gru-nematus", "dec-cell": "gru-nematus", "dec-depth": 2},
]
NORMED = {"layer-normalization": True}


def cells(encoder: str, decoder: str) -> dict[str, Any]:
    return {"enc-cell": encoder, "dec-cell": decoder}


# All cells with and without norms, alone and where they may be in layers of several; multiplicative ones may not.
CELLS = [
    DEEP | cells("lstm", "lstm"),
    DEEP | cells("tanh", "relu") | {"enc-type": "alternating", "enc-depth": 2},
    cells("mlstm", "mgru") | {"dec-depth": 2, "enc-depth": 2, "enc-type": "bi-unidirectional", "skip": True},
    cells("mgru", "mlstm") | {"dec-depth": 2},
    cells("relu", "tanh"),
    NORMED | DEEP | {"enc-type": "bi-unidirectional", "enc-depth": 2},
    NORMED | DEEP | cells("lstm", "lstm"),
    NORMED | {"enc-cell-depth": 3, "dec-cell-base-depth": 4, "dec-depth": 2} | cells("gru-nematus", "gru-nematus"),
    NORMED | DEEP | cells("relu", "tanh"),
    NORMED | cells("tanh", "relu") | {"tied-embeddings": True},
    NORMED | cells("mlstm", "mgru") | {"dec-depth": 2, "enc-depth": 2},
    NORMED | cells("mgru", "mlstm"),
]


def written(changes: dict[str, Any]) -> Written:
    return Written(OPTIONS | changes)


@pytest.mark.parametrize("changes", VARIANTS + CELLS, ids=str)
def test_files_compute_what_the_definition_says(changes: dict[str, Any], backend: str, tmp_path: Path) -> None:
    definition = written(changes)
    model = fastseq.load_model(write(tmp_path / "model.npz", definition.o, definition.w))
    sources, targets = [s for s, _ in SENTENCES], [[model.config.bos_token_id, *t] for _, t in SENTENCES]
    for memory, source in zip(model.encode(sources), sources, strict=True):
        np.testing.assert_allclose(memory, definition.encode(source).numpy(), rtol=0, atol=1e-5)
    for mine, (source, target) in zip(model.decode(sources, targets), SENTENCES, strict=True):
        np.testing.assert_allclose(mine[:, :-1], definition.logits(source, target).numpy(), rtol=0, atol=1e-5)
        assert (mine[:, -1] < -1e8).all()


@pytest.mark.parametrize("changes", [*VARIANTS[:2], CELLS[0], CELLS[6]], ids=str)
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


@pytest.mark.parametrize("changes", [VARIANTS[1], CELLS[0], CELLS[7], CELLS[10]], ids=str)
@pytest.mark.parametrize("compute_type", ["float32", "bfloat16", "int8"])
def test_a_sentence_has_the_same_bits_in_any_batch_and_both_backends_agree(
    compute_type: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    definition = written(changes)
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
        (cells("sru", "ssru"), "enc-cell is 'sru', dec-cell is 'ssru'"),
        ({"original-type": "nematus"}, "original-type is 'nematus'"),
        (NORMED, "encoder_bi_gamma2 is missing.*decoder_att_gamma1 is missing.*decoder_ff_state_gamma is missing"),
        (cells("lstm", "gru"), r"encoder_bi_U has shape \(6, 12\); expected \(6, 24\)"),
        (
            cells("mlstm", "gru") | {"enc-cell-depth": 2},
            "encoder_depth is 2; encoder_cell 'multiplicative_lstm' needs 1",
        ),
        (cells("gru", "mgru") | {"dec-cell-base-depth": 3}, "decoder_base_depth is 3; .* needs 2"),
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
