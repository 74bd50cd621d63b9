"""Weights as the compiled kernels have them in memory, and back: panels of outputs that lie side by side.

A part has some rows of a weight (O, I) as (panels, groups, width, g): g numbers of one row in a group (1 float32, 2
bfloat16, 4 int8), `width` rows in a panel. Rows are in their own order, or of recurrent layers by units: a panel has
the rows of `width / gates` units, gate by gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part"]

Bytes = NDArray[np.uint8]
_NUMBERS: dict[str, tuple[int, str]] = {"float32": (1, "<f4"), "bfloat16": (2, "<u2"), "int8": (4, "i1")}
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Part:
    """Where rows of a weight lie.

    Parameters
    ----------
    compute_type : {"float32", "bfloat16", "int8"}
    first_row, rows, columns : int
        Of the weight.
    gates : int
        0 for rows in their own order.
    width : int
        Rows in a panel.

    Examples
    --------
    >>> part = Part("float32", first_row=0, rows=3, columns=2, gates=0, width=2)
    >>> part.sizes
    {'data': 32}
    >>> panels = np.array([1, 3, 2, 4, 5, 0, 6, 0], np.float32)
    >>> part.unpack({"data": panels.view(np.uint8)})
    array([[1., 2.],
           [3., 4.],
           [5., 6.]], dtype=float32)
    """

    compute_type: str
    first_row: int
    rows: int
    columns: int
    gates: int
    width: int

    @classmethod
    def read(cls, compute_type: str, columns: int, values: Any) -> Part:
        """Make one of what a file says.

        Raises
        ------
        ValueError
            If it cannot be.
        """
        names = ("first_row", "rows", "gates", "width")
        numbers: list[Any] = [values.get(name) if isinstance(values, Mapping) else None for name in names]
        if any(type(number) is not int or not 0 <= number <= _LARGEST for number in numbers):
            raise ValueError(f"a part is {str(values)[:100]}; expected {', '.join(names)}")
        first_row, rows, gates, width = numbers
        if width < 1 or (gates and (width % gates or rows % gates)):
            raise ValueError(f"a part has {rows} rows of {gates} gates in panels of {width}")
        return cls(compute_type, first_row, rows, columns, gates, width)

    @property
    def panels(self) -> int:
        """Number of panels."""
        if not self.gates:
            return -(-self.rows // self.width)
        return -(-(self.rows // self.gates) // (self.width // self.gates))

    @property
    def outputs(self) -> int:
        """Rows in all panels, those that fill up the last one too."""
        return self.panels * self.width

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each array."""
        group, numbers = _NUMBERS[self.compute_type]
        sizes = {"data": self.outputs * -(-self.columns // group) * group * np.dtype(numbers).itemsize}
        return sizes | dict.fromkeys(("scales", "sums"), 4 * self.outputs) if self.compute_type == "int8" else sizes

    def sums(self, data: Bytes) -> NDArray[np.int32]:
        """Return the sum of the int8 numbers of each row in the panels, (outputs,)."""
        sums: NDArray[np.int32] = self._panels(data).sum(axis=(1, 3), dtype=np.int32).reshape(-1)
        return sums

    def unpack(self, arrays: Mapping[str, Bytes]) -> Any:
        """Return the rows as they were before: floats (rows, columns), or int8 numbers and the scale of each row."""
        panels = self._panels(arrays["data"])
        rows = panels.transpose(0, 2, 1, 3).reshape(self.outputs, -1)[:, : self.columns]
        values = np.ascontiguousarray(self._in_order(rows))
        if self.compute_type == "int8":
            return values, np.ascontiguousarray(self._in_order(arrays["scales"].view(np.float32)))
        if self.compute_type == "bfloat16":
            return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return values

    def _panels(self, data: Bytes) -> NDArray[Any]:
        group, numbers = _NUMBERS[self.compute_type]
        return data.view(numbers).reshape(self.panels, -(-self.columns // group), self.width, group)

    def _in_order(self, rows: NDArray[Any]) -> NDArray[Any]:
        if not self.gates:
            return rows[: self.rows]
        split = rows.reshape(self.panels, self.gates, self.width // self.gates, *rows.shape[1:])
        by_gate = split.swapaxes(0, 1).reshape(self.gates, -1, *rows.shape[1:])
        ordered: NDArray[Any] = by_gate[:, : self.rows // self.gates].reshape(self.rows, *rows.shape[1:])
        return ordered
