"""What all layers share: named parameters, children, and weights packed once for each backend."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from fastseq import _backend
from fastseq._checks import Floats, floats

__all__ = ["Module", "Seed", "compute_type_argument", "expect_torch", "refuse", "uniform"]

Seed: TypeAlias = "int | np.random.Generator | None"


def uniform(generator: np.random.Generator, bound: float, *shape: int) -> Floats:
    """Return float32 numbers, evenly distributed in [-bound, bound)."""
    return generator.uniform(-bound, bound, shape).astype(np.float32)


class Module:
    """Base class of the layers.

    Parameters are attributes, as in torch (``layer.weight``); they are read-only arrays, because a packed copy of
    them is what computes. `load_state_dict` replaces them.
    """

    def __init__(self) -> None:
        self._parameters: dict[str, Floats | None] = {}
        self._children: dict[str, Module] = {}
        self._packs: dict[str, Any] = {}  # by name of the backend
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is no ordinary attribute.
        for kind in ("_parameters", "_children"):
            members = self.__dict__.get(kind, {})
            if name in members:
                return members[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles pack their weights anew."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_packs", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A shallow copy has its own parameters too: replacing them must not pass by the original's packed ones.
        self.__dict__.update(state, _parameters=dict(state["_parameters"]), _packs={}, _lock=threading.Lock())
        for name, value in self._parameters.items():
            self._set_parameter(name, value)

    def _set_parameter(self, name: str, value: Floats | None) -> None:
        """Set one of the layer's own parameters; None for one that it does without."""
        if value is not None:
            value.flags.writeable = False
        self._parameters[name] = value

    def _add(self, name: str, child: Module) -> None:
        self._children[name] = child

    def _packed(self, pack: Callable[[ModuleType], Any]) -> Any:
        """Return ``pack(backend)`` for the active backend, computed when it is first needed."""
        name = _backend.active_name()
        packed = self._packs.get(name)
        if packed is None:  # another thread may be packing, or replacing the parameters
            with self._lock:
                packed = self._packs.get(name)
                if packed is None:
                    packed = self._packs[name] = pack(_backend.get(name))
        return packed

    def _owners(self, prefix: str = "") -> Iterator[tuple[str, Module, str]]:
        """Full name of each parameter, the module whose it is, and its name there."""
        for name, value in self._parameters.items():
            if value is not None:
                yield prefix + name, self, name
        for name, child in self._children.items():
            yield from child._owners(f"{prefix}{name}.")

    def state_dict(self) -> dict[str, Floats]:
        """Return the parameters by their names in torch, as read-only arrays."""
        return {full: owner._parameters[name] for full, owner, name in self._owners()}  # type: ignore[misc]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all parameters.

        Parameters
        ----------
        state : mapping of str to array_like
            Exactly the names of `state_dict`. Values are copied and converted to float32.

        Raises
        ------
        TypeError
            If `state` is no mapping, or a value holds no real numbers.
        ValueError
            If parameters are missing, not expected or of another shape; the message names all of them, and nothing
            is replaced.
        """
        where = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state, Mapping):
            raise TypeError(f"{where}: state is {type(state).__name__}; expected a mapping of names to arrays")
        owners = {full: (owner, name) for full, owner, name in self._owners()}
        problems = [f"{name} is missing" for name in owners if name not in state]
        problems += [f"{name} is not expected" for name in state if name not in owners]
        values: dict[str, Floats] = {}
        for full, (owner, name) in owners.items():
            if full in state:
                values[full] = floats(where, full, state[full]).copy()
                wanted = owner._parameters[name].shape  # type: ignore[union-attr]
                if values[full].shape != wanted:
                    problems.append(f"{full} has shape {values[full].shape}, expected {wanted}")
        if problems:
            raise ValueError(f"{where}: {'; '.join(problems)}")
        for full, (owner, name) in owners.items():
            owner._set_parameter(name, values[full])
        self._forget_packed()

    def _forget_packed(self) -> None:
        with self._lock:
            self._packs.clear()
        for child in self._children.values():
            child._forget_packed()

    def _arguments(self) -> str:
        """Constructor arguments, for `repr`."""
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._arguments()})"


def expect_torch(cls: type[Module], module: Any) -> None:
    """TypeError unless `module` is torch's class of the same name, or derived from it; torch is not imported."""
    if not any(c.__name__ == cls.__name__ and c.__module__.startswith("torch.") for c in type(module).__mro__):
        raise TypeError(
            f"{cls.__name__}.from_torch: module is {type(module).__name__}; expected torch.nn.{cls.__name__}"
        )


def compute_type_argument(module: Any) -> str:
    """Return the compute type for `repr`, where it is not the default."""
    return "" if module.compute_type == "float32" else f", compute_type={module.compute_type!r}"


def refuse(where: str, **options: tuple[Any, Any]) -> None:
    """ValueError for an option (value, supported value) that there is no code for."""
    for name, (value, supported) in options.items():
        if value != supported:
            raise ValueError(f"{where}: {name} is {value!r}; only {supported!r} is supported")
