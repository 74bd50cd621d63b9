"""RNN, LSTM and GRU."""

from __future__ import annotations

from typing import Any

from fastseq._checks import Floats, choice, pair
from fastseq.nn.module import Seed
from fastseq.nn.recurrent_layer import RecurrentLayer

__all__ = ["GRU", "LSTM", "RNN"]


class RNN(RecurrentLayer):
    """Layers of h' = tanh(W_ih x + b_ih + W_hh h + b_hh), as torch.nn.RNN.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers : int, default 1
    nonlinearity : {"tanh", "relu"}, default "tanh"
    bias : bool, default True
    batch_first : bool, default False
        Whether input and output are (B, T, ...) instead of (T, B, ...).
    dropout : float, default 0.0
        Accepted so that arguments can be taken over; nothing is dropped, as in torch after ``eval()``.
    bidirectional : bool, default False
    compute_type : {"float32"}, default "float32"
    seed : int or numpy.random.Generator, optional
        For the initial weights, which are uniform in +-1 / sqrt(H).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np
    >>> output, h_n = RNN(3, 4, bidirectional=True)(np.ones((5, 2, 3)), lengths=[5, 2])
    >>> output.shape, h_n.shape
    ((5, 2, 8), (2, 2, 4))
    >>> output[2:, 1].any()
    np.False_
    """

    _gates = 1

    _options = (*RecurrentLayer._options, "nonlinearity")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        compute_type: str = "float32",
        seed: Seed = None,
    ) -> None:
        self.nonlinearity = choice("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))
        self._cell = f"rnn_{self.nonlinearity}"
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            compute_type=compute_type,
            seed=seed,
        )

    def __call__(self, input: Any, hx: Any = None, lengths: Any = None) -> tuple[Floats, Floats]:
        """Read sequences.

        Parameters
        ----------
        input : (T, B, I), with `batch_first` (B, T, I), or for one sequence (T, I) array_like
        hx : (num_layers * directions, B, H), for one sequence (num_layers * directions, H) array_like, optional
            First states; None is zero.
        lengths : (B,) array_like of int, optional
            Steps of each sequence; what lies behind them is not read.

        Returns
        -------
        output : (T, B, directions * H), or as `input`
            States of the last layer; 0 behind the lengths.
        h_n : shape of `hx`
            Each sequence's own last states.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        output, h_n, _ = self._forward(input, lengths, hx=hx)
        return output, h_n


class LSTM(RecurrentLayer):
    """Layers of c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c'), as torch.nn.LSTM.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers : int, default 1
    bias : bool, default True
    batch_first : bool, default False
        Whether input and output are (B, T, ...) instead of (T, B, ...).
    dropout : float, default 0.0
        Accepted so that arguments can be taken over; nothing is dropped, as in torch after ``eval()``.
    bidirectional : bool, default False
    proj_size : {0}, default 0
    compute_type : {"float32"}, default "float32"
    seed : int or numpy.random.Generator, optional
        For the initial weights, which are uniform in +-1 / sqrt(H).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np
    >>> lstm = LSTM(3, 4, num_layers=2, batch_first=True)
    >>> output, (h_n, c_n) = lstm(np.ones((2, 5, 3)), lengths=[5, 0])
    >>> output.shape, h_n.shape, c_n.shape
    ((2, 5, 4), (2, 2, 4), (2, 2, 4))
    >>> h_n[:, 1].any()
    np.False_
    """

    _gates = 4
    _cell = "lstm"

    def __call__(
        self, input: Any, hx: tuple[Any, Any] | None = None, lengths: Any = None
    ) -> tuple[Floats, tuple[Floats, Floats]]:
        """Read sequences.

        Parameters
        ----------
        input : (T, B, I), with `batch_first` (B, T, I), or for one sequence (T, I) array_like
        hx : (h0, c0), optional
            First hidden and cell states, each (num_layers * directions, B, H), for one sequence
            (num_layers * directions, H) array_like; None is zero.
        lengths : (B,) array_like of int, optional
            Steps of each sequence; what lies behind them is not read.

        Returns
        -------
        output : (T, B, directions * H), or as `input`
            Hidden states of the last layer; 0 behind the lengths.
        (h_n, c_n) : shapes of `hx`
            Each sequence's own last states.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        h0, c0 = (None, None) if hx is None else pair("LSTM", "hx", hx, "(h0, c0)")
        output, h_n, c_n = self._forward(input, lengths, h0=h0, c0=c0)
        assert c_n is not None
        return output, (h_n, c_n)


class GRU(RecurrentLayer):
    """Layers of h' = (1 - z) n + z h with n = tanh(x_n + r h_n), as torch.nn.GRU.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers, bias, batch_first, dropout, bidirectional, proj_size, compute_type, seed
        As in `LSTM`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np
    >>> output, h_n = GRU(3, 4)(np.ones((5, 3)))
    >>> bool((output[-1] == h_n[0]).all())
    True
    """

    _gates = 3
    _cell = "gru"

    def __call__(self, input: Any, hx: Any = None, lengths: Any = None) -> tuple[Floats, Floats]:
        """Read sequences: arguments and results as `RNN.__call__`.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        output, h_n, _ = self._forward(input, lengths, hx=hx)
        return output, h_n
