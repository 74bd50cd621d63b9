"""Which implementation computes: the compiled extension or the NumPy reference."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from types import ModuleType
from typing import Any

__all__ = [
    "active",
    "active_name",
    "chosen",
    "config",
    "default_name",
    "get",
    "get_num_threads",
    "has_native",
    "of_model",
    "set_num_threads",
    "show_config",
    "use_backend",
]

_MODULES = {"native": "fastseq._core", "numpy": "fastseq.reference"}
chosen: ContextVar[str | None] = ContextVar("fastseq_backend", default=None)  # by use_backend


@lru_cache(maxsize=1)
def _native() -> ModuleType | None:
    try:
        return importlib.import_module(_MODULES["native"])
    except ImportError as error:
        warnings.warn(
            f"fastseq runs on its NumPy reference, far slower: the compiled extension does not load ({error})",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def has_native() -> bool:
    """Whether the compiled extension loads."""
    return _native() is not None


def _check(name: str, origin: str) -> str:
    if name not in _MODULES:
        raise ValueError(f"{origin} is {name!r}; expected one of {', '.join(map(repr, _MODULES))}")
    return name


def active_name() -> str:
    """The backend in use here: "native" or "numpy"."""
    return chosen.get() or default_name()


@lru_cache(maxsize=1)
def default_name() -> str:
    """FASTSEQ_BACKEND as it is when something first computes; without it the best that loads."""
    wanted = os.environ.get("FASTSEQ_BACKEND")
    if wanted:
        return _check(wanted, "FASTSEQ_BACKEND")
    return "native" if has_native() else "numpy"


def get(name: str) -> ModuleType:
    """The module of a backend by name.

    Raises
    ------
    ValueError
        If the name is unknown.
    ImportError
        If "native" is asked for and the compiled extension does not load.
    """
    return importlib.import_module(_MODULES[_check(name, "backend")])


def active() -> ModuleType:
    """The module whose functions and classes compute: `fastseq._core` or `fastseq.reference`."""
    return get(active_name())


def of_model(name: str | None) -> str:
    """The backend that a model is to run on, the active one for None; wrong settings of the environment are said here.

    Raises
    ------
    ValueError, ImportError
        As `get`, and if FASTSEQ_NUM_THREADS or FASTSEQ_ISA is wrong.
    """
    name = active_name() if name is None else name
    module = get(name)
    if name == "native":
        module.config()
    return name


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Compute with "native" or "numpy" inside a `with` block, in this thread or task.

    Parameters
    ----------
    name
        "native" (the compiled extension) or "numpy" (the reference).

    Raises
    ------
    ValueError
        If the name is unknown.
    ImportError
        If "native" is asked for and the compiled extension does not load.

    Examples
    --------
    >>> import fastseq
    >>> with fastseq.use_backend("numpy"):
    ...     fastseq.functional.relu([-1.0, 2.0])
    array([0., 2.], dtype=float32)
    """
    get(name)
    token = chosen.set(name)
    try:
        yield
    finally:
        chosen.reset(token)


def set_num_threads(num_threads: int) -> None:
    """Let at most this many threads compute, the calling one included; it does not concern NumPy's own.

    Parameters
    ----------
    num_threads
        At least 1. The default is FASTSEQ_NUM_THREADS, or the processors that the affinity mask and the cgroup quota
        leave to the process.

    Raises
    ------
    TypeError
        If it is not a whole number.
    ValueError
        If it is below 1.

    Examples
    --------
    >>> import fastseq
    >>> before = fastseq.get_num_threads()
    >>> fastseq.set_num_threads(1)
    >>> fastseq.get_num_threads()
    1
    >>> fastseq.set_num_threads(before)
    """
    if isinstance(num_threads, bool) or not hasattr(num_threads, "__index__"):
        raise TypeError(f"num_threads is {num_threads!r}; expected a whole number of at least 1")
    if not 1 <= num_threads <= 4096:
        raise ValueError(f"num_threads is {num_threads}; expected a whole number from 1 to 4096")
    native = _native()
    if native is not None:
        native.set_num_threads(int(num_threads))


def get_num_threads() -> int:
    """How many threads may compute; 1 without the compiled extension."""
    native = _native()
    return 1 if native is None else int(native.get_num_threads())


def config() -> dict[str, Any]:
    """What this installation is and uses, as a dictionary."""
    import numpy as np

    import fastseq

    native = _native()
    details: dict[str, Any] = {} if native is None else native.config()
    return {"version": fastseq.__version__, "backend": active_name(), **details, "numpy": np.__version__}


def show_config() -> None:
    """Print the version, the backend, the instruction sets, the threads and the compiler."""
    for name, value in config().items():
        print(f"{name + ':':22}{', '.join(value) if isinstance(value, list) else value}")
