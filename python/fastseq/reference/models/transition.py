"""Recurrent cells of layers with deep transitions, with or without input, with or without layer norms."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseq._layout import MULTIPLICATIVE, TRANSITION_GATES
from fastseq.reference.activations import relu, sigmoid
from fastseq.reference.linear import linear
from fastseq.reference.models.seq2seq import Array
from fastseq.reference.norm import layer_norm

__all__ = ["NORM_EPS", "TransitionCell", "normed_linear"]

# Marian's, `src/graph/expression_operators.h` and `src/common/definitions.h`.
NORM_EPS, _NEMATUS_NORM_EPS = 1e-9, 1e-5


def normed_linear(
    x: Array,
    weight: Any,
    offset: Array | None,
    norm: Array | None,
    bias: Array | None,
    eps: float = NORM_EPS,
    split: int = 0,
) -> Array:
    """Return norm(W x + offset) + bias of rows x (r, I), or without a norm W x + offset + bias.

    The first `split` numbers are normalised by themselves.
    """
    if norm is None:
        return linear(x, weight, bias if offset is None else offset)
    y = linear(x, weight, offset)
    parts = [
        layer_norm(y[:, part], norm[part], None if bias is None else bias[part], eps)
        for part in (slice(0, split), slice(split, None))
    ]
    return np.concatenate(parts, axis=1)


class TransitionCell:
    """One cell.

    Parameters
    ----------
    kind : str
        A key of `TRANSITION_GATES`.
    tensors : dict of arrays
        By their names in the cell: weight_ih if it reads input, weight_hh, bias_ih, bias_hh; with layer norms norm_ih,
        norm_hh; of "gru_nematus" offset_ih, offset_hh; of multiplicative cells weight_mx, weight_mh, offset_mx,
        offset_mh, norm_mx, norm_mh.
    """

    def __init__(self, kind: str, tensors: dict[str, Any]) -> None:
        self.kind = kind
        self.tensors = tensors
        self.hidden_size = len(tensors["bias_hh"]) // TRANSITION_GATES[kind]

    def _product(self, end: str, x: Array) -> Array:
        weight, offset, norm, bias = (self.tensors.get(f"{k}_{end}") for k in ("weight", "offset", "norm", "bias"))
        nematus = self.kind == "gru_nematus"
        eps, split = (_NEMATUS_NORM_EPS, 2 * self.hidden_size) if nematus else (NORM_EPS, 0)
        return normed_linear(x, weight, offset, norm, bias, eps, split)

    def step(self, x: Array | None, h: Array, c: Array | None) -> tuple[Array, Array | None]:
        """Return h' and c' from input x (r, I), or without any, and the state h, c (r, H)."""
        if x is None:
            gates = np.broadcast_to(self.tensors["bias_ih"], (len(h), len(self.tensors["bias_ih"])))
        else:
            gates = self._product("ih", x)
        if x is not None and self.kind in MULTIPLICATIVE:  # m = (W_mx x) (W_mh h) stands for h
            h = self._product("mx", x) * self._product("mh", h)
        sums = self._product("hh", h)
        if TRANSITION_GATES[self.kind] == 1:
            return (relu if self.kind == "rnn_relu" else np.tanh)(gates + sums), c
        if TRANSITION_GATES[self.kind] == 3:  # r z n
            (x_r, x_z, x_n), (s_r, s_z, s_n) = np.split(gates, 3, axis=1), np.split(sums, 3, axis=1)
            z, n = sigmoid(x_z + s_z), np.tanh(x_n + sigmoid(x_r + s_r) * s_n)
            return n + z * (h - n), c
        i, f, g, o = np.split(gates + sums, 4, axis=1)
        after: Array = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(after), after
