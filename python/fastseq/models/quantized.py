"""Weights as they are stored in fewer bits: int8 with a scale for each row, in a safetensors file that is mapped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq._layout import is_narrow
from fastseq.weights import StoredTensor, read_floats

__all__ = ["SCALES", "QuantizedTensor", "quantize_tensors", "read_quantized"]

SCALES = ".scales"  # what the name of an int8 tensor and of its scales differ in
QuantizedTensor: TypeAlias = "tuple[NDArray[np.int8], NDArray[np.float32]]"


def quantize_tensors(tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    """Return tensors as a file holds them, with the weights of dense and recurrent layers in int8.

    Parameters
    ----------
    tensors : mapping of str to float32 array

    Returns
    -------
    dict of str to array
        For such a weight (O, I) the int8 numbers that it is computed with, and in ``<name>.scales`` (O,) what they are
        multiplied by; all others as they are.

    Examples
    --------
    >>> stored = quantize_tensors({"output.weight": np.array([[1.0, 0.5]], np.float32)})
    >>> stored["output.weight"]
    array([[127,  64]], dtype=int8)
    >>> stored["output.weight.scales"].shape
    (1,)
    """
    stored: dict[str, NDArray[Any]] = {}
    functions = _backend.active()
    for name, tensor in tensors.items():
        if is_narrow(name, tensor.shape):
            stored[name], stored[name + SCALES] = functions.quantize_rows(tensor)
        else:
            stored[name] = tensor
    return stored


def read_quantized(path: str | os.PathLike[str], stored: Mapping[str, StoredTensor]) -> dict[str, Any]:
    """Read tensors that are floats, or int8 with scales.

    Parameters
    ----------
    path : str or path
        For messages.
    stored : mapping of str to StoredTensor

    Returns
    -------
    dict of str to float32 array or (int8 array, float32 array)

    Raises
    ------
    ValueError
        If an int8 tensor has no scales, other than finite ones or as many as rows, or -128 among its numbers; or if
        another is not of floats. The message names the file and the tensors.
    """
    whole = [name for name, tensor in stored.items() if tensor.numbers == "I8" and name + SCALES in stored]
    scales = {name + SCALES for name in whole}
    floats = {name: tensor for name, tensor in stored.items() if name not in whole}
    tensors: dict[str, Any] = dict(read_floats(path, floats))
    problems = []
    for name in whole:
        values, scale = stored[name].read(), tensors[name + SCALES]
        if values.ndim != 2 or scale.shape != values.shape[:1]:
            problems.append(
                f"tensor {name} has shape {values.shape} and scales {scale.shape}; expected (O, I) and (O,)"
            )
        elif not np.isfinite(scale).all():
            problems.append(f"tensor {name} has scales that are NaN or infinite")
        elif values.min(initial=0) < -127:
            problems.append(f"tensor {name} has -128; expected numbers from -127 to 127")
        tensors[name] = (values, scale)
    if problems:
        raise ValueError(f"{os.fspath(path)}: {'; '.join(problems)}")
    return {name: tensor for name, tensor in tensors.items() if name not in scales}
