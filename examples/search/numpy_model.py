"""Beam search for a plain NumPy model: a recurrent decoder with dot-product attention on an encoded source."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import fastseq

VOCABULARY, HIDDEN = 12, 16
START, END = 0, 1

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class State:
    """What the decoder knows of each row: the search reorders every array in it along axis 0."""

    memory: Floats  # (n, S, H)
    mask: NDArray[np.bool_]  # (n, S): which positions are real
    hidden: Floats  # (n, H)


class Model:
    """h_t = tanh(E[y] + h_{t-1} W), logits = [c_t; h_t] U with c_t the attention of h_t on the source."""

    def __init__(self, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)

        def weights(*shape: int) -> Floats:
            return generator.standard_normal(shape).astype(np.float32)

        self.embedding = weights(VOCABULARY, HIDDEN)
        self.recurrent = weights(HIDDEN, HIDDEN) / 4
        self.output = weights(2 * HIDDEN, VOCABULARY) / 2

    def encode(self, sources: list[list[int]]) -> State:
        """Pad the sources and embed their tokens."""
        longest = max(map(len, sources))
        padded = np.array([source + [0] * (longest - len(source)) for source in sources])
        mask = np.array([[i < len(source) for i in range(longest)] for source in sources])
        memory = self.embedding[padded]
        hidden = (memory * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return State(memory, mask, hidden.astype(np.float32))

    def step(self, ids: NDArray[np.int64], state: State) -> tuple[Floats, State, Floats]:
        """Read one token in each row: logits, the state after it, and where the decoder looked."""
        hidden = np.tanh(self.embedding[ids] + state.hidden @ self.recurrent)
        scores = np.einsum("nsh,nh->ns", state.memory, hidden)
        scores = np.where(state.mask, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        context = np.einsum("ns,nsh->nh", weights, state.memory)
        logits = np.concatenate([context, hidden], axis=1) @ self.output
        return logits, replace(state, hidden=hidden), weights


def search(sources: list[list[int]], **options: object) -> list[fastseq.Generation]:
    """Beam search with the model for each source."""
    model = Model()
    return fastseq.beam_search(
        model.step,
        model.encode(sources),
        batch_size=len(sources),
        start_id=START,
        eos_id=END,
        max_length=10,
        **options,
    )


def main() -> None:
    """Print the hypotheses of two sources with what each token was aligned to."""
    sources = [[5, 3, 7, 2], [4, 9]]
    found = search(sources, num_beams=4, num_return_sequences=2, return_attention=True, return_token_log_probs=True)
    for source, generation in zip(sources, found, strict=True):
        for h in generation.hypotheses:
            print(source, "->", h.tokens, f"{h.score:.3f}", "aligned to", h.alignment)


if __name__ == "__main__":
    main()
