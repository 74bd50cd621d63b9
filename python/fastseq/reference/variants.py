"""Recurrent cells with options, and stacks of them over ragged batches.

Of a direction of a layer with G gates the weights are, where the cell has them: weight_ih (G H, I), weight_hh (G H, P),
bias_ih, bias_hh (G H,), the projection weight_hr (P, H), peepholes weight_peep, the layer norms norm_ih, norm_hh (G H,)
and norm_c, bias_c (H,), and a multiplicative LSTM's weight_mx (H, I), weight_mh (H, H). P is H without a projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.reference.gates import activate
from fastseq.reference.linear import linear
from fastseq.reference.norm import layer_norm
from fastseq.reference.recurrent import RaggedSteps

Array: TypeAlias = NDArray[Any]
Activation: TypeAlias = "tuple[str, float, float]"  # name, alpha, beta

__all__ = ["VariantRecurrent"]


class _Cell:
    """One direction of one layer."""

    def __init__(
        self, kind: str, weights: dict[str, Array], activations: Sequence[Activation], options: dict[str, Any]
    ) -> None:
        self.kind = kind
        self.w = weights
        self.f, self.g, self.h = activations
        self.coupled: bool = options.get("coupled", False)
        self.reset_after: bool = options.get("reset_after", True)
        self.clip: float = options.get("clip", np.inf)
        self.cell_clip: float = options.get("cell_clip", np.inf)
        self.norm_eps: float = options.get("norm_eps", 1e-5)
        self.skip_scale: float = options.get("skip_scale", 1.0)

    def _gate(self, activation: Activation, x: Array) -> Array:
        return activate(activation, np.clip(x, -self.clip, self.clip))

    def project(self, x: Array) -> Array:
        """All that depends on x (rows, I) alone: G gates, for some cells one more block of H."""
        gates = linear(x, self.w["weight_ih"], None)
        bias = self.w.get("bias_ih")
        if "norm_ih" in self.w:
            return layer_norm(gates, self.w["norm_ih"], bias, self.norm_eps)
        if bias is not None:
            gates[:, : len(bias)] += bias  # a projected skip connection has none
        if "weight_mx" in self.w:
            return np.concatenate([gates, linear(x, self.w["weight_mx"], None)], axis=1)
        return gates

    def _sums(self, h: Array) -> Array:
        bias = self.w.get("bias_hh")
        if "norm_hh" in self.w:
            return layer_norm(linear(h, self.w["weight_hh"], None), self.w["norm_hh"], bias, self.norm_eps)
        return linear(h, self.w["weight_hh"], bias)

    def step(self, gates: Array, skip: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        """Output, h' and c' of rows; h or c is (rows, 0) for a cell without it, skip is x (rows, H) of an SRU."""
        if self.kind == "rnn":
            h = self._gate(self.f, gates + self._sums(h))
            return h, h, c
        if self.kind == "gru":
            h = self._gru(gates, h)
            return h, h, c
        if self.kind in ("sru", "ssru"):
            c, output = self._light(gates, skip, c)
            return output, h, c
        if self.kind == "multiplicative_lstm":
            size = c.shape[1]
            gates, mixed = gates[:, :-size], gates[:, -size:]
            h = mixed * linear(h, self.w["weight_mh"], None)
        h, c = self._lstm(gates + self._sums(h), c)
        return h, h, c

    def _lstm(self, sums: Array, c: Array) -> tuple[Array, Array]:
        """C' = f c + i g, h' = W_hr (o tanh(c')); peepholes see c, that of o sees c'."""
        parts = np.split(sums, 3 if self.coupled else 4, axis=1)
        first, *_, last = parts
        peepholes = self.w.get("weight_peep")
        look = [0] * 3 if peepholes is None else [*np.split(peepholes, len(parts) - 1)]
        i = self._gate(self.f, first + look[0] * c)
        f = 1 - i if self.coupled else self._gate(self.f, parts[1] + look[1] * c)
        c = np.clip(f * c + i * self._gate(self.g, parts[-2]), -self.cell_clip, self.cell_clip)
        o = self._gate(self.f, last + look[len(parts) - 2] * c)
        shown = layer_norm(c, self.w["norm_c"], self.w.get("bias_c"), self.norm_eps) if "norm_c" in self.w else c
        h = o * activate(self.h, shown)
        return (linear(h, self.w["weight_hr"], None) if "weight_hr" in self.w else h), c

    def _gru(self, gates: Array, h: Array) -> Array:
        """H' = (1 - z) n + z h; the reset gate scales W_hn h + b_hn, or with reset_after False h before the product."""
        x_r, x_z, x_n = np.split(gates, 3, axis=1)
        if self.reset_after:
            s_r, s_z, s_n = np.split(self._sums(h), 3, axis=1)
            r, z = self._gate(self.f, x_r + s_r), self._gate(self.f, x_z + s_z)
            n = self._gate(self.g, x_n + r * s_n)
        else:
            rows, bias = 2 * h.shape[1], self.w.get("bias_hh")
            before, after = (None, None) if bias is None else (bias[:rows], bias[rows:])
            s_r, s_z = np.split(linear(h, self.w["weight_hh"][:rows], before), 2, axis=1)
            r, z = self._gate(self.f, x_r + s_r), self._gate(self.f, x_z + s_z)
            n = self._gate(self.g, x_n + linear(r * h, self.w["weight_hh"][rows:], after))
        result: Array = n + z * (h - n)
        return result

    def _light(self, gates: Array, skip: Array, c: Array) -> tuple[Array, Array]:
        """SRU: c' = f c + (1 - f) w, output r c' + (1 - r) x; SSRU: the same c', output relu(c')."""
        size = c.shape[1]
        w, f, *rest = (gates[:, i : i + size] for i in range(0, gates.shape[1], size))
        peepholes = self.w.get("weight_peep")
        look_f, look_r = (0, 0) if peepholes is None else np.split(peepholes, 2)
        forget = self._gate(self.f, f + look_f * c)
        after = w + forget * (c - w)
        if self.kind == "ssru":
            return after, activate(self.h, after)
        r = self._gate(self.f, rest[0] + look_r * c)
        skip = (rest[1] if len(rest) > 1 else skip) * gates.dtype.type(self.skip_scale)
        return after, skip + r * (activate(self.h, after) - skip)


class VariantRecurrent:
    """Stacked recurrent layers with options, in one or both directions.

    Parameters
    ----------
    cell : {"rnn", "lstm", "gru", "multiplicative_lstm", "sru", "ssru"}
    weights : sequence of dict
        Layer 0 forward, layer 0 reverse, layer 1 forward ...
    activations : sequence of three (name, alpha, beta)
        For each entry of `weights`: of the gates, of the candidate, of the output.
    options : dict
        coupled, reset_after, clip, cell_clip, norm_eps, skip_scale.
    hidden_size : int
    bidirectional, residual : bool
        `residual`: every layer but the first adds its input to its outputs.
    """

    def __init__(
        self,
        cell: str,
        weights: Sequence[dict[str, Array]],
        activations: Sequence[Sequence[Activation]],
        options: dict[str, Any],
        hidden_size: int,
        bidirectional: bool,
        residual: bool,
    ) -> None:
        self.cells = [_Cell(cell, w, a, options) for w, a in zip(weights, activations, strict=True)]
        self.has_hidden, self.has_cell = cell not in ("sru", "ssru"), cell not in ("rnn", "gru")
        self.num_directions = 2 if bidirectional else 1
        self.residual = residual
        self.hidden_size = hidden_size
        self.state_size = len(weights[0]["weight_hr"]) if "weight_hr" in weights[0] else hidden_size

    def forward(
        self, input: Array, offsets: Array, h0: Array | None, c0: Array | None
    ) -> tuple[Array, Array | None, Array | None]:
        """Read sequences that lie end to end: arguments and results as `Recurrent.forward`.

        A state that the cell does not have is None.
        """
        steps = RaggedSteps(offsets)
        count, batch = len(self.cells), len(steps.order)
        h_n = np.zeros((count, batch, self.state_size if self.has_hidden else 0), input.dtype)
        c_n = np.zeros((count, batch, self.hidden_size if self.has_cell else 0), input.dtype)
        for last, first in ((h_n, h0), (c_n, c0)):
            if first is not None:
                last[:] = first
        x = input[steps.tokens]
        with np.errstate(over="ignore", invalid="ignore"):
            for layer in range(0, count, self.num_directions):
                outputs = [self._run(x, i, h_n[i], c_n[i], steps) for i in range(layer, layer + self.num_directions)]
                below, x = x, np.concatenate(outputs, axis=1)
                if self.residual and layer > 0:
                    x = below + x
        output = np.empty_like(x)
        output[steps.tokens] = x
        return output, h_n if self.has_hidden else None, c_n if self.has_cell else None

    def _run(self, x: Array, index: int, h: Array, c: Array, steps: RaggedSteps) -> Array:
        """One layer in one direction: x (N, I) in time order to (N, P); h and c (B, ...) become the last states."""
        cell, direction = self.cells[index], index % self.num_directions
        gates = cell.project(x)  # of all steps at once
        skip = x[:, direction * self.hidden_size : (direction + 1) * self.hidden_size]
        output = np.empty((len(x), self.state_size), x.dtype)
        times = range(len(steps.active))
        for t in reversed(times) if direction else times:
            rows = slice(steps.begin[t], steps.begin[t + 1])
            alive = steps.order[: steps.active[t]]
            output[rows], h[alive], c[alive] = cell.step(gates[rows], skip[rows], h[alive], c[alive])
        return output
