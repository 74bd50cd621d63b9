"""LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastseq._backend import chosen
from fastseq._checks import Floats, number, pair
from fastseq.nn.module import Seed
from fastseq.nn.recurrent_layer import RecurrentLayer, limit, norm_shapes

__all__ = ["LSTM"]


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
    proj_size : int, default 0
        P: if it is not 0, h' is W_hr (sigmoid(o) tanh(c')) of this size (Sak et al., 2014).
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        What the weights are packed as. With "int8" inputs and states are quantised in every step, each row with its
        own scale; see `functional.linear`.
    residual, reverse : bool, default False
        As in `RNN`.
    peephole : bool, default False
        Whether the gates i and f see c, and o sees c' (Gers and Schmidhuber, 2000), each unit its own: parameter
        `weight_peep` (3 H,) for i, f, o.
    coupled : bool, default False
        Whether the forget gate is 1 - i (Greff et al., 2015). The gates are then i, g, o, the peepholes i, o.
    layer_norm : bool, default False
        Whether W_ih x, W_hh h and, on its way to h', c' are layer-normalised (Ba et al., 2016), with parameters
        `norm_ih`, `norm_hh`, `norm_c`, the biases and `bias_c`.
    norm_eps : float, default 1e-5
    clip : float, optional
        Bounds what goes into the activations of the gates and of g to [-clip, clip].
    cell_clip : float, optional
        Bounds c' to [-cell_clip, cell_clip].
    activations : sequence of 3, default ("sigmoid", "tanh", "tanh")
        Of the gates, of g, and of c' on its way to h', as in the notes of `RNN`; 6 for the two directions.
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

    _kind = _cell = "lstm"
    _has_cell = True
    _options = (*RecurrentLayer._options, "proj_size")
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
        proj_size: int = 0,
        *,
        compute_type: str = "float32",
        residual: bool = False,
        reverse: bool = False,
        peephole: bool = False,
        coupled: bool = False,
        layer_norm: bool = False,
        norm_eps: float = 1e-5,
        clip: float | None = None,
        cell_clip: float | None = None,
        activations: Sequence[Any] = ("sigmoid", "tanh", "tanh"),
        seed: Seed = None,
    ) -> None:
        self.peephole, self.coupled, self.layer_norm = bool(peephole), bool(coupled), bool(layer_norm)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            gates=3 if self.coupled else 4,
            activations=activations,
            variant={
                "peephole": (self.peephole, False),
                "coupled": (self.coupled, False),
                "layer_norm": (self.layer_norm, False),
                "norm_eps": (number("LSTM", "norm_eps", norm_eps, 0.0), 1e-5),
                "clip": (limit("LSTM", "clip", clip), float("inf")),
                "cell_clip": (limit("LSTM", "cell_clip", cell_clip), float("inf")),
            },
            compute_type=compute_type,
            residual=residual,
            reverse=reverse,
            seed=seed,
        )

    def _shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        shapes = super()._shapes(input_size)
        if self.peephole:
            shapes["weight_peep"] = ((self._gates - 1) * self.hidden_size,)
        shapes |= norm_shapes(self.layer_norm, self._gates * self.hidden_size)
        if self.layer_norm:
            shapes["norm_c"] = (self.hidden_size,)
            if self.bias:
                shapes["bias_c"] = (self.hidden_size,)
        return shapes

    def __call__(
        self, input: Any, hx: tuple[Any, Any] | None = None, lengths: Any = None
    ) -> tuple[Floats, tuple[Floats, Floats]]:
        """Read sequences.

        Parameters
        ----------
        input : (T, B, I), with `batch_first` (B, T, I), or for one sequence (T, I) array_like
            Or a PackedSequence of torch, and then the output is one.
        hx : (h0, c0), optional
            First hidden and cell states, (num_layers * directions, B, P) and (..., H), for one
            sequence without B, array_like; None is zero.
        lengths : (B,) array_like of int, optional
            Steps of each sequence; what lies behind them is not read.

        Returns
        -------
        output : (T, B, directions * P), or as `input`
            Hidden states of the last layer; 0 behind the lengths.
        (h_n, c_n) : shapes of `hx`
            Each sequence's own last states.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value.
        """
        step = self._steps.get(chosen.get())
        if step is not None and lengths is None and (result := step(input, hx, self.batch_first)) is not None:
            return result  # type: ignore[no-any-return]
        h0, c0 = (None, None) if hx is None else pair("LSTM", "hx", hx, "(h0, c0)")
        output, h_n, c_n = self._forward(input, lengths, h0, c0)
        return output, (h_n, c_n)
