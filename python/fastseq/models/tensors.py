"""The tensors of a model against what its configuration expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.models.bound import ShapedConfig

__all__ = ["check_tensors"]

_MOST_NAMED = 50


def check_tensors(config: ShapedConfig, tensors: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Return the tensors as float32 arrays in C order.

    Parameters
    ----------
    config
        Says which tensors there are.
    tensors : mapping of str to array

    Returns
    -------
    dict of str to float32 array

    Raises
    ------
    ValueError
        Naming every tensor that is missing, not expected, of another shape or not finite.
    """
    required, optional = config.tensor_shapes(), config.optional_tensor_shapes()
    shapes = required | optional
    problems = [f"tensor {name} is missing" for name in required if name not in tensors]
    arrays = {}
    for name, tensor in tensors.items():
        array = np.asarray(tensor)
        if name not in shapes:
            problems.append(f"tensor {name} is not expected")
        elif array.dtype.kind != "f":
            problems.append(f"tensor {name} has dtype {array.dtype}; expected floats")
        elif array.shape != shapes[name]:
            problems.append(f"tensor {name} has shape {array.shape}; expected {shapes[name]}")
        elif not np.isfinite(array).all():
            problems.append(f"tensor {name} has NaN or infinite numbers")
        else:
            arrays[name] = np.ascontiguousarray(array, np.float32)
    if problems:
        more = [f"and {len(problems) - _MOST_NAMED} more"] if len(problems) > _MOST_NAMED else []
        raise ValueError("; ".join(problems[:_MOST_NAMED] + more))
    return arrays
