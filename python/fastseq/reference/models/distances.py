"""What depends on where tokens stand to each other: scores by vectors of distances, and neighbours."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["relative_scores", "tokens_around"]

Array: TypeAlias = NDArray[Any]


def relative_scores(
    query: Array, key: Array, key_vectors: Array | None, query_vectors: Array | None, rows: Array
) -> Array:
    """Return q_i . K[rows_ij] + Q[rows_ij] . k_j (He et al., 2021), (B, H, L, S).

    query (B, H, L, D), key (B, H, S, D), K and Q (H * V, D) or None for 0, rows (L, S) the vectors of the distances.
    """
    batch, heads, queries, size = query.shape
    scores = np.zeros((batch, heads, *rows.shape), query.dtype)
    here, there = np.arange(queries)[:, None], np.arange(key.shape[2])
    if key_vectors is not None:
        products = query @ key_vectors.reshape(heads, -1, size).swapaxes(1, 2)  # (B, H, L, V)
        scores += products[:, :, here, rows]
    if query_vectors is not None:
        products = key @ query_vectors.reshape(heads, -1, size).swapaxes(1, 2)  # (B, H, S, V)
        scores += products[:, :, there, rows]
    return scores


def tokens_around(x: Array, width: int) -> Array:
    """Return the `width` tokens around each of x (B, T, H) one behind the other, zeros beyond: (B, T, width * H)."""
    padded = np.pad(x, ((0, 0), (width // 2, width // 2), (0, 0)))
    return np.concatenate([padded[:, k : k + x.shape[1]] for k in range(width)], axis=2)
