"""The checks of all arguments, and their messages: what was given, and what was expected.

`where` is the name of the function or class that the caller sees; every message begins with it.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = "NDArray[np.bool_] | Floats"

__all__ = [
    "COMPUTE_TYPES",
    "Floats",
    "Ints",
    "Mask",
    "choice",
    "compute_type",
    "expect_int8_size",
    "expect_rank",
    "expect_shape",
    "floats",
    "ids",
    "integer",
    "integers",
    "lengths",
    "mask",
    "number",
    "optional_floats",
    "pair",
    "shaped_floats",
]

COMPUTE_TYPES = ("float32", "bfloat16", "int8")
_MOST_INT8_INPUTS = 133_144  # times 127 * 127 it is the largest below 2^31
_FLOAT32 = np.dtype(np.float32)


def _array(where: str, name: str, value: Any) -> NDArray[Any]:
    """Anything with the buffer or array protocol, a torch CPU tensor or nested lists, without a copy if possible."""
    try:
        if hasattr(value, "detach"):  # a torch tensor: its values without their history
            value = value.detach()
            if str(value.dtype) == "torch.bfloat16":  # NumPy has no such type
                value = value.float()
        return np.asarray(value)
    except TypeError as error:
        raise TypeError(f"{where}: {name} cannot be read as an array: {error}") from error
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{where}: {name} cannot be read as an array: {error}") from error


def _given(value: Any, array: NDArray[Any]) -> str:
    return f"is {type(value).__name__}" if array.dtype == object and array.ndim == 0 else f"has dtype {array.dtype}"


def floats(where: str, name: str, value: Any) -> Floats:
    """Real numbers as an aligned C-contiguous float32 array; the same array if it is one.

    Raises
    ------
    TypeError
        For booleans, complex numbers, strings and objects.
    ValueError
        For nested lists of unequal lengths.
    """
    if type(value) is np.ndarray and value.dtype == _FLOAT32 and value.flags.c_contiguous and value.flags.aligned:
        return value
    array = _array(where, name, value)
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise TypeError(f"{where}: {name} {_given(value, array)}; expected floating-point numbers")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, as in torch
        return np.require(array, np.float32, ["C", "A"])


def expect_rank(where: str, name: str, array: NDArray[Any], ranks: Sequence[int], shape: str) -> None:
    """ValueError unless the array has one of the numbers of dimensions; `shape` describes them."""
    if array.ndim not in ranks:
        raise ValueError(f"{where}: {name} has shape {array.shape}; expected {shape}")


def expect_shape(
    where: str, name: str, array: NDArray[Any], shape: tuple[int, ...], symbols: str, note: str = ""
) -> None:
    """ValueError unless the array has this shape, which `symbols` names, with sizes from where `note` says."""
    if array.shape != shape:
        wanted = f"{symbols} = {shape}" if symbols else f"{shape}"
        raise ValueError(f"{where}: {name} has shape {array.shape}; expected {wanted}{note and ' ' + note}")


def shaped_floats(where: str, name: str, value: Any, shape: tuple[int, ...], symbols: str, note: str = "") -> Floats:
    """Return `floats` of this shape."""
    array = floats(where, name, value)
    expect_shape(where, name, array, shape, symbols, note)
    return array


def optional_floats(
    where: str, name: str, value: Any, shape: tuple[int, ...], symbols: str, note: str = ""
) -> Floats | None:
    """Return `shaped_floats`, or None for None."""
    return None if value is None else shaped_floats(where, name, value, shape, symbols, note)


def integers(where: str, name: str, value: Any) -> Ints:
    """Whole numbers as an aligned C-contiguous int64 array.

    Raises
    ------
    TypeError
        For anything but integers; an empty list is fine.
    """
    array = _array(where, name, value)
    if array.dtype.kind not in "iu" and not (array.size == 0 and array.dtype.kind == "f"):
        raise TypeError(f"{where}: {name} {_given(value, array)}; expected integers")
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{where}: {name} has a number of {array.max()}; expected less than 2**63")
    return np.require(array, np.int64, ["C", "A"])


def ids(where: str, name: str, value: Any, count: int) -> Ints:
    """Return `integers` in [0, count); the message names the place of the first that is not."""
    array = integers(where, name, value)
    if array.size and (array.min() < 0 or array.max() >= count):
        place = tuple(int(i) for i in np.argwhere((array < 0) | (array >= count))[0])
        index = f"[{', '.join(map(str, place))}]" if place else ""
        raise ValueError(f"{where}: {name}{index} is {array[place]}; expected an id in [0, {count})")
    return array


def lengths(where: str, value: Any, batch_size: int, longest: int) -> Ints:
    """Lengths of B sequences, from 0 to `longest`."""
    array = integers(where, "lengths", value)
    expect_shape(where, "lengths", array, (batch_size,), "(B,)", "with B from input")
    wrong = np.flatnonzero((array < 0) | (array > longest))
    if wrong.size:
        raise ValueError(f"{where}: lengths[{wrong[0]}] is {array[wrong[0]]}; expected 0 to {longest}")
    return array


def mask(where: str, name: str, value: Any) -> Mask:
    """Booleans as they are, numbers as float32, aligned and C-contiguous."""
    array = _array(where, name, value)
    if array.dtype == np.bool_:
        return np.require(array, requirements=["C", "A"])
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise TypeError(f"{where}: {name} {_given(value, array)}; expected booleans or floating-point numbers")
    return floats(where, name, array)


def pair(where: str, name: str, value: Any, items: str) -> tuple[Any, Any]:
    """Return the two items of a tuple or list."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{where}: {name} is {type(value).__name__}; expected a pair {items}")
    if len(value) != 2:
        raise ValueError(f"{where}: {name} has {len(value)} items; expected a pair {items}")
    return value[0], value[1]


def integer(where: str, name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """Return a whole number in a range."""
    try:
        if isinstance(value, bool):
            raise TypeError
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{where}: {name} is {value!r}; expected a whole number") from None
    if result < minimum or (maximum is not None and result > maximum):
        wanted = f"at least {minimum}" if maximum is None else f"{minimum} to {maximum}"
        raise ValueError(f"{where}: {name} is {result}; expected {wanted}")
    return result


def number(where: str, name: str, value: Any, minimum: float = -np.inf, maximum: float = np.inf) -> float:
    """Return a finite real number in a range."""
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{where}: {name} is {value!r}; expected a number") from None
    except OverflowError:
        result = np.inf
    if not np.isfinite(result) or not minimum <= result <= maximum:
        wanted = "a finite number"
        if minimum > -np.inf:
            wanted = f"at least {minimum:g} and finite" if maximum == np.inf else f"{minimum:g} to {maximum:g}"
        raise ValueError(f"{where}: {name} is {result:g}; expected {wanted}")
    return result


def choice(where: str, name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of some words."""
    if not isinstance(value, str) or value not in choices:
        wanted = " or ".join(map(repr, choices))
        raise ValueError(f"{where}: {name} is {value!r}; expected {wanted}")
    return value


def compute_type(where: str, value: Any) -> str:
    """Return what the weights of dense and recurrent layers are computed in."""
    return choice(where, "compute_type", value, COMPUTE_TYPES)


def expect_int8_size(where: str, compute_type: str, in_features: int) -> None:
    """ValueError if 32-bit sums of so many int8 products could overflow."""
    if compute_type == "int8" and in_features > _MOST_INT8_INPUTS:
        raise ValueError(f"{where}: I is {in_features}; compute_type 'int8' takes at most {_MOST_INT8_INPUTS}")
