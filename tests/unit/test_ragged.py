"""The Cython loops over Python objects: ids in, flat arrays out, and batches by a budget of tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ragged = pytest.importorskip("fastseq._ragged")


@given(st.lists(st.lists(st.integers(0, 99))))
def test_flatten_and_back(sequences):
    ids, offsets = ragged.flatten(sequences, 100, "input_ids")
    assert ids.dtype == np.int32
    assert offsets.tolist() == [sum(map(len, sequences[:b])) for b in range(len(sequences) + 1)]
    assert ragged.unflatten(ids, offsets) == sequences


def test_rows_may_be_arrays():
    ids, offsets = ragged.flatten([np.array([1, 2]), (3,), range(2)], 10, "input_ids")
    assert ids.tolist() == [1, 2, 3, 0, 1]
    assert offsets.tolist() == [0, 2, 3, 5]


@pytest.mark.parametrize("wrong", [-1, 10, 2**40, 2**80, -(2**80)])
def test_an_id_out_of_range_is_named(wrong):
    with pytest.raises(ValueError, match=rf"input_ids\[1\]\[2\] is {wrong}; expected a token id in \[0, 10\)"):
        ragged.flatten([[1], [2, 3, wrong]], 10, "input_ids")


@pytest.mark.parametrize("wrong", [1.0, "1", None, True, [1]])
def test_an_id_that_is_no_number_is_named(wrong):
    with pytest.raises(TypeError, match=r"input_ids\[0\]\[1\] is .*; expected a token id"):
        ragged.flatten([[1, wrong]], 10, "input_ids")


@pytest.mark.parametrize("wrong", [7, "text", b"bytes", None])
def test_a_sequence_that_is_none_is_named(wrong):
    with pytest.raises(TypeError, match=r"input_ids\[1\] is \w+; expected a sequence"):
        ragged.flatten([[1], wrong], 10, "input_ids")


@given(st.lists(st.integers(0, 50)), st.integers(1, 200))
def test_batches_hold_every_sequence_once_within_the_budget(lengths, max_tokens):
    batches = ragged.token_batches(lengths, max_tokens)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or len(batch) * longest <= max_tokens or longest == 0
    in_order = [lengths[i] for batch in batches for i in batch]
    assert in_order == sorted(lengths, reverse=True)
