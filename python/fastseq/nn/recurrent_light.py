"""Recurrent layers that torch does not have: SRU, SSRU and the multiplicative LSTM."""

from __future__ import annotations

from typing import Any

from fastseq._checks import Floats, number, pair
from fastseq.nn.gates import Activation, parse_activation
from fastseq.nn.module import Seed
from fastseq.nn.recurrent_layer import RecurrentLayer

__all__ = ["SRU", "SSRU", "MultiplicativeLSTM"]


class _LightLayer(RecurrentLayer):
    """SRU and SSRU: nothing is multiplied with the state, which is c alone."""

    _has_hidden = False
    _has_cell = True

    def _kernel_activations(self) -> list[tuple[Activation, ...]]:
        gate, nothing = Activation("sigmoid"), Activation("affine", 1.0)
        return [(gate, nothing, *given) for given in self._activations]

    def __call__(self, input: Any, c0: Any = None, lengths: Any = None) -> tuple[Floats, Floats]:
        """Read sequences.

        Parameters
        ----------
        input : (T, B, I), with `batch_first` (B, T, I), or for one sequence (T, I) array_like
            Or a PackedSequence of torch, and then the output is one.
        c0 : (num_layers * directions, B, H), for one sequence (num_layers * directions, H) array_like, optional
            First states; None is zero.
        lengths : (B,) array_like of int, optional
            Steps of each sequence; what lies behind them is not read.

        Returns
        -------
        output : (T, B, directions * H), or as `input`
            Outputs of the last layer; 0 behind the lengths.
        c_n : shape of `c0`
            Each sequence's own last states.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        output, _, c_n = self._forward(input, lengths, c0=c0)
        return output, c_n


class SRU(_LightLayer):
    """Simple recurrent units: c' = f c + (1 - f) w, output r c' + (1 - r) x (Lei et al., 2018).

    With w = W x, f = sigmoid(W_f x + v_f c + b_f) and r = sigmoid(W_r x + v_r c + b_r). Where the size of x is not
    directions * H, W_x x stands for x in the output.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers, bias, batch_first, dropout, bidirectional, compute_type, residual, reverse, seed
        As in `RNN`.
    peephole : bool, default True
        Whether the gates see c, through the parameter `weight_peep` (2 H,), that is v_f and v_r; False is the
        unit's first version.
    activation : str or tuple, default "linear"
        Of c' on its way to the output, as in the notes of `RNN`; "tanh" in the first version.
    skip_scale : float, default 1.0
        A factor of x in the output, where the weights were trained with one.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Notes
    -----
    Parameters: `weight_ih` (3 H, I) holds W, W_f, W_r and, where it is needed, W_x, (4 H, I); `bias_ih` (3 H,) the
    biases of the first three, of which the paper has the last two.

    Examples
    --------
    >>> import numpy as np
    >>> output, c_n = SRU(3, 4, num_layers=2)(np.ones((5, 2, 3)))
    >>> output.shape, c_n.shape
    ((5, 2, 4), (2, 2, 4))
    """

    _kind = "sru"
    _standard = ("linear",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        compute_type: str = "float32",
        residual: bool = False,
        reverse: bool = False,
        peephole: bool = True,
        activation: Any = "linear",
        skip_scale: float = 1.0,
        seed: Seed = None,
    ) -> None:
        self.peephole = bool(peephole)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            gates=3,
            activations=[parse_activation("SRU", "activation", activation)],
            variant={"skip_scale": (number("SRU", "skip_scale", skip_scale), 1.0)},
            compute_type=compute_type,
            residual=residual,
            reverse=reverse,
            seed=seed,
        )

    def _shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        shapes = super()._shapes(input_size)
        if input_size != self._num_directions * self.hidden_size:
            shapes["weight_ih"] = (4 * self.hidden_size, input_size)
        if self.peephole:
            shapes["weight_peep"] = (2 * self.hidden_size,)
        return shapes


class SSRU(_LightLayer):
    """Simpler simple recurrent units: c' = f c + (1 - f) W x, output relu(c'), f = sigmoid(W_f x + b_f).

    The decoder's recurrence in Marian's fast translation models (Kim et al., 2019).

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers, bias, batch_first, dropout, bidirectional, compute_type, residual, reverse, seed
        As in `RNN`.
    activation : str or tuple, default "relu"
        Of c' on its way to the output, as in the notes of `RNN`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Notes
    -----
    Parameters: `weight_ih` (2 H, I) holds W and W_f, `bias_ih` (2 H,) their biases, of which the paper has the last.

    Examples
    --------
    >>> import numpy as np
    >>> output, c_n = SSRU(4, 4)(np.ones((5, 2, 4)))
    >>> bool((output[-1] == np.maximum(c_n[0], 0)).all())
    True
    """

    _kind = "ssru"
    _standard = ("relu",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        compute_type: str = "float32",
        residual: bool = False,
        reverse: bool = False,
        activation: Any = "relu",
        seed: Seed = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            gates=2,
            activations=[parse_activation("SSRU", "activation", activation)],
            compute_type=compute_type,
            residual=residual,
            reverse=reverse,
            seed=seed,
        )


class MultiplicativeLSTM(RecurrentLayer):
    """Layers of an LSTM of m = (W_mx x) (W_mh h) in the place of h (Krause et al., 2016).

    The gates are W_ih x + b_ih + W_hh m + b_hh; c' and h' as in `LSTM`.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers, bias, batch_first, dropout, bidirectional, compute_type, residual, reverse, seed
        As in `RNN`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Notes
    -----
    Parameters: those of `LSTM`, `weight_mx` (H, I) and `weight_mh` (H, H).

    Examples
    --------
    >>> import numpy as np
    >>> output, (h_n, c_n) = MultiplicativeLSTM(3, 4)(np.ones((5, 2, 3)))
    >>> output.shape, h_n.shape, c_n.shape
    ((5, 2, 4), (1, 2, 4), (1, 2, 4))
    """

    _kind = "multiplicative_lstm"
    _has_cell = True
    _standard = ("sigmoid", "tanh", "tanh")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        compute_type: str = "float32",
        residual: bool = False,
        reverse: bool = False,
        seed: Seed = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            gates=4,
            activations=self._standard,
            compute_type=compute_type,
            residual=residual,
            reverse=reverse,
            seed=seed,
        )

    def _shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        mixing = {"weight_mx": (self.hidden_size, input_size), "weight_mh": (self.hidden_size, self.hidden_size)}
        return super()._shapes(input_size) | mixing

    def __call__(
        self, input: Any, hx: tuple[Any, Any] | None = None, lengths: Any = None
    ) -> tuple[Floats, tuple[Floats, Floats]]:
        """Read sequences: arguments and results as `LSTM.__call__`.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        h0, c0 = (None, None) if hx is None else pair("MultiplicativeLSTM", "hx", hx, "(h0, c0)")
        output, h_n, c_n = self._forward(input, lengths, h0, c0)
        return output, (h_n, c_n)
