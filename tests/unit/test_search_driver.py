"""What `beam_search` and `greedy_search` accept, refuse and do with the state of a step function."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import fastseq
from fastseq.search import Ancestors
from fastseq.search.state import reorder_state

START, EOS = 0, 1
TABLE = np.random.default_rng(0).standard_normal((6, 6)).astype(np.float32) * 2


def bigram_step(ids, state):
    return TABLE[ids], state


def search(step=bigram_step, state=None, **options):
    arguments = {"batch_size": 2, "start_id": START, "eos_id": EOS, "num_beams": 3, "max_length": 6, **options}
    return fastseq.beam_search(step, state, **arguments)


Pair = namedtuple("Pair", ["first", "second"])


@dataclasses.dataclass(frozen=True)
class Cache:
    keys: object
    time: int = 0


class Buffer:
    """Knows only the array protocol."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype)


def containers(array):
    return [
        array, {"a": array, "text": "x"}, OrderedDict(a=array), [array, None], (array, 3.5), Pair(array, [array]),
        Cache(array, 7), {"deep": [(Pair(Cache(array), "x"),)]}, Buffer(array), np.array(5),
    ]  # fmt: skip


def arrays_in(state):
    if isinstance(state, (np.ndarray, Buffer)):
        return [np.asarray(state)] if np.ndim(state) else []
    if dataclasses.is_dataclass(state):
        state = vars(state)
    children = state.values() if isinstance(state, dict) else state if isinstance(state, (list, tuple)) else []
    return [array for child in children for array in arrays_in(child)]


def test_every_kind_of_state_is_reordered_and_keeps_its_kind():
    array = np.arange(6).reshape(3, 2)
    for state in containers(array):
        before = [a.copy() for a in arrays_in(state)]
        after = reorder_state(state, np.array([2, 0, 0, 1]), rows=3)
        assert type(after) is type(state) or isinstance(state, Buffer)
        assert len(arrays_in(after)) == len(before)
        for got in arrays_in(after):
            assert np.array_equal(got, array[[2, 0, 0, 1]])
        assert all(np.array_equal(a, b) for a, b in zip(arrays_in(state), before, strict=True))


def test_the_rows_of_the_state_follow_their_beams():
    def step(ids, state):
        prefixes = [np.concatenate([prefix, ids[:, None]], axis=1) for prefix in arrays_in(state)]
        assert all(np.array_equal(prefix, prefixes[0]) for prefix in prefixes)
        seen.append(prefixes[0])
        return TABLE[ids] + 0.3 * len(seen), containers(prefixes[0])

    seen: list[np.ndarray] = []
    results = search(step, containers(np.zeros((2, 0), np.int64)), num_return_sequences=3)
    fed = {tuple(row[1:]) for prefix in seen for row in prefix.tolist()}
    for generation in results:
        for hypothesis in generation.hypotheses:
            kept = hypothesis.tokens if hypothesis.finished else hypothesis.tokens[:-1]
            assert tuple(kept) in fed


def test_reorder_replaces_the_reordering_and_sees_every_move():
    def reorder(state, parents):
        moves.append(parents.tolist())
        return [state[parent] for parent in parents]

    def step(ids, state):
        histories = [[*history, int(i)] for history, i in zip(state, ids, strict=True)]
        assert [history[-1] for history in histories] == ids.tolist()
        return TABLE[ids], histories

    moves: list[list[int]] = []
    assert search(step, [[], []], reorder=reorder) == search()
    assert moves[0] == [0, 0, 0, 1, 1, 1]


def test_states_that_are_refused():
    with pytest.raises(TypeError, match=r"state\['cache'\]\[1\] is of type object.*reorder="):
        search(state={"cache": [None, object()]})
    with pytest.raises(ValueError, match=r"state\.keys has shape \(5, 2\); expected axis 0 to have 2 rows"):
        search(state=Cache(np.zeros((5, 2))))


def test_float16_and_float64_logits_are_taken_as_float32():
    coarse = TABLE.astype(np.float16)
    results = [search(lambda ids, state, d=d: (coarse.astype(d)[ids], state)) for d in ("f2", "f4", "f8")]
    assert results[0] == results[1] == results[2]
    assert search(lambda ids, state: (TABLE[ids][:, ::-1].copy()[:, ::-1], state)) == search()
    assert search(lambda ids, state: (TABLE[ids].tolist(), state)) == search()


def test_torch_logits_and_state():
    torch = pytest.importorskip("torch")
    table = torch.tensor(TABLE, requires_grad=True)

    def step(ids, state):
        history = torch.cat([state["history"], torch.as_tensor(ids)[:, None]], dim=1)
        assert history[:, -1].tolist() == ids.tolist()
        return table[torch.as_tensor(ids)], {"history": history}

    assert search(step, {"history": torch.zeros(2, 0, dtype=torch.long)}) == search()
    half = table.detach().bfloat16()
    widened = half.float().numpy()
    assert search(lambda ids, s: (half[ids], s)) == search(lambda ids, s: (widened[ids], s))


def test_what_a_step_returns_is_checked():
    with pytest.raises(TypeError, match=r"a value of type ndarray; expected \(logits, state\)"):
        search(lambda ids, state: TABLE[ids])
    with pytest.raises(TypeError, match="4 values"):
        search(lambda ids, state: (TABLE[ids], state, None, None))
    with pytest.raises(TypeError, match="dtype int64"):
        search(lambda ids, state: (TABLE[ids].astype(np.int64), state))
    with pytest.raises(ValueError, match=r"shape \(2, 1, 6\); expected \(rows, vocabulary\) = \(2, \*\)"):
        search(lambda ids, state: (TABLE[ids][:, None], state))
    with pytest.raises(ValueError, match="sentence 0"):
        search(lambda ids, state: (TABLE[ids].astype(np.float64) * 1e300, state))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_of_the_step_ends_the_search(error):
    def step(ids, state):
        steps.append(len(ids))
        if len(steps) == 3:
            raise error
        return bigram_step(ids, state)

    steps: list[int] = []
    with pytest.raises(error):
        search(step)
    assert len(steps) == 3


def test_ids_are_int64_and_one_for_each_row():
    def step(ids, state):
        assert ids.dtype == np.int64 and ids.shape == (len(state),)
        return TABLE[ids], state

    search(step, np.zeros(2))


def test_greedy_search_is_one_beam():
    arguments = {"batch_size": 2, "start_id": START, "eos_id": EOS, "max_length": 6}
    assert fastseq.greedy_search(bigram_step, None, **arguments) == search(num_beams=1)
    with pytest.raises(ValueError, match="num_beams is 2"):
        fastseq.greedy_search(bigram_step, None, num_beams=2, **arguments)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"batch_size": -1}, ValueError, "batch_size is -1"),
        ({"batch_size": 1.5}, TypeError, "batch_size is 1.5"),
        ({"num_beams": 0}, ValueError, "num_beams is 0; expected at least 1"),
        ({"num_beams": True}, TypeError, "num_beams is True"),
        ({"start_id": -1}, ValueError, "start_id is -1"),
        ({"start_id": 2**31}, ValueError, r"below 2\*\*31"),
        ({"eos_id": "1"}, TypeError, "eos_id is '1'"),
        ({"eos_id": [1, 1.0]}, TypeError, "eos_id is 1.0"),
        ({"max_lenght": 3}, TypeError, "unknown option max_lenght"),
        ({"num_return_sequences": 4}, ValueError, "num_return_sequences is 4; expected at most num_beams = 3"),
    ],
)
def test_arguments_are_checked_before_the_first_step(options, error, message):
    def step(ids, state):
        raise AssertionError("the step function was called")

    with pytest.raises(error, match=message):
        search(step, **options)


def test_parents_are_passed_and_nothing_is_reordered(backend):
    def step(ids, state, parents):
        assert state is box
        places = ancestors.extend(parents)
        box.extend(ids.tolist())
        histories = np.array(box)[places]
        assert np.array_equal(histories[:, -1], ids)
        seen.append(histories)
        return TABLE[ids] + 0.3 * len(seen), box

    box: list[int] = []
    seen: list[np.ndarray] = []
    ancestors = Ancestors()
    found = search(step, box, pass_parents=True, num_return_sequences=3)
    fed = {tuple(row[1:]) for histories in seen for row in histories.tolist()}
    for generation in found:
        for hypothesis in generation.hypotheses:
            assert tuple(hypothesis.tokens[: hypothesis.steps - 1]) in fed


def test_parents_or_reorder_but_not_both():
    with pytest.raises(ValueError, match="both reorder and pass_parents are given"):
        search(pass_parents=True, reorder=lambda state, parents: state)
    with pytest.raises(TypeError, match="step is of type NoneType; expected a function"):
        search(step=None)
