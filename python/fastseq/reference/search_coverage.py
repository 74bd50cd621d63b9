"""How much of its source each row has attended to; see csrc/search/coverage.h."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Coverage"]

Array: TypeAlias = NDArray[Any]


class Coverage:
    """beta * sum_s log(min(1, sum_t a_ts)), positions with no weight at all passed over (Wu et al., 2016)."""

    def __init__(self, beta: float) -> None:
        self._beta = np.float32(beta)
        self._sums: list[Array] | None = None  # (S) of each row of the last step

    @property
    def wanted(self) -> bool:
        """Whether attention has to be given."""
        return bool(self._beta != 0.0)

    def add(self, attention: Any, parents: Array, sentences: Array) -> None:
        """Read a step: the weights of each row on its source, and which row of the step before it continues."""
        if not self.wanted:
            return
        sums = []
        for weights, parent, sentence in zip(attention, parents, sentences, strict=True):
            where = f"attention of sentence {sentence}"
            if not (weights >= 0.0).all() or np.isinf(weights).any():
                bad = weights[~((weights >= 0.0) & np.isfinite(weights))][0]
                raise ValueError(f"{where} has {bad:f}; expected finite numbers of at least 0")
            before = None if self._sums is None else self._sums[parent]
            if before is not None and len(before) != len(weights):
                raise ValueError(f"{where} has {len(weights)} weights; expected {len(before)} as before")
            row = np.array(weights, np.float32)
            sums.append(row if before is None else before + row)
        self._sums = sums

    def penalty(self, row: int) -> np.float32:
        """Of a row of the last step that was read; 0 if nothing is wanted or read."""
        penalty: np.float32 = np.float32(0.0)
        if self.wanted and self._sums is not None:
            covered = np.minimum(self._sums[row], np.float32(1.0))
            penalty = self._beta * np.log(covered[covered > 0.0]).sum(dtype=np.float32)
        return penalty
