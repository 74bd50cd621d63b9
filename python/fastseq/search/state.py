"""The state of a step function, reordered as the search chooses rows."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ancestors", "reorder_state"]


def reorder_state(state: Any, parents: NDArray[np.int64], rows: int, path: str = "state") -> Any:
    """Return `state` with row ``parents[i]`` of every array in it as row ``i``.

    Parameters
    ----------
    state : nested containers of arrays
        Dictionaries, lists, tuples, named tuples and dataclass instances are searched; the containers of the result
        are new. Arrays are NumPy arrays, torch tensors and whatever else has a `shape` and takes an index array, or
        converts by ``__array__``: axis 0 is the batch. Numbers, text, None and arrays without an axis stay.
    parents : (n,) int64
        Row of the previous step that each row continues.
    rows : int
        Rows of the previous step.
    path : str, default "state"
        What errors call `state`.

    Returns
    -------
    state
        Of the same structure.

    Raises
    ------
    TypeError
        If something in the state is none of these.
    ValueError
        If an array does not have `rows` rows.

    Examples
    --------
    >>> import numpy as np
    >>> reorder_state({"cache": [np.array([10, 20])], "time": 3}, np.array([1, 1, 0]), rows=2)
    {'cache': [array([20, 20, 10])], 'time': 3}
    """
    if state is None or isinstance(state, (str, bytes, bool, int, float, complex)):
        return state
    if hasattr(state, "shape") or hasattr(state, "__array__"):
        return _take(state, parents, rows, path)
    if isinstance(state, dict):
        reordered = copy.copy(state)  # keeps the class and what else it carries
        for key, value in state.items():
            reordered[key] = reorder_state(value, parents, rows, f"{path}[{key!r}]")
        return reordered
    if isinstance(state, (list, tuple)):
        items = [reorder_state(item, parents, rows, f"{path}[{i}]") for i, item in enumerate(state)]
        if isinstance(state, list):
            return items
        return type(state)(*items) if hasattr(state, "_fields") else tuple(items)
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        instance = copy.copy(state)
        for field in dataclasses.fields(state):
            value = reorder_state(getattr(state, field.name), parents, rows, f"{path}.{field.name}")
            object.__setattr__(instance, field.name, value)  # frozen ones too
        return instance
    raise TypeError(
        f"{path} is of type {type(state).__name__}, which the search cannot reorder; pass reorder=, a function "
        "(state, parents) -> state"
    )


def _take(array: Any, parents: NDArray[np.int64], rows: int, path: str) -> Any:
    if not hasattr(array, "shape"):
        array = np.asarray(array)
    if len(array.shape) == 0:
        return array
    if array.shape[0] != rows:
        raise ValueError(
            f"{path} has shape {tuple(array.shape)}; expected axis 0 to have {rows} rows, one for each row of the step"
        )
    return array.take(parents, axis=0) if isinstance(array, np.ndarray) else array[parents]


class Ancestors:
    """Where a cache that only grows holds the past of every row, so that nothing in it is ever moved.

    A step function that appends the entries of its n rows to a cache, in their order, finds the earlier entries of row
    ``i`` at the places ``index[i]``. For searches with ``pass_parents=True``.

    Examples
    --------
    Two sentences, then three rows, the first two of which continue the second sentence:

    >>> ancestors = Ancestors()
    >>> ancestors.extend(np.array([0, 1]))
    array([[0],
           [1]])
    >>> ancestors.extend(np.array([1, 1, 0]))
    array([[1, 2],
           [1, 3],
           [0, 4]])
    """

    def __init__(self) -> None:
        self._index: NDArray[np.int64] | None = None
        self._size = 0

    def extend(self, parents: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take in the rows of a step.

        Parameters
        ----------
        parents : (n,) int64
            Row of the step before that each row continues; at the first step it is not looked at.

        Returns
        -------
        (n, t) int64
            For each row the places of its entries of all t steps in the cache, its own, which comes last, included.

        Raises
        ------
        IndexError
            If a parent is no row of the step before.
        """
        own = self._size + np.arange(len(parents))[:, None]
        before = own[:, :0] if self._index is None else self._index[parents]
        self._index = np.concatenate([before, own], axis=1)
        self._size += len(parents)
        return self._index
