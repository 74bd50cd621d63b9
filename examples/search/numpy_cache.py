"""Beam search without copying a cache: keys and values stay where they were written, rows know their places.

The usual way reorders the cache of every layer whenever beams move: its whole past is copied at every step. With
``pass_parents=True`` the step function learns instead which row of the step before each row continues, and
`fastseq.search.Ancestors` turns that into places in a cache that only grows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import fastseq
from fastseq.search import Ancestors

VOCABULARY, HIDDEN = 12, 16
START, END = 0, 1

Floats = NDArray[np.float32]


class Model:
    """One layer of causal self-attention over the tokens so far."""

    def __init__(self, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.embedding = generator.standard_normal((VOCABULARY, HIDDEN)).astype(np.float32)
        self.query, self.key, self.value = generator.standard_normal((3, HIDDEN, HIDDEN)).astype(np.float32) / 3
        self.output = generator.standard_normal((HIDDEN, VOCABULARY)).astype(np.float32)

    def attend(self, query: Floats, keys: Floats, values: Floats) -> Floats:
        """Logits (n, V) of queries (n, H) on their own past (n, t, H)."""
        scores = np.einsum("nh,nth->nt", query, keys) / np.float32(np.sqrt(HIDDEN))
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        return np.einsum("nt,nth->nh", weights, values) @ self.output


class GrowingCache:
    """The step function of a search whose cache is never reordered."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.ancestors = Ancestors()
        self.keys = np.empty((0, HIDDEN), np.float32)  # (all rows of all steps, H)
        self.values = np.empty((0, HIDDEN), np.float32)

    def __call__(self, ids: NDArray[np.int64], state: None, parents: NDArray[np.int64]) -> tuple[Floats, None]:
        """Append this step's keys and values; look at the past of each row where it lies."""
        model = self.model
        x = model.embedding[ids]
        self.keys = np.concatenate([self.keys, x @ model.key])
        self.values = np.concatenate([self.values, x @ model.value])
        places = self.ancestors.extend(parents)  # (n, t)
        return model.attend(x @ model.query, self.keys[places], self.values[places]), None


def reordered_step(model: Model, ids: NDArray[np.int64], state: dict[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
    """The usual way: the search reorders keys and values (n, t, H)."""
    x = model.embedding[ids]
    keys = np.concatenate([state["keys"], (x @ model.key)[:, None]], axis=1)
    values = np.concatenate([state["values"], (x @ model.value)[:, None]], axis=1)
    return model.attend(x @ model.query, keys, values), {"keys": keys, "values": values}


def search(batch_size: int = 2, **options: object) -> tuple[list[fastseq.Generation], list[fastseq.Generation]]:
    """The same search both ways."""
    model = Model()
    arguments = {"batch_size": batch_size, "start_id": START, "eos_id": END, "max_length": 12, **options}
    growing = fastseq.beam_search(GrowingCache(model), None, pass_parents=True, **arguments)
    nothing = np.empty((batch_size, 0, HIDDEN), np.float32)
    moved = fastseq.beam_search(
        lambda ids, state: reordered_step(model, ids, state), {"keys": nothing, "values": nothing}, **arguments
    )
    return growing, moved


def main() -> None:
    """Print what both ways find."""
    for name, generations in zip(("growing cache", "moved cache"), search(num_beams=4), strict=True):
        print(f"{name}: {generations[0].tokens} {generations[0].score:.4f}")


if __name__ == "__main__":
    main()
