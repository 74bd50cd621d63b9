"""RNN and GRU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastseq._backend import chosen
from fastseq._checks import Floats, number
from fastseq.nn.module import Seed
from fastseq.nn.recurrent_layer import RecurrentLayer, limit, norm_shapes

__all__ = ["GRU", "RNN"]


class RNN(RecurrentLayer):
    """Layers of h' = tanh(W_ih x + b_ih + W_hh h + b_hh), as torch.nn.RNN.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers : int, default 1
    nonlinearity : str, tuple or list, default "tanh"
        "relu", "tanh" or another activation, see Notes; a list of two for the two directions.
    bias : bool, default True
    batch_first : bool, default False
        Whether input and output are (B, T, ...) instead of (T, B, ...).
    dropout : float, default 0.0
        Accepted so that arguments can be taken over; nothing is dropped, as in torch after ``eval()``.
    bidirectional : bool, default False
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        What the weights are packed as. With "int8" inputs and states are quantised in every step, each row with its
        own scale; see `functional.linear`.
    residual : bool, default False
        Whether every layer but the first adds its input to its outputs.
    reverse : bool, default False
        Whether sequences are read from their ends, in one direction; outputs stay where their inputs are.
    layer_norm : bool, default False
        Whether W_ih x and W_hh h are each layer-normalised (Ba et al., 2016), with parameters `norm_ih` and `norm_hh`
        and the biases as shifts.
    norm_eps : float, default 1e-5
    clip : float, optional
        Bounds what goes into the activation to [-clip, clip].
    seed : int or numpy.random.Generator, optional
        For the initial weights, which are uniform in +-1 / sqrt(H).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Notes
    -----
    Activations are names, or tuples of a name and its parameters: "tanh", "sigmoid", "relu", "relu6", "linear",
    "affine" (alpha, beta), "leaky_relu" (alpha), "thresholded_relu" (alpha), "scaled_tanh" (alpha, beta),
    "hard_sigmoid" (alpha, beta), "elu" (alpha), "selu", "softsign", "softplus", "silu", "gelu" and "exponential".

    Examples
    --------
    >>> import numpy as np
    >>> output, h_n = RNN(3, 4, bidirectional=True)(np.ones((5, 2, 3)), lengths=[5, 2])
    >>> output.shape, h_n.shape
    ((5, 2, 8), (2, 2, 4))
    >>> output[2:, 1].any()
    np.False_
    """

    _kind = "rnn"
    _activations_name = "nonlinearity"
    _options = (*RecurrentLayer._options, "nonlinearity")
    _standard = ("tanh",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Any = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        compute_type: str = "float32",
        residual: bool = False,
        reverse: bool = False,
        layer_norm: bool = False,
        norm_eps: float = 1e-5,
        clip: float | None = None,
        seed: Seed = None,
    ) -> None:
        self.nonlinearity = nonlinearity
        self.layer_norm = bool(layer_norm)
        if nonlinearity in ("tanh", "relu"):
            self._standard = (nonlinearity,)  # type: ignore[misc]
            self._cell = f"rnn_{nonlinearity}"
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            gates=1,
            activations=nonlinearity if isinstance(nonlinearity, list) else [nonlinearity],
            variant={
                "layer_norm": (self.layer_norm, False),
                "norm_eps": (number("RNN", "norm_eps", norm_eps, 0.0), 1e-5),
                "clip": (limit("RNN", "clip", clip), float("inf")),
            },
            compute_type=compute_type,
            residual=residual,
            reverse=reverse,
            seed=seed,
        )

    def _shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        return super()._shapes(input_size) | norm_shapes(self.layer_norm, self.hidden_size)

    def __call__(self, input: Any, hx: Any = None, lengths: Any = None) -> tuple[Floats, Floats]:
        """Read sequences.

        Parameters
        ----------
        input : (T, B, I), with `batch_first` (B, T, I), or for one sequence (T, I) array_like
            Or a PackedSequence of torch, and then the output is one.
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
        step = self._steps.get(chosen.get())
        if step is not None and lengths is None and (result := step(input, hx, self.batch_first)) is not None:
            return result  # type: ignore[no-any-return]
        output, h_n, _ = self._forward(input, lengths, hx, state="hx")
        return output, h_n


class GRU(RecurrentLayer):
    """Layers of h' = (1 - z) n + z h with n = tanh(x_n + r h_n), as torch.nn.GRU.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers, bias, batch_first, dropout, bidirectional, compute_type, residual, reverse, layer_norm, norm_eps, clip
        As in `RNN`.
    reset_after : bool, default True
        Whether the reset gate scales h_n = W_hn h + b_hn, as in PyTorch, instead of h before the product with W_hn, as
        in Cho et al. (2014).
    activations : sequence of 2, default ("sigmoid", "tanh")
        Of the gates and of n, as in the notes of `RNN`; 4 for the two directions.
    seed : int or numpy.random.Generator, optional

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

    _kind = _cell = "gru"
    _standard = ("sigmoid", "tanh")

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
        reset_after: bool = True,
        layer_norm: bool = False,
        norm_eps: float = 1e-5,
        clip: float | None = None,
        activations: Sequence[Any] = ("sigmoid", "tanh"),
        seed: Seed = None,
    ) -> None:
        self.reset_after, self.layer_norm = bool(reset_after), bool(layer_norm)
        if self.layer_norm and not self.reset_after:
            raise ValueError("GRU: layer_norm is True; expected False as reset_after is False")
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            gates=3,
            activations=activations,
            variant={
                "reset_after": (self.reset_after, True),
                "layer_norm": (self.layer_norm, False),
                "norm_eps": (number("GRU", "norm_eps", norm_eps, 0.0), 1e-5),
                "clip": (limit("GRU", "clip", clip), float("inf")),
            },
            compute_type=compute_type,
            residual=residual,
            reverse=reverse,
            seed=seed,
        )

    def _shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        return super()._shapes(input_size) | norm_shapes(self.layer_norm, 3 * self.hidden_size)

    def __call__(self, input: Any, hx: Any = None, lengths: Any = None) -> tuple[Floats, Floats]:
        """Read sequences: arguments and results as `RNN.__call__`.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        step = self._steps.get(chosen.get())
        if step is not None and lengths is None and (result := step(input, hx, self.batch_first)) is not None:
            return result  # type: ignore[no-any-return]
        output, h_n, _ = self._forward(input, lengths, hx, state="hx")
        return output, h_n
