"""Whether numbers that were stored are what they should be."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["all_finite", "checksum"]

Array: TypeAlias = NDArray[Any]

_WORDS = 1 << 20  # at a time


def all_finite(numbers: Array) -> bool:
    """Whether none of the numbers is NaN or infinite."""
    return bool(np.isfinite(numbers).all())


def checksum(bytes: Any) -> int:
    """Return the sum of (2 i + 1) w_i modulo 2^64 over the little-endian 32-bit words w_i of some bytes.

    The last word is filled up with zeros. As odd factors have an inverse, a change of any one word changes the sum.
    """
    data = np.frombuffer(bytes, np.uint8)
    if len(data) % 4:
        data = np.concatenate((data, np.zeros(-len(data) % 4, np.uint8)))
    words = data.view("<u4")
    total = np.uint64(0)
    with np.errstate(over="ignore"):  # modulo 2^64
        for begin in range(0, len(words), _WORDS):
            part = words[begin : begin + _WORDS].astype(np.uint64)
            factors = (2 * np.arange(begin, begin + len(part), dtype=np.uint64) + np.uint64(1)) & np.uint64(0xFFFFFFFF)
            total = total + (part * factors).sum(dtype=np.uint64)
    return int(total)
