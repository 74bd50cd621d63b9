"""An index of texts by what they mean: vectors, and the nearest of them to a query."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq import _backend
from fastseq._checks import choice, expect_rank, floats, integer
from fastseq.pipelines.index_files import CONFIG_FILE, read_config, read_texts, write_index
from fastseq.pipelines.vector_stores import ExactStore, FaissStore, Floats, Ints, Store, UsearchStore, unit_rows

__all__ = ["SemanticIndex"]

Hit: TypeAlias = dict[str, Any]

_ENGINES: dict[str, type[ExactStore] | type[UsearchStore] | type[FaissStore]] = {
    "exact": ExactStore,
    "usearch": UsearchStore,
    "faiss": FaissStore,
}
_METRICS = ("cosine", "dot")


class _Encoder(Protocol):
    def encode(self, sentences: Any, **options: Any) -> NDArray[np.float32]: ...


class SemanticIndex:
    """Vectors, the texts they stand for, and the nearest to a query.

    Parameters
    ----------
    encoder : SentenceEncoder, optional
        Makes vectors of texts; without one, `add` and `search` take vectors.
    metric : {"cosine", "dot"}, default "cosine"
        Whether the angle counts alone, or the length too.
    engine : {"exact", "usearch", "faiss"}, default "exact"
        "exact" computes every score and is good for up to a few million vectors. The others are packages of these
        names that find the nearest approximately, for more.
    backend : {"native", "numpy"}, optional
        Where "exact" computes; the active one by default.

    Raises
    ------
    ValueError
        If an option is unknown.
    ImportError
        If the engine's package is not installed.

    See Also
    --------
    fastseq.CrossEncoder : Reranks what was found.

    Examples
    --------
    >>> index = SemanticIndex()
    >>> index.add([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], texts=["east", "north", "north-east"])
    range(0, 3)
    >>> [(hit["text"], round(hit["score"], 2)) for hit in index.search([2.0, 0.1], top_k=2)]
    [('east', 1.0), ('north-east', 0.74)]
    """

    def __init__(
        self,
        encoder: _Encoder | None = None,
        *,
        metric: str = "cosine",
        engine: str = "exact",
        backend: str | None = None,
    ) -> None:
        self.encoder = encoder
        self.metric = choice("SemanticIndex", "metric", metric, _METRICS)
        self.engine = choice("SemanticIndex", "engine", engine, tuple(_ENGINES))
        self._backend = _backend.active_name() if backend is None else backend
        _backend.get(self._backend)
        self._store: Store | None = None
        self._dimension: int | None = None
        self._texts: list[str] | None = None

    def __len__(self) -> int:
        return 0 if self._store is None else len(self._store)

    @property
    def dimension(self) -> int | None:
        """Length of a vector, or None before the first is there."""
        return self._dimension

    def text(self, corpus_id: int) -> str | None:
        """Return the text of a vector, or None if the index has no texts."""
        return None if self._texts is None else self._texts[corpus_id]

    def add(self, vectors: Any, texts: Sequence[str] | None = None, **options: Any) -> range:
        """Add vectors, or texts that the encoder makes vectors of.

        Parameters
        ----------
        vectors : (N, D) array_like, or sequence of str
        texts : sequence of str, optional
            What the vectors stand for. Either every vector has a text, or none has.
        **options
            For `encoder.encode`.

        Returns
        -------
        range
            The ids of what was added.

        Raises
        ------
        TypeError, ValueError
            If something has the wrong type or shape, or a number is not finite; nothing is added then.
        """
        if not isinstance(vectors, str) and _are_texts(vectors):
            if texts is not None:
                raise ValueError("SemanticIndex.add: both are texts; expected vectors with texts, or texts alone")
            texts = list(vectors)
            vectors = self._encode(texts, options)
        rows = self._rows("vectors", vectors, (2,))
        if texts is not None:
            texts = list(texts)
            if len(texts) != len(rows):
                raise ValueError(f"SemanticIndex.add: {len(texts)} texts for {len(rows)} vectors; expected as many")
            if not all(isinstance(text, str) for text in texts):
                raise TypeError("SemanticIndex.add: texts are expected to be str")
        if len(self) and (texts is None) != (self._texts is None):
            has = "no texts" if self._texts is None else "texts"
            raise ValueError(f"SemanticIndex.add: the vectors so far have {has}; expected the same of these")
        begin = len(self)
        self._open(rows.shape[1]).add(rows)
        if texts is not None:
            self._texts = [*(self._texts or []), *texts]
        return range(begin, len(self))

    def search(self, query: Any, top_k: int = 10, **options: Any) -> Any:
        """Return the nearest to one query or to several.

        Parameters
        ----------
        query : str, sequence of str, (D,) or (Q, D) array_like
        top_k : int, default 10
            How many at most.
        **options
            For `encoder.encode`.

        Returns
        -------
        list of dict, or list of such lists for several queries
            Best first: ``corpus_id``, ``score`` and, if the index has texts, ``text``.

        Raises
        ------
        TypeError, ValueError
            As in `add`.
        """
        single = isinstance(query, str)
        if single or _are_texts(query):
            query = self._encode([query] if single else list(query), options)
        else:
            single = np.ndim(query) == 1 and len(query) > 0
        scores, ids = self.search_vectors(query, top_k)
        hits = [self._hits(*row) for row in zip(scores.tolist(), ids.tolist(), strict=True)]
        return hits[0] if single else hits

    def search_vectors(self, queries: Any, top_k: int = 10) -> tuple[Floats, Ints]:
        """Return the nearest to vectors, as arrays.

        Parameters
        ----------
        queries : (Q, D) or (D,) array_like
        top_k : int, default 10

        Returns
        -------
        scores : (Q, k) float32 array
            Best first, with k the smaller of `top_k` and the size of the index.
        ids : (Q, k) int64 array
        """
        best = integer("SemanticIndex.search", "top_k", top_k, 1)
        rows = self._rows("query", queries, (1, 2))
        if self._store is None:
            return np.empty((len(rows), 0), np.float32), np.empty((len(rows), 0), np.int64)
        return self._store.search(rows, min(best, len(self)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index into a folder: `index.json`, `texts.jsonl` and the vectors.

        Parameters
        ----------
        path : str or path
            The folder; it is made if it is not there.

        Raises
        ------
        ValueError
            If the index is empty.
        """
        if self._store is None:
            raise ValueError("SemanticIndex.save: the index is empty")
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        self._store.save(folder)
        config = {"metric": self.metric, "engine": self.engine, "dimension": self._dimension, "count": len(self)}
        write_index(folder, config, self._texts)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], encoder: _Encoder | None = None, *, backend: str | None = None
    ) -> SemanticIndex:
        """Read an index that `save` wrote.

        Parameters
        ----------
        path : str or path
        encoder : SentenceEncoder, optional
            The one that the vectors were made with.
        backend : {"native", "numpy"}, optional

        Returns
        -------
        SemanticIndex

        Raises
        ------
        FileNotFoundError
            If the folder or one of its files is missing.
        ValueError
            If a file is damaged.
        """
        folder = Path(path)
        if not (folder / CONFIG_FILE).is_file():
            raise FileNotFoundError(f"no index in {str(folder)!r}: it has no {CONFIG_FILE}")
        config = read_config(folder / CONFIG_FILE)
        index = cls(encoder, metric=config["metric"], engine=config["engine"], backend=backend)
        store = index._open(config["dimension"])
        store.load(folder)
        if config["texts"]:
            index._texts = list(read_texts(folder))
        counts = {"vectors": len(store), "texts": len(store) if index._texts is None else len(index._texts)}
        for name, count in counts.items():
            if count != config["count"]:
                raise ValueError(f"{folder}: there are {count} {name}; {CONFIG_FILE} says {config['count']}")
        return index

    def _encode(self, texts: list[str], options: dict[str, Any]) -> Any:
        if self.encoder is None:
            raise ValueError("SemanticIndex: texts are given and there is no encoder; expected vectors")
        return self.encoder.encode(texts, **options)

    def _rows(self, name: str, value: Any, ranks: tuple[int, ...]) -> Floats:
        where = "SemanticIndex"
        array = floats(where, name, value)
        expect_rank(where, name, array, ranks, "(N, D)" if ranks == (2,) else "(D,) or (Q, D)")
        rows = array.reshape(-1, array.shape[-1]) if array.ndim == 1 else array
        if rows.shape[1] != (self._dimension or rows.shape[1]) or not rows.shape[1]:
            wanted = "at least 1" if self._dimension is None else f"{self._dimension}, as the index has"
            raise ValueError(f"{where}: {name} has {rows.shape[1]} dimensions; expected {wanted}")
        if not np.isfinite(rows).all():
            row = int(np.argwhere(~np.isfinite(rows))[0][0])
            raise ValueError(f"{where}: {name}[{row}] has numbers that are not finite")
        return unit_rows(rows) if self.metric == "cosine" else rows

    def _open(self, dimension: int) -> Store:
        if self._store is None:
            self._store = _ENGINES[self.engine](dimension, self._backend)
            self._dimension = dimension
        return self._store

    def _hits(self, scores: list[float], ids: list[int]) -> list[Hit]:
        hits: list[Hit] = [{"corpus_id": i, "score": score} for i, score in zip(ids, scores, strict=True) if i >= 0]
        if self._texts is not None:
            for hit in hits:
                hit["text"] = self._texts[hit["corpus_id"]]
        return hits

    def __repr__(self) -> str:
        return f"SemanticIndex({len(self)} x {self._dimension}, metric={self.metric!r}, engine={self.engine!r})"


def _are_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(isinstance(item, str) for item in value)
