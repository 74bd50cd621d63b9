"""Where the vectors of an index lie and how the nearest are found: exactly, or by a package for very many.

A store keeps rows as it gets them and ranks them by inner product; ids are positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq.text.extras import require

__all__ = ["ExactStore", "FaissStore", "Store", "UsearchStore", "unit_rows"]

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]

# Rows of a block: its scores for 256 queries are 8 MB.
_BLOCK_ROWS = 8192
_QUERY_ROWS = 256


class Store(Protocol):
    """What a store can do; rows and queries are checked before they come here."""

    def __len__(self) -> int: ...

    def add(self, rows: Floats) -> None:
        """Take rows (N, D)."""

    def search(self, queries: Floats, k: int) -> tuple[Floats, Ints]:
        """Return scores and ids (Q, k) of the k best rows of each query, best first; k is at most the length."""

    def save(self, folder: Path) -> None:
        """Write the rows into a folder."""

    def load(self, folder: Path) -> None:
        """Read what `save` wrote into an empty store."""


class ExactStore:
    """Every score is computed: blocks of rows, packed once, times the queries; the best so far are kept.

    A search holds the scores of one block at a time. A score is one chain of fused multiply-adds over the dimensions,
    so it does not depend on the block, the other queries or the number of threads; of equal scores the lower id is
    first. Rows are stored once, in the packed blocks: a block times the unit matrix is the rows again, bit for bit.
    """

    FILE = "vectors.npy"

    def __init__(self, dimension: int, backend: str) -> None:
        self._dimension = dimension
        self._functions = _backend.get(backend)
        self._blocks: list[tuple[int, Any]] = []  # rows and packed weight (D, rows) of each; all but the last are full
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rows: Floats) -> None:
        """Take rows; the last block is filled up first."""
        if self._blocks and self._blocks[-1][0] < _BLOCK_ROWS and len(rows):
            count, packed = self._blocks.pop()
            self._count -= count
            room = _BLOCK_ROWS - count
            self._append(np.concatenate([self._rows(packed), rows[:room]]))
            rows = rows[room:]
        for begin in range(0, len(rows), _BLOCK_ROWS):
            self._append(rows[begin : begin + _BLOCK_ROWS])

    def search(self, queries: Floats, k: int) -> tuple[Floats, Ints]:
        """Return scores and ids of the k best rows of each query."""
        parts = [self._search(queries[i : i + _QUERY_ROWS], k) for i in range(0, len(queries), _QUERY_ROWS)]
        if not parts:
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
        return np.concatenate([scores for scores, _ in parts]), np.concatenate([ids for _, ids in parts])

    def save(self, folder: Path) -> None:
        """Write `vectors.npy`, a block at a time."""
        shape = (self._count, self._dimension)
        if not self._count:
            np.save(folder / self.FILE, np.empty(shape, np.float32))
            return
        file = np.lib.format.open_memmap(folder / self.FILE, mode="w+", dtype=np.float32, shape=shape)
        begin = 0
        for rows in self._all():
            file[begin : begin + len(rows)] = rows
            begin += len(rows)
        file.flush()

    def load(self, folder: Path) -> None:
        """Read `vectors.npy`, a block at a time."""
        path = folder / self.FILE
        try:
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path} is no array of vectors: {error}") from None
        if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != self._dimension:
            raise ValueError(
                f"{path} holds {rows.dtype} {rows.shape}; expected float32 (N, {self._dimension}) as index.json says"
            )
        for begin in range(0, len(rows), _BLOCK_ROWS):
            block = np.ascontiguousarray(rows[begin : begin + _BLOCK_ROWS])
            if not np.isfinite(block).all():
                raise ValueError(f"{path} holds numbers that are not finite")
            self._append(block)

    def _append(self, rows: Floats) -> None:
        self._blocks.append((len(rows), self._functions.Linear(np.ascontiguousarray(rows), None)))
        self._count += len(rows)

    def _rows(self, packed: Any) -> Floats:
        return np.ascontiguousarray(packed.forward(np.eye(self._dimension, dtype=np.float32)).T)

    def _all(self) -> Iterator[Floats]:
        return (self._rows(packed) for _, packed in self._blocks)

    def _search(self, queries: Floats, k: int) -> tuple[Floats, Ints]:
        best = np.empty((len(queries), 0), np.float32)
        ids = np.empty((len(queries), 0), np.int64)
        begin = 0
        for count, packed in self._blocks:
            scores = packed.forward(queries)
            _, found = self._functions.log_softmax_topk(scores, min(k, count), None)
            best = np.concatenate([best, np.take_along_axis(scores, found, axis=1)], axis=1)
            ids = np.concatenate([ids, found + begin], axis=1)
            # Stable: of equal scores the earlier block's stay in front.
            order = np.argsort(-best, axis=1, kind="stable")[:, :k]
            best, ids = np.take_along_axis(best, order, axis=1), np.take_along_axis(ids, order, axis=1)
            begin += count
        return best, ids


class UsearchStore:
    """A graph of neighbours by the package `usearch`: approximate, for more vectors than can be scanned."""

    FILE = "vectors.usearch"

    def __init__(self, dimension: int, _backend: str) -> None:
        self._index: Any = require("usearch.index", "engine 'usearch'").Index(ndim=dimension, metric="ip", dtype="f32")

    def __len__(self) -> int:
        return len(self._index)

    def add(self, rows: Floats) -> None:
        """Take rows."""
        self._index.add(np.arange(len(self), len(self) + len(rows), dtype=np.uint64), rows)

    def search(self, queries: Floats, k: int) -> tuple[Floats, Ints]:
        """Return scores and ids of about the k best rows of each query; id -1 where fewer were found."""
        found = self._index.search(queries, k)
        # One query gives its matches alone; several give rows of k with the number of those that count.
        keys, distances = np.atleast_2d(found.keys), np.atleast_2d(found.distances)
        counts = getattr(found, "counts", [keys.shape[1]])
        scores, ids = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1, np.int64)
        for row, count in enumerate(counts):
            scores[row, :count], ids[row, :count] = 1 - distances[row, :count], keys[row, :count]
        return scores, ids

    def save(self, folder: Path) -> None:
        """Write the package's own file."""
        self._index.save(str(folder / self.FILE))

    def load(self, folder: Path) -> None:
        """Read it."""
        dimension = self._index.ndim
        try:
            self._index.load(str(folder / self.FILE))
        except RuntimeError as error:
            raise ValueError(f"{folder / self.FILE} is no usearch index: {error}") from None
        if self._index.ndim != dimension:
            raise ValueError(f"{folder / self.FILE} has {self._index.ndim} dimensions; expected {dimension}")


class FaissStore:
    """The same by the package `faiss`: a graph of 32 neighbours a vector."""

    FILE = "vectors.faiss"
    _NEIGHBOURS = 32

    def __init__(self, dimension: int, _backend: str) -> None:
        self._faiss = require("faiss", "engine 'faiss'")
        self._index: Any = self._faiss.IndexHNSWFlat(dimension, self._NEIGHBOURS, self._faiss.METRIC_INNER_PRODUCT)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, rows: Floats) -> None:
        """Take rows."""
        self._index.add(rows)

    def search(self, queries: Floats, k: int) -> tuple[Floats, Ints]:
        """Return scores and ids of about the k best rows of each query; id -1 where fewer were found."""
        scores, ids = self._index.search(queries, k)
        return scores, ids.astype(np.int64)

    def save(self, folder: Path) -> None:
        """Write the package's own file."""
        self._faiss.write_index(self._index, str(folder / self.FILE))

    def load(self, folder: Path) -> None:
        """Read it."""
        dimension = self._index.d
        try:
            self._index = self._faiss.read_index(str(folder / self.FILE))
        except RuntimeError as error:
            raise ValueError(f"{folder / self.FILE} is no faiss index: {error}") from None
        if self._index.d != dimension:
            raise ValueError(f"{folder / self.FILE} has {self._index.d} dimensions; expected {dimension}")


def unit_rows(rows: Floats) -> Floats:
    """Return rows of length one; rows of zeros stay.

    Parameters
    ----------
    rows : (N, D) float32 array

    Returns
    -------
    (N, D) float32 array

    Examples
    --------
    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    wide = rows.astype(np.float64)  # its squares neither overflow nor vanish
    lengths = np.sqrt(np.einsum("nd,nd->n", wide, wide))[:, None]
    result: Floats = (wide / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return result
