"""What the recurrent layers share: parameters, packing, and ragged batches in padded arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from fastseq import _checks
from fastseq._backend import active_name, default_name
from fastseq._checks import Floats, Ints, integer, number
from fastseq._layout import WEIGHT_KINDS
from fastseq.nn.gates import Activation, parse_activations
from fastseq.nn.module import Module, Seed, compute_type_argument, expect_torch, uniform
from fastseq.nn.recurrent_input import read_input

__all__ = ["RecurrentLayer", "limit", "norm_shapes"]

Layer = TypeVar("Layer", bound="RecurrentLayer")


def limit(where: str, name: str, value: Any) -> float:
    """Return a positive bound, infinite for None."""
    if value is None:
        return np.inf
    bound = number(where, name, value, 0.0)
    if bound == 0.0:
        raise ValueError(f"{where}: {name} is 0; expected a positive number or None")
    return bound


def norm_shapes(layer_norm: bool, rows: int) -> dict[str, tuple[int, ...]]:
    """Parameters of the layer norms of W_ih x and W_hh h, if there are any."""
    return {"norm_ih": (rows,), "norm_hh": (rows,)} if layer_norm else {}


class RecurrentLayer(Module):
    """Constructor, state dictionary and call of all recurrent layers."""

    _kind: ClassVar[str]  # of the backends' VariantRecurrent
    _options: ClassVar[tuple[str, ...]] = ("num_layers", "bias", "batch_first", "dropout", "bidirectional")
    _standard: ClassVar[tuple[str, ...]] = ()  # activations with which the cell is the one that PyTorch has
    _activations_name: ClassVar[str] = "activations"  # of the constructor's argument
    _has_hidden: ClassVar[bool] = True  # whether there is a state h
    _has_cell: ClassVar[bool] = False  # whether there is a state c
    _cell: str  # of the backends' Recurrent, for standard cells

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
        gates: int,
        activations: Sequence[Any],
        variant: dict[str, tuple[Any, Any]] | None = None,
        compute_type: str = "float32",
        residual: bool = False,
        reverse: bool = False,
        seed: Seed = None,
    ) -> None:
        super().__init__()
        # By what `_backend.chosen` says: the shortest way of packed standard cells for one time step. It gives None for
        # all but plain arrays that fit; a call that streams then costs one frame of Python.
        self._steps: dict[str | None, Any] = {}
        where = type(self).__name__
        self.input_size = integer(where, "input_size", input_size, 1)
        self.hidden_size = integer(where, "hidden_size", hidden_size, 1)
        self.num_layers = integer(where, "num_layers", num_layers, 1)
        self.bias = bool(bias)
        self.batch_first = bool(batch_first)
        self.dropout = number(where, "dropout", dropout, 0.0, 1.0)
        self.bidirectional = bool(bidirectional)
        self.proj_size = integer(where, "proj_size", proj_size, 0)
        if self.proj_size >= self.hidden_size:
            wanted = f"less than hidden_size = {self.hidden_size}"
            raise ValueError(f"{where}: proj_size is {self.proj_size}; expected {wanted}")
        self.residual = bool(residual)
        self.reverse = bool(reverse)
        if self.reverse and self.bidirectional:
            raise ValueError(f"{where}: reverse is True; expected False as bidirectional is True")
        self.compute_type = _checks.compute_type(where, compute_type)
        self._gates = gates
        name, count = self._activations_name, len(self._standard)
        self._activations = parse_activations(where, name, activations, count, self._num_directions)
        self._standard_activations = parse_activations(where, name, self._standard, count, 1)[0]
        self._variant = variant or {}
        self._is_variant = not self._is_standard()
        generator = np.random.default_rng(seed)
        bound = 1 / math.sqrt(self.hidden_size)
        for i, suffix in enumerate(self._suffixes()):
            inner = i >= self._num_directions
            size = self._num_directions * self._state_size if inner else self.input_size
            for kind, shape in self._shapes(size).items():
                value = uniform(generator, bound, *shape)
                if kind.startswith("norm_"):
                    value[:] = 1
                self._set_parameter(f"{kind}_{suffix}", value)

    def _shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Kinds of parameters of a direction of a layer, in torch's order, and their shapes."""
        rows, hidden = self._gates * self.hidden_size, self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size)}
        if self._has_hidden:
            shapes["weight_hh"] = (rows, self._state_size)
        if self.bias:
            shapes["bias_ih"] = (rows,)
            if self._has_hidden:
                shapes["bias_hh"] = (rows,)
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, hidden)
        return shapes

    @property
    def _num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _state_size(self) -> int:
        """P: size of h and of the outputs of a direction."""
        return self.proj_size or self.hidden_size

    def _suffixes(self) -> list[str]:
        """Ends of the parameters' names, in the order of the states: layer 0 forward, layer 0 reverse, ..."""
        directions = ("", "_reverse")[: self._num_directions]
        return [f"l{layer}{direction}" for layer in range(self.num_layers) for direction in directions]

    def _is_standard(self) -> bool:
        """Whether the fused kernels have the cell."""
        return (
            hasattr(self, "_cell")
            and not self.proj_size
            and all(given == self._standard_activations for given in self._activations)
            and all(value == default for value, default in self._variant.values())
        )

    def _pack(self, backend: Any) -> Any:
        if not self._is_variant:
            weights = [
                tuple(self._parameters.get(f"{kind}_{suffix}") for kind in WEIGHT_KINDS) for suffix in self._suffixes()
            ]
            layer = backend.Recurrent(self._cell, weights, self.bidirectional, self.residual, self.compute_type)
            name = active_name()
            self._steps[name] = layer.one_step
            if name == default_name():
                self._steps[None] = layer.one_step
            return layer
        kinds = tuple(self._shapes(1))
        named = [{kind: self._parameters[f"{kind}_{suffix}"] for kind in kinds} for suffix in self._suffixes()]
        rest = [Activation("affine", 1.0)] * 3  # of a cell with fewer
        activations = [tuple(map(tuple, [*given, *rest][:3])) for given in self._kernel_activations()]
        options = {name: value for name, (value, _) in self._variant.items() if name in _KERNEL_OPTIONS}
        return backend.VariantRecurrent(
            self._kind,
            named,
            activations * self.num_layers,
            options,
            self.hidden_size,
            self.bidirectional,
            self.residual,
            self.compute_type,
        )

    def _kernel_activations(self) -> list[tuple[Activation, ...]]:
        """Those of the gates, the candidate and the output, for each direction."""
        return self._activations

    def _run(self, tokens: Floats, offsets: Ints, h0: Floats | None, c0: Floats | None) -> tuple[Any, Any, Any]:
        """Sequences end to end, (N, I) to (N, directions * P), and the last states."""
        layer = self._packed(self._pack)
        if not self.reverse:
            return layer.forward(tokens, offsets, h0, c0)  # type: ignore[no-any-return]
        # Token i of a sequence changes places with the i-th from its end.
        mirror = np.repeat(offsets[:-1] + offsets[1:] - 1, np.diff(offsets)) - np.arange(len(tokens))
        output, h_n, c_n = layer.forward(tokens[mirror], offsets, h0, c0)
        return output[mirror], h_n, c_n

    def _forward(
        self, input: Any, lengths: Any, h0: Any = None, c0: Any = None, state: str = "h0"
    ) -> tuple[Any, Any, Any]:
        """Output and last states, in the layout of `input`; `state` is the caller's name of h0."""
        where = type(self).__name__
        batch = read_input(where, input, lengths, self.input_size, self.batch_first)
        count = len(self._suffixes())
        h0 = batch.state(where, state, h0, count, self._state_size)
        c0 = batch.state(where, "c0", c0, count, self.hidden_size)
        output, h_n, c_n = self._run(batch.tokens, batch.offsets, h0, c0)
        return batch.output(output), batch.last(h_n), batch.last(c_n)

    def _forget_packed(self) -> None:
        super()._forget_packed()
        with self._lock:
            self._steps.clear()

    def __getstate__(self) -> dict[str, Any]:
        """The steps are those of packed weights."""
        return super().__getstate__() | {"_steps": {}}

    @classmethod
    def from_torch(cls: type[Layer], module: Any, *, compute_type: str = "float32") -> Layer:
        """Take over the weights of torch.nn's layer of the same name.

        Raises
        ------
        TypeError
            If it is another kind of module.
        """
        expect_torch(cls, module)
        options = {name: getattr(module, name) for name in cls._options}
        layer = cls(module.input_size, module.hidden_size, compute_type=compute_type, **options)
        layer.load_state_dict(module.state_dict())
        return layer

    def _arguments(self) -> str:
        plain = {"num_layers": 1, "bias": True, "batch_first": False, "bidirectional": False, "proj_size": 0}
        plain |= {"residual": False, "reverse": False}
        given = [f"{name}={getattr(self, name)}" for name, default in plain.items() if getattr(self, name) != default]
        given += [f"{name}={value}" for name, (value, default) in self._variant.items() if value != default]
        return ", ".join([str(self.input_size), str(self.hidden_size), *given]) + compute_type_argument(self)


# The rest of `_variant` shows in the parameters.
_KERNEL_OPTIONS = frozenset({"coupled", "reset_after", "clip", "cell_clip", "norm_eps", "skip_scale"})
