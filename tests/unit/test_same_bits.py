"""What comes out for one input does not depend on its batch, padding, threads or instruction set: not in one bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import fastseq
from conftest import needs_native
from fastseq import _backend, functional, nn

pytestmark = needs_native

N = 12  # items of each case
LENGTHS = np.random.default_rng(3).integers(0, 40, N)
LENGTHS[:2] = 39, 0
Compute = Callable[[list[int]], list[np.ndarray]]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.fixture(autouse=True)
def _native() -> Iterator[None]:
    config, threads = _backend.get("native").config(), fastseq.get_num_threads()
    with fastseq.use_backend("native"):
        yield
    _backend.get("native").use_isa(config["isa"])
    fastseq.set_num_threads(threads)


def rowwise(function: Callable[[np.ndarray], object], *shape: int) -> Compute:
    """A case whose items are rows of one array; the function may return several arrays."""
    rows = normal(N, *shape) * 3

    def compute(items: list[int]) -> list[np.ndarray]:
        result = function(rows[items])
        arrays = result if isinstance(result, tuple) else (result,)
        return [np.concatenate([np.ravel(a[i]).astype(np.float64) for a in arrays]) for i in range(len(items))]

    return compute


def cell(name: str, gates: int, **options: str) -> Compute:
    size, hidden = 65, 130
    weights = normal(gates * hidden, size) / 8, normal(gates * hidden, hidden) / 8, normal(gates * hidden)

    def step(rows: np.ndarray) -> object:
        x, h, c = np.split(rows, [size, size + hidden], axis=1)
        state = (h, c) if name == "lstm_cell" else h
        return getattr(functional, name)(x, state, *weights, weights[2], **options)

    return rowwise(step, size + 2 * hidden)


def recurrent(name: str, **options: object) -> Compute:
    """Whole sequences, alone without padding and together with lengths; outputs and last states."""
    sequences = normal(N, LENGTHS.max(), 33)

    def compute(items: list[int]) -> list[np.ndarray]:
        layer = getattr(nn, name)(33, 130, num_layers=2, bidirectional=True, batch_first=True, seed=0, **options)
        steps = max(LENGTHS[items])
        output, last = layer(sequences[items, :steps], lengths=LENGTHS[items])
        last = np.concatenate(last) if name == "LSTM" else last
        return [np.append(output[i, : LENGTHS[b]], last[:, i]) for i, b in enumerate(items)]

    return compute


def attention(padded: str) -> Compute:
    """Multi-head attention of ragged sequences, the padding masked by booleans or by numbers."""
    sequences = normal(N, LENGTHS.max(), 48)
    layer = nn.MultiheadAttention(48, 3, batch_first=True, seed=0)

    def compute(items: list[int]) -> list[np.ndarray]:
        steps = max(LENGTHS[items])
        hidden = np.arange(steps) >= LENGTHS[items, None]
        mask = hidden if padded == "bool" else np.where(hidden, np.float32(-np.inf), np.float32(0))
        x = sequences[items, :steps]
        output, weights = layer(x, x, x, mask)
        return [np.append(output[i, : LENGTHS[b]], weights[i, : LENGTHS[b], : LENGTHS[b]]) for i, b in enumerate(items)]

    return compute


def scores(name: str) -> Compute:
    keys = LENGTHS.max()
    query, key, value = normal(N, 3, 33), normal(N, keys, 65), normal(N, keys, 17)
    weights = {
        "additive_attention": (normal(40, 33), normal(40, 65), normal(40), normal(40)),
        "multiplicative_attention": (normal(33, 65),),
    }[name]

    def compute(items: list[int]) -> list[np.ndarray]:
        steps = max(LENGTHS[items])
        context, share = getattr(functional, name)(
            query[items], key[items, :steps], value[items, :steps], *weights, lengths=LENGTHS[items]
        )
        return [np.append(context[i], share[i, :, : LENGTHS[b]]) for i, b in enumerate(items)]

    return compute


def transformer(name: str, norm_first: bool) -> Compute:
    source, target = normal(N, LENGTHS.max(), 48), normal(N, 5, 48)
    layer = getattr(nn, name)(48, 3, 130, activation="gelu", norm_first=norm_first, batch_first=True, seed=0)

    def compute(items: list[int]) -> list[np.ndarray]:
        steps = max(LENGTHS[items])
        hidden = np.arange(steps) >= LENGTHS[items, None]
        x = source[items, :steps]
        if name == "TransformerEncoderLayer":
            output = layer(x, src_key_padding_mask=hidden)
            return [output[i, : LENGTHS[b]] for i, b in enumerate(items)]
        return list(layer(target[items], x, memory_key_padding_mask=hidden, tgt_is_causal=True))

    return compute


weight, bias, table = normal(130, 300), normal(130), normal(N, 33)
CASES: dict[str, Callable[[], Compute]] = {
    **{
        name: lambda name=name: rowwise(getattr(functional, name), 77)
        for name in ("relu", "tanh", "sigmoid", "silu", "exp", "gelu", "softmax", "log_softmax")
    },
    "gelu by tanh": lambda: rowwise(lambda x: functional.gelu(x, approximate="tanh"), 77),
    "linear": lambda: rowwise(lambda x: functional.linear(x, weight, bias), 9, 300),
    "linear, long rows": lambda: rowwise(lambda x: functional.linear(x, normal(33, 1500)), 1500),
    "embedding": lambda: rowwise(lambda x: functional.embedding(np.abs(x).astype(int) % N, table), 7),
    "layer_norm": lambda: rowwise(lambda x: functional.layer_norm(x, 77), 77),
    "rms_norm": lambda: rowwise(lambda x: functional.rms_norm(x, 77), 77),
    "log_softmax_topk": lambda: rowwise(lambda x: functional.log_softmax_topk(x, 7, x[:, 0]), 8000),
    "scaled_dot_product_attention": lambda: rowwise(
        lambda x: functional.scaled_dot_product_attention(x[:, :2], x[:, 2:4], x[:, 4:], is_causal=True), 6, 70, 33
    ),
    "rnn_cell": lambda: cell("rnn_cell", 1, nonlinearity="relu"),
    "lstm_cell": lambda: cell("lstm_cell", 4),
    "gru_cell": lambda: cell("gru_cell", 3),
    "RNN": lambda: recurrent("RNN", nonlinearity="relu"),
    "LSTM": lambda: recurrent("LSTM"),
    "GRU": lambda: recurrent("GRU"),
    "additive_attention": lambda: scores("additive_attention"),
    "multiplicative_attention": lambda: scores("multiplicative_attention"),
    "MultiheadAttention": lambda: attention("bool"),
    "MultiheadAttention, mask of numbers": lambda: attention("float"),
    **{
        f"Transformer{part}Layer, {'pre' if first else 'post'}-norm": (
            lambda part=part, first=first: transformer(f"Transformer{part}Layer", first)
        )
        for part in ("Encoder", "Decoder")
        for first in (True, False)
    },
}
ALL = list(range(N))


def assert_same(actual: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for a, b in zip(actual, expected, strict=True):
        assert np.array_equal(a, b, equal_nan=True)


@pytest.fixture(params=list(CASES))
def compute(request: pytest.FixtureRequest) -> Compute:
    return CASES[request.param]()


def test_alone_in_pairs_and_in_another_order(compute):
    together = compute(ALL)
    assert any(array.any() for array in together)
    for i in ALL:
        assert_same(compute([i]), [together[i]])
    for i in ALL[1:]:
        assert_same(compute([i, i - 1]), [together[i], together[i - 1]])
    order = np.random.default_rng(0).permutation(N).tolist()
    assert_same(compute(order), [together[i] for i in order])


def test_one_two_or_five_threads(compute):
    fastseq.set_num_threads(1)
    expected = compute(ALL)
    for threads in (2, 5):
        fastseq.set_num_threads(threads)
        assert_same(compute(ALL), expected)


def test_every_instruction_set(compute, request):
    native = _backend.get("native")
    name = request.node.callspec.params["compute"]
    results = {}
    for isa in native.config()["available_isas"]:
        native.use_isa(isa)
        results[isa] = CASES[name]()(ALL)  # a new case: layers keep what they were packed for
    expected = results.popitem()[1]
    for other in results.values():
        assert_same(other, expected)


def test_the_comparison_notices_one_bit():
    a = [normal(5)]
    b = [a[0].copy()]
    assert_same(a, b)
    b[0][2] = np.nextafter(b[0][2], np.float32(np.inf))
    with pytest.raises(AssertionError):
        assert_same(a, b)


def test_masked_keys_behind_the_others_add_exactly_nothing():
    query, key, value = normal(2, 3, 70, 33), normal(2, 3, 90, 33), normal(2, 3, 90, 17)
    for keys in (1, 16, 63, 64, 65, 80):
        expected = functional.scaled_dot_product_attention(query, key[:, :, :keys], value[:, :, :keys])
        keep = np.arange(90) < keys
        for mask in (keep, np.where(keep, np.float32(0), np.float32(-np.inf))):
            assert np.array_equal(functional.scaled_dot_product_attention(query, key, value, mask), expected)


def test_causality_is_the_same_as_a_mask_and_as_shorter_keys():
    query, key, value = normal(1, 2, 70, 33), normal(1, 2, 71, 33)[:, :, :70], normal(1, 2, 70, 17)
    causal = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    masked = functional.scaled_dot_product_attention(query, key, value, np.tri(70, dtype=bool))
    assert np.array_equal(causal, masked)
    for n in (1, 33, 64, 65):
        seen = functional.scaled_dot_product_attention(query[:, :, :n], key[:, :, :n], value[:, :, :n], is_causal=True)
        assert np.array_equal(causal[:, :, :n], seen)
