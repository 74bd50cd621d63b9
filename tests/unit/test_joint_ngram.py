"""The joint n-gram: what it says by its definition, on both backends; its folder; what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastseq
from conftest import needs_native
from fastseq.models import JointNgram, JointNgramConfig
from fastseq.pipelines.verify import verify
from joint_ngrams import LETTERS, PHONEMES, Table, random_pairs, random_table
from tiny_models import BACKENDS


@needs_native
@given(seed=st.integers(0, 10_000), order=st.integers(1, 6), ngrams=st.integers(0, 120))
def test_scores_are_those_of_the_definition(seed: int, order: int, ngrams: int) -> None:
    table = random_table(seed, order, ngrams)
    sources, targets = random_pairs(seed)
    expected = [table.score(source, target) for source, target in zip(sources, targets, strict=True)]
    for backend in BACKENDS:
        scores = table.model(backend).score(sources, targets)
        assert scores.dtype == np.float32
        # Sums of at most seven float32 numbers near 1 each, rounded once to float32 themselves.
        np.testing.assert_allclose(scores, expected, rtol=2e-6, atol=2e-6)


def test_random_pairs_are_of_all_kinds() -> None:
    scores = np.concatenate([random_table(seed).model().score(*random_pairs(seed)) for seed in range(20)])
    assert 40 < np.isfinite(scores).sum() < len(scores) - 40


@needs_native
def test_same_bits_alone_in_any_order_and_with_any_threads() -> None:
    model = random_table(3, ngrams=200).model("native")
    sources, targets = (side * 20 for side in random_pairs(3, 30))
    together = model.score(sources, targets)
    alone = [model.score([source], [target])[0] for source, target in zip(sources, targets, strict=True)]
    assert np.array_equal(together, alone)
    assert np.array_equal(model.score(sources[::-1], targets[::-1]), together[::-1])
    threads = fastseq.get_num_threads()
    try:
        for count in (1, 3):
            fastseq.set_num_threads(count)
            assert np.array_equal(model.score(sources, targets), together)
    finally:
        fastseq.set_num_threads(threads)


def test_nothing_and_the_empty_pair(backend: str) -> None:
    table = random_table(1)
    assert table.model(backend).score([], []).shape == (0,)
    [score] = table.model(backend).score([[]], [[]])
    assert score == pytest.approx(table.log_prob(1, (0,)), rel=1e-6)


def test_folders_come_back(backend: str, tmp_path: Path) -> None:
    table, (sources, targets) = random_table(5), random_pairs(5)
    model = table.model(backend)
    fastseq.save_model(tmp_path, model.config, table.tensors(), model.vocabulary)
    loaded = fastseq.load_model(tmp_path, backend=backend)
    assert isinstance(loaded, JointNgram)
    assert loaded.num_ngrams == len(table.ngrams)
    assert loaded.vocabulary.target == PHONEMES
    assert np.array_equal(loaded.score(sources, targets), model.score(sources, targets))
    with pytest.raises(ValueError, match="compute_type is 'int8'; expected 'float32'"):
        fastseq.load_model(tmp_path, compute_type="int8")
    with pytest.raises(ValueError, match="dtype is 'int8'; expected 'float32' for a joint n-gram"):
        fastseq.save_model(tmp_path, model.config, table.tensors(), model.vocabulary, "int8")


def small() -> Table:
    """Two units, a bigram from the start and one from the first unit."""
    single = {(unit,): [-1.5, 0.0] for unit in range(4)}
    return Table([(-1, ()), (-1, ()), (0, (1,)), (1, ())], single | {(0, 2): [-0.5, 0.0], (2, 3): [-0.25, 0.0]})


NODES = ("nodes.unit", "nodes.num_children", "nodes.log_prob", "nodes.backoff")
BROKEN = {
    "no root": (dict.fromkeys(NODES, np.int32([])), "need a root"),
    "a node that holds itself": ({"nodes.num_children": [0, 6, 0, 0, 0, 0, 0]}, "node 1 .* has 6 children"),
    "too many children": ({"nodes.num_children": [4, 1, 0, 2, 0, 0, 0]}, "node 3 .* no trie of 7"),
    "too few": ({"nodes.num_children": [4, 1, 0, 0, 0, 0, 0]}, "have 7 nodes; their numbers of children say 6"),
    "negative children": ({"nodes.num_children": np.int32([4, -1, 0, 1, 0, 0, 0])}, "node 1 .* has -1 children"),
    "a unit that is not there": ({"nodes.unit": [0, 0, 1, 2, 3, 2, 9]}, "node 6 .* a unit that is not below 4"),
    "a negative unit": ({"nodes.unit": np.int8([0, 0, 1, 2, 3, 2, -1])}, "node 6 .* a unit that is not below 4"),
    "siblings out of order": ({"nodes.unit": [0, 0, 2, 1, 3, 2, 3]}, "node 3 .* does not come after its sibling"),
    "the start in the middle": ({"nodes.unit": [0, 0, 1, 2, 3, 2, 0]}, "node 6 .* the start behind another unit"),
    "no unigram": ({"units.source": [-1, -1, 0, 1, 1], "units.targets": [[-1], [-1], [1], [-1], [0]]}, "unit 4 has no"),
    "probability above 1": ({"log_probs": np.float32([0.5, -1.0, -2.0, 0.0])}, "node .* has no log-probability"),
    "NaN": ({"backoffs": np.float32([np.nan])}, "node 0 .* a back-off weight that is not finite"),
    "weight without children": ({"backoffs": np.float32([-0.5])}, "node 2 .* or no children to back off from"),
    "start with a letter": ({"units.source": [0, -1, 0, 1]}, "unit 0 has source 0; expected -1"),
    "no letter": ({"units.source": [-1, -1, -1, 1]}, "unit 2 has source -1; expected an id"),
    "letter too large": ({"units.source": [-1, -1, 0, 4]}, "unit 3 has source 4; expected an id"),
    "phoneme too large": ({"units.targets": [[-1], [-1], [3], [-1]]}, "unit 2 has target 3; expected an id"),
    "gap": ({"units.targets": np.int8([[-1, -1], [-1, -1], [-1, 1], [-1, -1]])}, "unit 2 has targets behind its last"),
    "end with phoneme": ({"units.targets": [[-1], [1], [1], [-1]]}, "unit 1 has targets behind"),
    "lengths": ({"nodes.unit": [0, 0]}, r"nodes.num_children has 7 rows; expected 2"),
    "index": ({"nodes.log_prob": [9] * 7}, "nodes.log_prob has index 9; expected one of the 4 log_probs"),
    "rank": ({"nodes.unit": [[0, 1]]}, r"nodes.unit has shape \(1, 2\); expected 1 dimensions"),
    "type": ({"nodes.unit": np.zeros(7)}, "nodes.unit has dtype float64; expected integers"),
    "large": ({"nodes.unit": np.full(7, 2**40)}, "nodes.unit has numbers that are no 32-bit integers"),
    "unknown": ({"extra": [1]}, "tensor extra is not expected"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_such_model_is_refused(backend: str, case: str) -> None:
    changes, message = BROKEN[case]
    tensors = small().tensors()
    assert len(tensors["log_probs"]) == 4  # 0 of the root among them
    config = JointNgramConfig(source_vocab_size=2, target_vocab_size=2)
    JointNgram(config, tensors, backend=backend)
    with pytest.raises(ValueError, match=message):
        JointNgram(config, tensors | {name: np.asarray(array) for name, array in changes.items()}, backend=backend)


@needs_native
@given(seed=st.integers(0, 500), data=st.data())
def test_both_backends_refuse_the_same_damage(seed: int, data: st.DataObject) -> None:
    stored = random_table(seed, ngrams=20).tensors()
    tensors = {name: array.copy() if array.dtype.kind == "f" else np.int32(array) for name, array in stored.items()}
    for _ in range(data.draw(st.integers(1, 3))):
        array = tensors[data.draw(st.sampled_from(sorted(tensors)))].reshape(-1)
        place = data.draw(st.integers(0, array.size - 1))
        change = data.draw(st.sampled_from([-2, -1, 1, 2, 1000]))
        array[place] += change
    config = JointNgramConfig(source_vocab_size=len(LETTERS), target_vocab_size=len(PHONEMES))
    results = []
    for backend in BACKENDS:
        try:
            results.append(JointNgram(config, tensors, backend=backend).score(*random_pairs(seed)))
        except ValueError as error:
            results.append(str(error))
    if isinstance(results[0], str):
        assert isinstance(results[1], str)
    else:
        np.testing.assert_allclose(*results, rtol=2e-6, atol=2e-6)


@needs_native
def test_there_is_nothing_to_verify(tmp_path: Path) -> None:
    model = random_table(2).model()
    fastseq.save_model(tmp_path, model.config, random_table(2).tensors(), model.vocabulary)
    with pytest.raises(ValueError, match="is for scoring of pairs; expected a network"):
        verify(tmp_path)


def test_missing_tensors_and_damaged_folders(backend: str, tmp_path: Path) -> None:
    model = random_table(2).model(backend)
    tensors = random_table(2).tensors()
    del tensors["backoffs"]
    with pytest.raises(ValueError, match="tensor backoffs is missing"):
        fastseq.save_model(tmp_path, model.config, tensors, model.vocabulary)
    fastseq.save_model(tmp_path, model.config, random_table(2).tensors(), model.vocabulary)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"target_vocab_size": 2}), "utf-8")
    with pytest.raises(ValueError, match=re.escape("vocab.json: 3 target tokens; expected target_vocab_size = 2")):
        fastseq.load_model(tmp_path)
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors: unit \d+ has target 2; expected an id"):
        fastseq.load_model(tmp_path, backend=backend)


def test_wrong_arguments(backend: str) -> None:
    model = random_table(2).model(backend)
    with pytest.raises(ValueError, match=r"input_ids\[0\]\[0\] is 4; expected a token id"):
        model.score([[len(LETTERS)]], [[0]])
    with pytest.raises(ValueError, match="target_ids has 1 sequences; expected as many as input_ids, 2"):
        model.score([[0], [1]], [[0]])
    with pytest.raises(ValueError, match="the model has no vocabulary"):
        _ = JointNgram(model.config, random_table(2).tensors(), backend=backend).vocabulary
    with pytest.raises(ValueError, match=r"is not saved in this form|runs on 'numpy'"):
        model.save_pretrained("nowhere")
