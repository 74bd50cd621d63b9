"""One step at a time: RNNCell, LSTMCell and GRUCell."""

from __future__ import annotations

import math
from typing import Any, ClassVar, TypeVar

import numpy as np

from fastseq._checks import Floats, choice, expect_rank, expect_shape, floats, integer, pair
from fastseq._layout import WEIGHT_KINDS
from fastseq.nn.module import Module, Seed, expect_torch, uniform

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]

Cell = TypeVar("Cell", bound="_Cell")


class _Cell(Module):
    """Constructor, state dictionary and step of all three."""

    _gates: ClassVar[int]
    _options: ClassVar[tuple[str, ...]] = ()
    _cell: str  # of the backends' Recurrent

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, seed: Seed = None) -> None:
        super().__init__()
        where = type(self).__name__
        self.input_size = integer(where, "input_size", input_size, 1)
        self.hidden_size = integer(where, "hidden_size", hidden_size, 1)
        self.bias = bool(bias)
        rows = self._gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, self.input_size),
            "weight_hh": (rows, self.hidden_size),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        generator = np.random.default_rng(seed)
        for name, shape in shapes.items():
            self._set_parameter(name, uniform(generator, 1 / math.sqrt(self.hidden_size), *shape))

    def _pack(self, backend: Any) -> Any:
        return backend.Recurrent(self._cell, [tuple(self._parameters.get(kind) for kind in WEIGHT_KINDS)], False, False)

    def _step(self, input: Any, **states: Any) -> tuple[Floats, Floats | None]:
        """Next states of (B, I) or (I,), from states by their names."""
        where = type(self).__name__
        x = floats(where, "input", input)
        expect_rank(where, "input", x, (1, 2), "(B, I), or (I,) for one row")
        if x.shape[-1] != self.input_size:
            raise ValueError(f"{where}: input has shape {x.shape}; expected (B, I) with I = {self.input_size}")
        shape = (*x.shape[:-1], self.hidden_size)
        given = []
        for name, value in states.items():
            state = None if value is None else floats(where, name, value)
            if state is not None:
                expect_shape(where, name, state, shape, "(B, H)" if x.ndim == 2 else "(H,)")
                state = state.reshape(1, -1, self.hidden_size)
            given.append(state)
        h0, c0 = [*given, None][:2]
        _, h, c = self._packed(self._pack).step(x.reshape(-1, self.input_size), h0, c0)
        return h.reshape(shape), None if c is None else c.reshape(shape)

    @classmethod
    def from_torch(cls: type[Cell], module: Any) -> Cell:
        """Take over the weights of torch.nn's cell of the same name.

        Raises
        ------
        TypeError
            If it is another kind of module.
        """
        expect_torch(cls, module)
        options = {name: getattr(module, name) for name in cls._options}
        cell = cls(module.input_size, module.hidden_size, module.bias, **options)
        cell.load_state_dict(module.state_dict())
        return cell

    def _arguments(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """One step of h' = tanh(W_ih x + b_ih + W_hh h + b_hh), as torch.nn.RNNCell.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    bias : bool, default True
    nonlinearity : {"tanh", "relu"}, default "tanh"
    seed : int or numpy.random.Generator, optional
        For the initial weights, which are uniform in +-1 / sqrt(H).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np
    >>> RNNCell(3, 4)(np.ones((2, 3))).shape
    (2, 4)
    """

    _gates = 1
    _options = ("nonlinearity",)

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", *, seed: Seed = None
    ) -> None:
        self.nonlinearity = choice("RNNCell", "nonlinearity", nonlinearity, ("tanh", "relu"))
        self._cell = f"rnn_{self.nonlinearity}"
        super().__init__(input_size, hidden_size, bias, seed=seed)

    def __call__(self, input: Any, hx: Any = None) -> Floats:
        """Return h' (B, H) or (H,) of input (B, I) or (I,) and hx, of the shape of h'; None is zero.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type or shape.
        """
        return self._step(input, hx=hx)[0]


class LSTMCell(_Cell):
    """One step of c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c'), as torch.nn.LSTMCell.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    bias : bool, default True
    seed : int or numpy.random.Generator, optional
        For the initial weights, which are uniform in +-1 / sqrt(H).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np
    >>> h, c = LSTMCell(3, 4)(np.ones((2, 3)))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    _gates = 4
    _cell = "lstm"

    def __call__(self, input: Any, hx: tuple[Any, Any] | None = None) -> tuple[Floats, Floats]:
        """Return (h', c'), each (B, H) or (H,), of input (B, I) or (I,) and hx = (h, c) of their shapes; None is zero.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type or shape.
        """
        h0, c0 = (None, None) if hx is None else pair("LSTMCell", "hx", hx, "(h0, c0)")
        h, c = self._step(input, h0=h0, c0=c0)
        return h, c  # type: ignore[return-value]


class GRUCell(_Cell):
    """One step of h' = (1 - z) n + z h with n = tanh(x_n + r h_n), as torch.nn.GRUCell.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    bias : bool, default True
    seed : int or numpy.random.Generator, optional
        For the initial weights, which are uniform in +-1 / sqrt(H).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np
    >>> GRUCell(3, 4)(np.ones(3), np.zeros(4)).shape
    (4,)
    """

    _gates = 3
    _cell = "gru"

    def __call__(self, input: Any, hx: Any = None) -> Floats:
        """Return h' (B, H) or (H,) of input (B, I) or (I,) and hx, of the shape of h'; None is zero.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type or shape.
        """
        return self._step(input, hx=hx)[0]
