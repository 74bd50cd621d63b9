"""Rows of the bundled models: one word against the same network in PyTorch, and 2,000 words with one thread and two."""

from __future__ import annotations

import numpy as np
from peers import Row, Run, has

import fastseq
from fastseq.pipelines.pronounce import BUNDLED_MODELS

__all__ = ["rows"]

WORD, BEAMS, CORPUS = "onomatopoeia", 5, 2000


def _words(count: int) -> list[str]:
    """Of two to four open syllables each, so that the models say them as they say words."""
    generator = np.random.default_rng(5)
    onsets = [*"bcdfghjklmnprstvwz", "br", "ch", "cl", "dr", "gr", "pl", "sh", "st", "th", "tr"]
    vowels = [*"aeiou", "ai", "ea", "ee", "oo", "ou"]
    return [
        "".join(str(generator.choice(onsets)) + str(generator.choice(vowels)) for _ in range(generator.integers(2, 5)))
        for _ in range(count)
    ]


def _one_word(name: str) -> Row:
    def runs(threads: int) -> dict[str, Run]:
        del threads
        folder = BUNDLED_MODELS[name]
        model = fastseq.load_model(folder)
        source = model.vocabulary.encode(WORD)
        ids = np.array([source])
        result: dict[str, Run] = {"fastseq": lambda: model.generate(ids, num_beams=BEAMS)[0].tokens}
        if has("torch"):
            from torch_beam import beam_search, load_network

            network = load_network(folder)
            result["torch"] = lambda: beam_search(network, source, BEAMS)
        return result

    return Row(f"one word, {name}, beam {BEAMS}", runs, tolerance=0.0)


def _corpus(name: str) -> Row:
    def runs(threads: int) -> dict[str, Run]:
        model = fastseq.load_model(BUNDLED_MODELS[name])
        sources = [np.array(model.vocabulary.encode(word)) for word in _words(CORPUS)]

        def run(count: int) -> list[float]:
            fastseq.set_num_threads(count)
            return [g.score for g in model.generate(sources, num_beams=BEAMS)]

        result: dict[str, Run] = {"fastseq": lambda: run(threads)}
        if threads > 1:
            result["fastseq, 1 thread"] = lambda: run(1)
        return result

    return Row(f"{CORPUS} words, {name}, beam {BEAMS}", runs, tolerance=0.0)


def rows() -> list[Row]:
    """In the order of the table."""
    return [make(name) for make in (_one_word, _corpus) for name in ("lstm", "transformer")]
