"""What torch has of the recurrent family beside the plain layers: projections, cells, packed sequences."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence  # noqa: E402
from torch_truth import assert_as_torch, randn  # noqa: E402

from fastseq import nn  # noqa: E402

pytestmark = pytest.mark.usefixtures("backend")


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_lstm_with_projection(num_layers, bidirectional, bias):
    torch.manual_seed(1)
    options = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias, "batch_first": bias}
    module = torch.nn.LSTM(7, 19, proj_size=5, **options).eval()
    layer = nn.LSTM.from_torch(module)
    assert list(layer.state_dict()) == list(module.state_dict())
    states = num_layers * (2 if bidirectional else 1)
    x, h0, c0 = randn(2, (4, 6, 7), (states, 4, 5), (states, 4, 19))
    x = x if bias else x.transpose(0, 1)
    assert_as_torch(layer(x, (h0, c0)), module, x, (h0, c0))
    assert_as_torch(layer(x), module, x)


@pytest.mark.parametrize(
    ("name", "options"),
    [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})],
)
@pytest.mark.parametrize("bias", [True, False])
def test_cells(name, options, bias):
    torch.manual_seed(1)
    module = getattr(torch.nn, name)(7, 19, bias=bias, **options).eval()
    cell = getattr(nn, name).from_torch(module)
    assert list(cell.state_dict()) == list(module.state_dict())
    x, h, c = randn(3, (4, 7), (4, 19), (4, 19))
    for rows in (slice(None), 0):
        hx = (h[rows], c[rows]) if name == "LSTMCell" else h[rows]
        assert_as_torch(cell(x[rows], hx), module, x[rows], hx)
        assert_as_torch(cell(x[rows]), module, x[rows])


def test_wrong_arguments_of_cells():
    cell = nn.LSTMCell(3, 4)
    with pytest.raises(ValueError, match=r"LSTMCell: input has shape \(2, 4\); expected \(B, I\) with I = 3"):
        cell(np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"LSTMCell: c0 has shape \(4,\); expected \(B, H\) = \(2, 4\)"):
        cell(np.zeros((2, 3)), (np.zeros((2, 4)), np.zeros(4)))
    with pytest.raises(ValueError, match=r"GRUCell: hx has shape \(5,\); expected \(H,\) = \(4,\)"):
        nn.GRUCell(3, 4)(np.zeros(3), np.zeros(5))
    with pytest.raises(ValueError, match="nonlinearity is 'gelu'; expected 'tanh' or 'relu'"):
        nn.RNNCell(3, 4, nonlinearity="gelu")
    with pytest.raises(ValueError, match="hidden_size is 0; expected at least 1"):
        nn.RNNCell(3, 0)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("lengths", [[6, 2, 5, 1], [6, 5, 2, 2]])
@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_packed_sequences(name, lengths, enforce_sorted):
    if enforce_sorted and lengths != sorted(lengths, reverse=True):
        lengths = sorted(lengths, reverse=True)
    torch.manual_seed(1)
    module = getattr(torch.nn, name)(7, 19, num_layers=2, bidirectional=True).eval()
    layer = getattr(nn, name).from_torch(module)
    x, h0, c0 = randn(3, (6, 4, 7), (4, 4, 19), (4, 4, 19))
    hx = (h0, c0) if name == "LSTM" else h0
    packed = pack_padded_sequence(x, lengths, enforce_sorted=enforce_sorted)
    output, last = layer(packed, hx)
    assert isinstance(output, PackedSequence)
    assert isinstance(output.data, torch.Tensor)

    class Unpacked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = module

        def forward(self, x, hx):
            packed = pack_padded_sequence(x, lengths, enforce_sorted=enforce_sorted)
            output, last = self.module(packed, hx)
            return output.data, last

    assert_as_torch((output.data, last), Unpacked(), x, hx)
    expected = module(packed, hx)[0]
    assert torch.equal(output.batch_sizes, expected.batch_sizes)
    with pytest.raises(ValueError, match="lengths is given; expected None, as a packed sequence has its own"):
        layer(packed, hx, lengths)
    with pytest.raises(ValueError, match=r"input.data has shape \(\d+, 6\); expected \(N, I\) with I = 7"):
        layer(pack_padded_sequence(x[:, :, :6], lengths, enforce_sorted=enforce_sorted))
