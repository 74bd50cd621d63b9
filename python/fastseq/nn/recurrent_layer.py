"""What RNN, LSTM and GRU share: parameters, packing, and ragged batches in padded arrays."""

from __future__ import annotations

import math
from typing import Any, ClassVar, TypeVar

import numpy as np

from fastseq import _checks
from fastseq._checks import Floats, expect_rank, float32_only, floats, integer, number, optional_floats
from fastseq.nn.module import Module, Seed, expect_torch, refuse, uniform

__all__ = ["RecurrentLayer"]

Layer = TypeVar("Layer", bound="RecurrentLayer")


class RecurrentLayer(Module):
    """Constructor, state dictionary and call of all three."""

    _gates: ClassVar[int]
    _options: ClassVar[tuple[str, ...]] = ("num_layers", "bias", "batch_first", "dropout", "bidirectional")
    _cell: str

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
        seed: Seed = None,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.input_size = integer(where, "input_size", input_size, 1)
        self.hidden_size = integer(where, "hidden_size", hidden_size, 1)
        self.num_layers = integer(where, "num_layers", num_layers, 1)
        self.bias = bool(bias)
        self.batch_first = bool(batch_first)
        self.dropout = number(where, "dropout", dropout, 0.0, 1.0)
        self.bidirectional = bool(bidirectional)
        refuse(where, proj_size=(proj_size, 0))
        float32_only(where, compute_type)
        generator = np.random.default_rng(seed)
        bound = 1 / math.sqrt(self.hidden_size)
        rows = self._gates * self.hidden_size
        for i, suffix in enumerate(self._suffixes()):
            inner = i >= self._num_directions
            size = self._num_directions * self.hidden_size if inner else self.input_size
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, size), "weight_hh": (rows, self.hidden_size)}
            if self.bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            for kind, shape in shapes.items():
                self._set_parameter(f"{kind}_{suffix}", uniform(generator, bound, *shape))

    @property
    def _num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self) -> list[str]:
        """Ends of the parameters' names, in the order of the states: layer 0 forward, layer 0 reverse, ..."""
        directions = ("", "_reverse")[: self._num_directions]
        return [f"l{layer}{direction}" for layer in range(self.num_layers) for direction in directions]

    def _pack(self, backend: Any) -> Any:
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [tuple(self._parameters.get(f"{kind}_{suffix}") for kind in kinds) for suffix in self._suffixes()]
        return backend.Recurrent(self._cell, weights, self.bidirectional)

    def _forward(self, input: Any, lengths: Any, **states: Any) -> tuple[Floats, Floats, Floats | None]:
        """Output and last states, in the layout of `input`; states are h0 and, for an LSTM, c0, by their names."""
        where = type(self).__name__
        x = floats(where, "input", input)
        layout = "(B, T, I)" if self.batch_first else "(T, B, I)"
        expect_rank(where, "input", x, (2, 3), f"{layout}, or (T, I) for one sequence")
        if x.shape[-1] != self.input_size:
            wanted = f"{layout} with I = {self.input_size}"
            raise ValueError(f"{where}: input has shape {x.shape}; expected {wanted}")
        batched = x.ndim == 3
        if not batched:
            x = x[None]
        elif not self.batch_first:
            x = x.swapaxes(0, 1)
        batch, steps = x.shape[:2]
        shape: tuple[int, ...] = (len(self._suffixes()), batch, self.hidden_size)
        symbols = "(num_layers * directions, B, H)" if batched else "(num_layers * directions, H)"
        given = [
            optional_floats(where, name, state, shape if batched else (shape[0], shape[2]), symbols)
            for name, state in states.items()
        ]
        h0, c0 = ([None if s is None else s.reshape(shape) for s in given] + [None])[:2]
        layer = self._packed(self._pack)
        if lengths is None:
            tokens = np.ascontiguousarray(x).reshape(batch * steps, self.input_size)
            output, h_n, c_n = layer.forward(tokens, np.arange(batch + 1) * steps, h0, c0)
            output = output.reshape(batch, steps, output.shape[1])
        else:
            counts = _checks.lengths(where, lengths, batch, steps)
            real = np.arange(steps) < counts[:, None]  # (B, T)
            ragged, h_n, c_n = layer.forward(x[real], np.concatenate(([0], np.cumsum(counts))), h0, c0)
            output = np.zeros((batch, steps, ragged.shape[1]), np.float32)
            output[real] = ragged
        if not batched:
            return output[0], h_n[:, 0], None if c_n is None else c_n[:, 0]
        return output if self.batch_first else output.swapaxes(0, 1), h_n, c_n

    @classmethod
    def from_torch(cls: type[Layer], module: Any) -> Layer:
        """Take over the weights of torch.nn's layer of the same name.

        Raises
        ------
        TypeError
            If it is another kind of module.
        ValueError
            If it has `proj_size`.
        """
        expect_torch(cls, module)
        refuse(f"{cls.__name__}.from_torch", proj_size=(module.proj_size, 0))
        options = {name: getattr(module, name) for name in cls._options}
        layer = cls(module.input_size, module.hidden_size, **options)
        layer.load_state_dict(module.state_dict())
        return layer

    def _arguments(self) -> str:
        options = {"num_layers": 1, "bias": True, "batch_first": False, "bidirectional": False}
        given = [f"{name}={getattr(self, name)}" for name, default in options.items() if getattr(self, name) != default]
        return ", ".join([str(self.input_size), str(self.hidden_size), *given])
