"""One time step of the recurrent cells."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastseq import _backend
from fastseq._checks import (
    Floats,
    choice,
    expect_rank,
    floats,
    optional_floats,
    pair,
    shaped_floats,
)

__all__ = ["gru_cell", "lstm_cell", "rnn_cell"]


class _Step(NamedTuple):
    """Checked arguments of a cell with G gates."""

    input: Floats  # (B, I)
    hidden: Floats  # (B, H)
    weights: tuple[Floats, Floats, Floats | None, Floats | None]  # (G H, I), (G H, H), (G H,), (G H,)
    shape: tuple[int, ...]  # of the hidden state as the caller has it: (B, H) or (H,)


def _check(where: str, gates: int, input: Any, hidden: Any, name: str, weights: tuple[Any, Any, Any, Any]) -> _Step:
    x, h = floats(where, "input", input), floats(where, name, hidden)
    expect_rank(where, "input", x, (1, 2), "(B, I), or (I,) for one row")
    expect_rank(where, name, h, (x.ndim,), "(B, H)" if x.ndim == 2 else "(H,), as input is one row")
    if h.shape[:-1] != x.shape[:-1]:
        wanted = f"(B, H) = ({x.shape[0]}, {h.shape[1]}) with B from input"
        raise ValueError(f"{where}: {name} has shape {h.shape}; expected {wanted}")
    input_size, hidden_size = x.shape[-1], h.shape[-1]
    rows = gates * hidden_size
    symbol = f"{gates}*H" if gates > 1 else "H"
    note = f"with H from {name}"
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    checked = (
        shaped_floats(where, "weight_ih", weight_ih, (rows, input_size), f"({symbol}, I)", f"{note}, I from input"),
        shaped_floats(where, "weight_hh", weight_hh, (rows, hidden_size), f"({symbol}, H)", note),
        optional_floats(where, "bias_ih", bias_ih, (rows,), f"({symbol},)", note),
        optional_floats(where, "bias_hh", bias_hh, (rows,), f"({symbol},)", note),
    )
    shape = h.shape
    return _Step(x, h, checked, shape) if x.ndim == 2 else _Step(x[None], h[None], checked, shape)


def rnn_cell(
    input: Any,
    hx: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
    nonlinearity: str = "tanh",
) -> Floats:
    """One step of a simple recurrent cell: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Parameters
    ----------
    input : (B, I) or (I,) array_like
    hx : (B, H) or (H,) array_like
    weight_ih : (H, I) array_like
    weight_hh : (H, H) array_like
    bias_ih, bias_hh : (H,) array_like, optional
        None is zero.
    nonlinearity : {"tanh", "relu"}, default "tanh"

    Returns
    -------
    (B, H) or (H,) float32 array

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or shape.

    See Also
    --------
    fastseq.nn.RNN : Whole sequences.

    References
    ----------
    Elman (1990), "Finding structure in time".

    Examples
    --------
    >>> rnn_cell([1.0, 2.0], [0.5], weight_ih=[[1.0, 1.0]], weight_hh=[[2.0]], nonlinearity="relu")
    array([4.], dtype=float32)
    """
    where = "rnn_cell"
    choice(where, "nonlinearity", nonlinearity, ("tanh", "relu"))
    step = _check(where, 1, input, hx, "hx", (weight_ih, weight_hh, bias_ih, bias_hh))
    result: Floats = _backend.active().rnn_cell(step.input, step.hidden, *step.weights, nonlinearity)
    return result.reshape(step.shape)


def lstm_cell(
    input: Any,
    hx: tuple[Any, Any],
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
) -> tuple[Floats, Floats]:
    """One step of an LSTM cell: c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c').

    Parameters
    ----------
    input : (B, I) or (I,) array_like
    hx : (h0, c0)
        Hidden and cell state, each (B, H) or (H,) array_like.
    weight_ih : (4 H, I) array_like
        The gates i, f, g, o one after the other.
    weight_hh : (4 H, H) array_like
    bias_ih, bias_hh : (4 H,) array_like, optional
        None is zero.

    Returns
    -------
    h, c : (B, H) or (H,) float32 arrays

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or shape.

    See Also
    --------
    fastseq.nn.LSTM : Whole sequences.

    References
    ----------
    Hochreiter and Schmidhuber (1997), "Long short-term memory".

    Examples
    --------
    >>> import numpy as np
    >>> h, c = lstm_cell(np.zeros((2, 3)), (np.zeros((2, 4)), np.ones((2, 4))), np.zeros((16, 3)), np.zeros((16, 4)))
    >>> c[0]
    array([0.5, 0.5, 0.5, 0.5], dtype=float32)
    """
    where = "lstm_cell"
    h0, c0 = pair(where, "hx", hx, "(h0, c0)")
    step = _check(where, 4, input, h0, "h0", (weight_ih, weight_hh, bias_ih, bias_hh))
    symbols = "(B, H)" if len(step.shape) == 2 else "(H,)"
    cell = shaped_floats(where, "c0", c0, step.shape, symbols, "as h0").reshape(step.hidden.shape)
    h, c = _backend.active().lstm_cell(step.input, step.hidden, cell, *step.weights)
    return h.reshape(step.shape), c.reshape(step.shape)


def gru_cell(input: Any, hx: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None) -> Floats:
    """One step of a GRU cell: h' = (1 - z) n + z h with n = tanh(x_n + r h_n).

    Parameters
    ----------
    input : (B, I) or (I,) array_like
    hx : (B, H) or (H,) array_like
    weight_ih : (3 H, I) array_like
        The gates r, z, n one after the other.
    weight_hh : (3 H, H) array_like
    bias_ih, bias_hh : (3 H,) array_like, optional
        None is zero.

    Returns
    -------
    (B, H) or (H,) float32 array

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or shape.

    See Also
    --------
    fastseq.nn.GRU : Whole sequences.

    Notes
    -----
    As in PyTorch the reset gate scales W_hn h + b_hn, after the product; Cho et al. scale h before it.

    References
    ----------
    Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for statistical machine translation".

    Examples
    --------
    >>> import numpy as np
    >>> gru_cell(np.zeros(3), np.ones(2), np.zeros((6, 3)), np.zeros((6, 2)))
    array([0.5, 0.5], dtype=float32)
    """
    step = _check("gru_cell", 3, input, hx, "hx", (weight_ih, weight_hh, bias_ih, bias_hh))
    result: Floats = _backend.active().gru_cell(step.input, step.hidden, *step.weights)
    return result.reshape(step.shape)
