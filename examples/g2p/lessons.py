"""Pairs to learn from, with a teacher's opinion of each: the file between `teach.py` and `train.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from corpus import Pair


@dataclass(frozen=True)
class Lesson:
    """A word, its pronunciation, and a teacher's probabilities of each phoneme and of the end, (T + 1, V)."""

    word: str
    phonemes: tuple[str, ...]
    probabilities: NDArray[np.float16] | None
    given: bool  # by the dictionary, not by the teacher


def write_lessons(
    path: Path, pairs: list[Pair], probabilities: list[NDArray[np.float16]], given: int, target: list[str]
) -> None:
    """Rows of all lessons one after another, with where each begins; the first `given` are the dictionary's."""
    target_id = {phoneme: i for i, phoneme in enumerate(target)}
    words = "\n".join(word for word, _ in pairs).encode()
    ids = [target_id[p] for _, phonemes in pairs for p in phonemes]
    save_file(
        {
            "words": np.frombuffer(words, np.uint8),
            "phonemes": np.array(ids, np.uint8),
            "lengths": np.array([len(phonemes) for _, phonemes in pairs], np.int32),
            "probabilities": np.concatenate(probabilities),
            "given": np.array([given], np.int64),
        },
        path,
    )


def read_lessons(path: Path, target: list[str]) -> list[Lesson]:
    """What `write_lessons` wrote."""
    tensors = load_file(path)
    if tensors["probabilities"].shape[1] != len(target):
        raise ValueError(f"{path} is of {tensors['probabilities'].shape[1]} phonemes; expected {len(target)}")
    words = tensors["words"].tobytes().decode().split("\n")
    ids, lengths = tensors["phonemes"].tolist(), tensors["lengths"].tolist()
    lessons: list[Lesson] = []
    start = 0
    for i, (word, length) in enumerate(zip(words, lengths, strict=True)):
        phonemes = tuple(target[j] for j in ids[start : start + length])
        rows = tensors["probabilities"][start + i : start + i + length + 1]
        lessons.append(Lesson(word, phonemes, rows, i < tensors["given"][0]))
        start += length
    return lessons
