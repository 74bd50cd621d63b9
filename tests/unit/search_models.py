"""A model for the tests of search, and its answers as plain values."""

from __future__ import annotations

import numpy as np

import fastseq

BACKENDS = ("native", "numpy")
START, EOS = 0, 1


class PrefixModel:
    """Logits drawn at random for each (sentence, prefix), so that no two beams agree."""

    def __init__(self, vocab_size: int, seed: int, scale: float = 2.0, first_sentence: int = 0) -> None:
        self.vocab_size, self.seed, self.scale, self.first_sentence = vocab_size, seed, scale, first_sentence
        self.rows: list[int] = []

    def logits(self, sentence: int, prefix: tuple[int, ...]) -> np.ndarray:
        generator = np.random.default_rng([self.seed, sentence, *prefix])
        return (generator.standard_normal(self.vocab_size) * self.scale).astype(np.float32)

    def state(self, batch_size: int):
        sentences = np.arange(self.first_sentence, self.first_sentence + batch_size)
        return {"sentence": sentences, "prefix": np.zeros((batch_size, 0), np.int64)}

    def step(self, ids, state):
        self.rows.append(len(ids))
        prefix = np.concatenate([state["prefix"], ids[:, None]], axis=1)
        rows = [self.logits(s, tuple(p)) for s, p in zip(state["sentence"].tolist(), prefix.tolist(), strict=True)]
        return np.stack(rows), {"sentence": state["sentence"], "prefix": prefix}

    def search(self, batch_size: int, **options):
        arguments = {"start_id": START, "eos_id": EOS, "max_length": 8, **options}
        return fastseq.beam_search(self.step, self.state(batch_size), batch_size=batch_size, **arguments)


def answers(generations):
    return [[(h.tokens, h.finished) for h in generation.hypotheses] for generation in generations]


def scores(generations):
    return np.array([h.score for generation in generations for h in generation.hypotheses], np.float32)
