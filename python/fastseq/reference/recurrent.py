"""Recurrent cells, and stacks of them over ragged batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.activations import relu
from fastseq.reference.linear import linear
from fastseq.reference.quantize import narrow

Array: TypeAlias = NDArray[Any]
# Of one direction of a layer, (G H, I), (G H, H), (G H,), (G H,), G gates; as PyTorch names and orders them.
Weights: TypeAlias = "tuple[Array, Array, Array | None, Array | None]"

__all__ = ["RaggedSteps", "Recurrent", "gru_cell", "lstm_cell", "rnn_cell"]


def rnn_cell(
    input: Array,
    hx: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    nonlinearity: str = "tanh",
) -> Array:
    """Return h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu (Elman, 1990): input (B, I), hx (B, H) to (B, H)."""
    return _rnn(linear(input, weight_ih, bias_ih) + linear(hx, weight_hh, bias_hh), nonlinearity)


def lstm_cell(
    input: Array,
    hx: Array,
    cx: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
) -> tuple[Array, Array]:
    """Return h' = sigmoid(o) tanh(c') and c' = sigmoid(f) c + sigmoid(i) tanh(g) (Hochreiter and Schmidhuber, 1997).

    The gates i, f, g, o are the rows of W_ih x + b_ih + W_hh h + b_hh in this order.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _lstm(linear(input, weight_ih, bias_ih) + linear(hx, weight_hh, bias_hh), cx)


def gru_cell(
    input: Array, hx: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array | None, bias_hh: Array | None
) -> Array:
    """Return h' = (1 - z) n + z h with n = tanh(x_n + sigmoid(r) h_n) (Cho et al., 2014; PyTorch's form).

    Gates r, z, n in this order; x_n = W_in x + b_in and h_n = W_hn h + b_hn.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _gru(linear(input, weight_ih, bias_ih), linear(hx, weight_hh, bias_hh), hx)


def _sigmoid(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result


def _rnn(sums: Array, nonlinearity: str) -> Array:
    result: Array = np.tanh(sums) if nonlinearity == "tanh" else relu(sums)
    return result


def _lstm(gates: Array, c: Array) -> tuple[Array, Array]:
    size = c.shape[1]
    g = np.tanh(gates[:, 2 * size : 3 * size])
    i, f, _, o = np.split(_sigmoid(gates), 4, axis=1)  # one call for all four costs less than one for each of three
    c = f * c + i * g
    return o * np.tanh(c), c


def _gru(gates_x: Array, gates_h: Array, h: Array) -> Array:
    size = h.shape[1]
    r, z = np.split(_sigmoid(gates_x[:, : 2 * size] + gates_h[:, : 2 * size]), 2, axis=1)
    n = np.tanh(gates_x[:, 2 * size :] + r * gates_h[:, 2 * size :])
    result: Array = n + z * (h - n)
    return result


class RaggedSteps:
    """The tokens of a ragged batch in order of time: longest sequences first, so that each step is a prefix."""

    def __init__(self, offsets: Array) -> None:
        lengths = np.diff(offsets)
        self.order = np.argsort(-lengths, kind="stable")  # (B,): sequence of each row
        times = np.arange(lengths.max(initial=0))[:, None]
        alive = lengths[self.order] > times  # (T, B)
        self.tokens = (offsets[:-1][self.order] + times)[alive]  # (N,): token at each place in time order
        self.active = alive.sum(axis=1).tolist()  # (T,): rows of each step
        self.begin = [0, *np.cumsum(self.active).tolist()]  # (T + 1,): where each step lies in time order


class Recurrent:
    """Stacked RNN, LSTM or GRU layers, in one or both directions.

    Parameters
    ----------
    cell : {"rnn_tanh", "rnn_relu", "lstm", "gru"}
    weights : sequence of (weight_ih, weight_hh, bias_ih, bias_hh)
        Layer 0 forward, layer 0 reverse, layer 1 forward ...
    bidirectional : bool
    residual : bool, default False
        Whether every layer but the first adds its input to its outputs.
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        Of the weights; states are quantised in every step.
    """

    def __init__(
        self,
        cell: str,
        weights: Sequence[Weights],
        bidirectional: bool,
        residual: bool = False,
        compute_type: str = "float32",
    ) -> None:
        self.cell = cell
        self.weights = [
            (narrow(w_ih, compute_type), narrow(w_hh, compute_type), b_ih, b_hh) for w_ih, w_hh, b_ih, b_hh in weights
        ]
        self.num_directions = 2 if bidirectional else 1
        self.residual = residual
        self.hidden_size = self.weights[0][1].shape[1]

    def forward(
        self, input: Array, offsets: Array, h0: Array | None, c0: Array | None
    ) -> tuple[Array, Array, Array | None]:
        """Read sequences that lie end to end.

        input (N, I), of which sequence b is rows offsets[b] to offsets[b + 1]; h0, c0 (layers * directions, B, H) or
        None for zeros. Returns output (N, directions * H), and each sequence's own last states h_n and c_n.
        """
        steps = RaggedSteps(offsets)
        shape = (len(self.weights), len(steps.order), self.hidden_size)
        h_n, c_n = np.empty(shape, input.dtype), np.empty(shape, input.dtype)
        x = input[steps.tokens]
        with np.errstate(over="ignore", invalid="ignore"):
            for layer in range(0, len(self.weights), self.num_directions):
                outputs = []
                for i in range(layer, layer + self.num_directions):
                    h, c = (
                        np.zeros(shape[1:], input.dtype) if states is None else states[i][steps.order]
                        for states in (h0, c0)
                    )
                    outputs.append(self._run(x, self.weights[i], h, c, steps, reverse=i > layer))
                    h_n[i, steps.order], c_n[i, steps.order] = h, c
                below, x = x, np.concatenate(outputs, axis=1)
                if self.residual and layer > 0:
                    x = below + x
        output = np.empty_like(x)
        output[steps.tokens] = x
        return output, h_n, c_n if self.cell == "lstm" else None

    def step(self, input: Array, h0: Array | None, c0: Array | None) -> tuple[Array, Array, Array | None]:
        """One step of B rows: input (B, I) to output (B, H), and the last states as in `forward`."""
        return self.forward(input, np.arange(len(input) + 1), h0, c0)

    def one_step(self, input: Any, hx: Any, batch_first: bool) -> tuple[Any, Any] | None:
        """Return what a layer returns for one time step of plain float32 arrays, None for all else.

        input (1, B, I), with batch_first (B, 1, I); hx is (h0, c0) of an LSTM, h0 of the others, or None.
        """
        states = (None, None) if hx is None else hx if self.cell == "lstm" else (hx, None)
        arrays = [array for array in (input, *states) if array is not None]
        if self.num_directions > 1 or len(states) != 2 or any(type(array) is not np.ndarray for array in arrays):
            return None
        size = self.weights[0][0].shape[1]
        if input.ndim != 3 or input.shape[1 if batch_first else 0] != 1 or input.shape[2] != size:
            return None
        shape = (len(self.weights), input.shape[0 if batch_first else 1], self.hidden_size)
        if any(array.dtype != np.float32 or (array is not input and array.shape != shape) for array in arrays):
            return None
        output, h_n, c_n = self.step(input.reshape(shape[1], size), *states)
        output = output.reshape(*input.shape[:2], self.hidden_size)
        return (output, (h_n, c_n)) if self.cell == "lstm" else (output, h_n)

    def _run(self, x: Array, weights: Weights, h: Array, c: Array, steps: RaggedSteps, reverse: bool) -> Array:
        """One layer in one direction: x (N, I) in time order to (N, H); h and c (B, H) become the last states."""
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        gates = linear(x, weight_ih, bias_ih)  # of all steps at once
        if bias_hh is not None and self.cell != "gru":
            gates += bias_hh
        output = np.empty((len(x), self.hidden_size), x.dtype)
        times = range(len(steps.active))
        for t in reversed(times) if reverse else times:
            rows, alive = slice(steps.begin[t], steps.begin[t + 1]), slice(steps.active[t])
            if self.cell == "lstm":
                h[alive], c[alive] = _lstm(linear(h[alive], weight_hh, gates[rows]), c[alive])
            elif self.cell == "gru":
                h[alive] = _gru(gates[rows], linear(h[alive], weight_hh, bias_hh), h[alive])
            else:
                h[alive] = _rnn(linear(h[alive], weight_hh, gates[rows]), self.cell.removeprefix("rnn_"))
            output[rows] = h[alive]
        return output
