"""The tensors of a model against what its configuration expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastseq._layout import is_narrow
from fastseq.models.bound import ShapedConfig

__all__ = ["check_tensors"]

_MOST_NAMED = 50


def check_tensors(config: ShapedConfig, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors as float32 arrays in C order; pairs (int8 values, scales of the rows) stay what they are.

    Parameters
    ----------
    config
        Says which tensors there are.
    tensors : mapping of str to array or pair of arrays

    Returns
    -------
    dict of str to float32 array or pair of arrays

    Raises
    ------
    ValueError
        Naming every tensor that is missing, not expected, of another shape or not finite.
    """
    required, optional = config.tensor_shapes(), config.optional_tensor_shapes()
    shapes = required | optional
    problems = [f"tensor {name} is missing" for name in required if name not in tensors]
    arrays: dict[str, Any] = {}
    for name, tensor in tensors.items():
        quantized = isinstance(tensor, tuple)
        array = tensor[0] if quantized else np.asarray(tensor)
        if name not in shapes:
            problems.append(f"tensor {name} is not expected")
        elif quantized and not is_narrow(name, array.shape):
            problems.append(f"tensor {name} has dtype int8; expected floats")
        elif array.dtype.kind != "f" and not quantized:
            problems.append(f"tensor {name} has dtype {array.dtype}; expected floats")
        elif array.shape != shapes[name]:
            problems.append(f"tensor {name} has shape {array.shape}; expected {shapes[name]}")
        elif quantized:
            arrays[name] = tensor
        elif not np.isfinite(array).all():
            problems.append(f"tensor {name} has NaN or infinite numbers")
        else:
            arrays[name] = np.ascontiguousarray(array, np.float32)
    if problems:
        more = [f"and {len(problems) - _MOST_NAMED} more"] if len(problems) > _MOST_NAMED else []
        raise ValueError("; ".join(problems[:_MOST_NAMED] + more))
    return arrays
