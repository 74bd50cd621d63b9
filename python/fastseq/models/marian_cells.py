"""The recurrent cells of Marian: their tensors there and here.

Definition: `src/rnn/cells.h` of Marian. Its GRU is PyTorch's; the bias of the candidate is inside the reset gate's
product only in cells that are "final": those of the decoder's first layer behind the first. Gates of an LSTM are f i c
o there, i f g o here. Layer norms are of all gates of W x, and of all of U h, and their biases come behind the sum of
both; "gru-nematus" normalises r and z apart from the candidate, with biases in changing places.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastseq._layout import MULTIPLICATIVE, TRANSITION_GATES
from fastseq.models.deep_recurrent import DeepRecurrentSeq2SeqConfig, TransitionKind
from fastseq.models.marian_arrays import MarianArrays

__all__ = ["CELLS", "take_cell"]

_Array = NDArray[np.float32]

CELLS: dict[str, TransitionKind] = {
    "gru": "gru",
    "gru-nematus": "gru_nematus",
    "lstm": "lstm",
    "mlstm": "multiplicative_lstm",
    "mgru": "multiplicative_gru",
    "tanh": "rnn_tanh",
    "relu": "rnn_relu",
}


def take_cell(
    reader: MarianArrays, config: DeepRecurrentSeq2SeqConfig, theirs: str, ours: str, input_size: int, final: bool
) -> dict[str, _Array]:
    """Return the tensors of one cell by our names.

    Parameters
    ----------
    reader : MarianArrays
    config : DeepRecurrentSeq2SeqConfig
    theirs, ours : str
        What the names of its tensors begin with. Which part's the cell is, ours says.
    input_size : int
        0 for a cell that reads the state alone.
    final : bool
        Marian's word for the cells of the decoder's first layer behind the first.

    Returns
    -------
    dict of str to float32 array
    """
    in_encoder = ours.startswith("encoder.")
    kind = config.encoder_cell if in_encoder else config.decoder_cell
    hidden = config.hidden_size
    cell = _Cell(reader, theirs, kind, hidden)
    bias = cell.gates("b", 1)[:, 0]
    found = {"weight_hh": cell.gates("U", hidden), "bias_ih": bias, "bias_hh": np.zeros_like(bias)}
    if input_size:
        found["weight_ih"] = cell.gates("W", input_size)
    if kind == "gru_nematus":
        found |= cell.nematus_norms(bias, bool(input_size), final, in_encoder)
    else:
        if final and TRANSITION_GATES[kind] == 3:
            found["bias_hh"][2 * hidden :], bias[2 * hidden :] = bias[2 * hidden :], 0.0
        if config.layer_norm:
            norms = {"hh": "gamma2"} | ({"ih": "gamma1"} if input_size else {})
            found |= {f"norm_{end}": cell.scale(name) for end, name in norms.items()}
    if kind in MULTIPLICATIVE:
        for end, weight, offset, rows in (("mx", "Wm", "bwm", input_size), ("mh", "Um", "bm", hidden)):
            found[f"weight_{end}"] = np.ascontiguousarray(reader.take(f"{theirs}_{weight}", rows, hidden).T)
            found[f"offset_{end}"] = reader.take(f"{theirs}_{offset}", 1, hidden)[0]
            if config.layer_norm:
                gamma = "gamma1m" if end == "mx" else "gamma2m"
                found[f"norm_{end}"] = reader.take(f"{theirs}_{gamma}", 1, hidden)[0]
    return {f"{ours}.{name}": array for name, array in found.items()}


class _Cell:
    """Takes the tensors of one cell."""

    def __init__(self, reader: MarianArrays, name: str, kind: TransitionKind, hidden: int) -> None:
        self.reader, self.name, self.kind, self.hidden = reader, name, kind, hidden

    def gates(self, letter: str, rows: int) -> _Array:
        """A matrix (rows, G H) of all gates as ours (G H, rows): of a GRU two there, r z and the candidate."""
        count = TRANSITION_GATES[self.kind]
        if count == 3:
            parts = [self._take(f"{letter}{x}", rows, n * self.hidden) for x, n in (("", 2), ("x", 1))]
            return np.ascontiguousarray(np.concatenate(parts, axis=1).T)
        return self._ordered(self._take(letter, rows, count * self.hidden).T)

    def scale(self, name: str) -> _Array:
        """The vector of a layer norm over all gates."""
        # Marian makes those of a tanh cell three times as long as it reads.
        length = 3 if self.kind == "rnn_tanh" else TRANSITION_GATES[self.kind]
        return self._ordered(self._take(name, 1, length * self.hidden)[0, : TRANSITION_GATES[self.kind] * self.hidden])

    def nematus_norms(self, bias: _Array, has_input: bool, final: bool, in_encoder: bool) -> dict[str, _Array]:
        """The norms of a "gru-nematus" cell, and its biases (3 H), which are inside a norm or behind it."""
        zeros, candidate = np.zeros_like(bias), slice(2 * self.hidden, None)
        inside_state = not in_encoder and (final or not has_input)
        found = {"norm_hh": self._joined("U", "lns"), "bias_hh": self._joined("U", "lnb")}
        found |= {"offset_hh": bias if inside_state else zeros, "bias_ih": zeros.copy()}
        if has_input:
            found |= {"norm_ih": self._joined("W", "lns"), "bias_ih": self._joined("W", "lnb")}
            found["offset_ih"] = zeros if final else bias
        elif in_encoder:
            found["bias_hh"][: 2 * self.hidden] += bias[: 2 * self.hidden]
            found["bias_ih"][candidate] = bias[candidate]
        return found

    def _joined(self, letter: str, end: str) -> _Array:
        parts = [self._take(f"{letter}{x}_{end}", 1, n * self.hidden)[0] for x, n in (("", 2), ("x", 1))]
        return np.concatenate(parts)

    def _take(self, name: str, *shape: int) -> _Array:
        return self.reader.take(f"{self.name}_{name}", *shape)

    def _ordered(self, rows: _Array) -> _Array:
        """Rows (G H, ...) with the gates of an LSTM in our order."""
        if TRANSITION_GATES[self.kind] != 4:
            return np.ascontiguousarray(rows)
        f, i, c, o = np.split(rows, 4)
        return np.concatenate((i, f, c, o))
