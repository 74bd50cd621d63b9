"""Recurrent, attention and Transformer layers with bfloat16 and int8 weights."""

from __future__ import annotations

import numpy as np
import pytest

import fastseq
from fastseq import nn
from fastseq._layout import is_narrow
from fastseq.reference.quantize import round_to_bfloat16

TYPES = ["bfloat16", "int8"]


def recurrent(name: str, compute_type: str, **options: object) -> nn.Module:
    return getattr(nn, name)(20, 24, num_layers=2, batch_first=True, compute_type=compute_type, seed=3, **options)


LAYERS = {
    "RNN": lambda t: recurrent("RNN", t, bidirectional=True),
    "LSTM": lambda t: recurrent("LSTM", t, bidirectional=True),
    "GRU": lambda t: recurrent("GRU", t),
    "LSTM with projection": lambda t: recurrent("LSTM", t, proj_size=12),
    "GRU that resets before": lambda t: recurrent("GRU", t, reset_after=False),
    "LSTM with options": lambda t: recurrent("LSTM", t, peephole=True, coupled=True, cell_clip=0.5, residual=True),
    "LSTM with layer norms": lambda t: recurrent("LSTM", t, layer_norm=True),
    "MultiplicativeLSTM": lambda t: recurrent("MultiplicativeLSTM", t),
    "SRU": lambda t: recurrent("SRU", t),
    "SSRU": lambda t: recurrent("SSRU", t),
    "MultiheadAttention": lambda t: nn.MultiheadAttention(20, 4, batch_first=True, compute_type=t, seed=3),
    "TransformerEncoderLayer": lambda t: nn.TransformerEncoderLayer(
        20, 4, 50, batch_first=True, compute_type=t, seed=3
    ),
}


def outputs(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    if isinstance(layer, nn.MultiheadAttention):
        return layer(x, x, x, need_weights=False)[0]
    result = layer(x)
    return result[0] if isinstance(result, tuple) else result


def batch(count: int = 5) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, 7, 20)).astype(np.float32)


@pytest.mark.parametrize("name", LAYERS)
def test_bfloat16_is_float32_with_rounded_weights(backend, name):
    narrow, plain = LAYERS[name]("bfloat16"), LAYERS[name]("float32")
    state = {k: round_to_bfloat16(v) if is_narrow(k, v.shape) else v for k, v in plain.state_dict().items()}
    plain.load_state_dict(state)
    np.testing.assert_array_equal(outputs(narrow, batch()), outputs(plain, batch()))


@pytest.mark.parametrize("name", LAYERS)
def test_int8_is_near_float32(backend, name):
    exact = outputs(LAYERS[name]("float32"), batch())
    error = outputs(LAYERS[name]("int8"), batch()) - exact
    # One step of 127 in weights and activations is 0.4 % of the largest; what layers do to it is measured, not derived.
    relative = np.sqrt((error**2).mean() / (exact**2).mean())
    assert 0 < relative < 0.03


@pytest.mark.parametrize("compute_type", TYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_both_backends_agree(name, compute_type):
    pytest.importorskip("fastseq._core")
    results = []
    for backend in ("native", "numpy"):
        with fastseq.use_backend(backend):
            results.append(outputs(LAYERS[name](compute_type), batch()))
    # The integers of a product are the same for the same activations. Those of later steps may differ in the last bit,
    # which can round one of them to the neighbouring step of 127.
    # A layer norm divides by the deviation of its row, here below 1, and so multiplies what a product is off by.
    tolerance = (1e-5 if "norm" in name else 2e-6) if compute_type == "bfloat16" else 0.01
    np.testing.assert_allclose(*results, atol=tolerance * np.abs(results[0]).max())
    assert np.median(np.abs(results[0] - results[1])) < 1e-6


@pytest.mark.parametrize("compute_type", TYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_a_sequence_does_not_depend_on_its_batch(name, compute_type):
    pytest.importorskip("fastseq._core")
    with fastseq.use_backend("native"):
        layer, x, threads = LAYERS[name](compute_type), batch(), fastseq.get_num_threads()
        together = outputs(layer, x)
        try:
            for count in (1, 3):
                fastseq.set_num_threads(count)
                for i in range(len(x)):
                    np.testing.assert_array_equal(outputs(layer, x[i : i + 1])[0], together[i])
        finally:
            fastseq.set_num_threads(threads)


@pytest.mark.parametrize("compute_type", TYPES)
def test_chunks_equal_the_whole(backend, compute_type):
    layer, x = recurrent("LSTM", compute_type), batch()
    whole, _ = layer(x)
    state, parts = None, []
    for t in range(x.shape[1]):
        part, state = layer(x[:, t : t + 1], state)
        parts.append(part)
    together = np.concatenate(parts, axis=1)
    if backend == "native":
        np.testing.assert_array_equal(together, whole)
    else:
        np.testing.assert_allclose(together, whole, atol=0.01)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_show_their_compute_type(name):
    layer = LAYERS[name]("int8")
    assert layer.compute_type == "int8"
    assert "compute_type='int8'" in repr(layer)
    with pytest.raises(ValueError, match="compute_type is 'float8'; expected 'float32' or 'bfloat16' or 'int8'"):
        LAYERS[name]("float8")
