"""Writes what a teacher makes of many words: lessons for `train.py --lessons`.

    python teach.py --output lessons.safetensors --more-words words.txt --dev-words dev.txt --test-words test.txt

The teacher, both bundled models together unless `--teacher` names others, runs in fastseq. Of every pair of CMUdict
that may be trained on, and of every further word with the pronunciation that the teacher itself gives it, the lesson
has the teacher's probabilities of each next phoneme (distillation: Hinton et al., 2015; of ensembles and with further
words: Sun et al., 2019).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpus import Pair, Vocabulary, read_cmudict, split, vocabulary
from fastseq import Ensemble
from fastseq.models import Seq2SeqModel
from fastseq.pipelines.pronounce import BUNDLED_MODELS
from lessons import write_lessons

PART = 4096  # words that are done together
LENGTHS = range(3, 21)  # letters of the further words


def probabilities_of(teacher: Seq2SeqModel, pairs: list[Pair]) -> Iterator[NDArray[np.float16]]:
    """The teacher's probabilities along the given pronunciations."""
    bos = teacher.config.bos_token_id
    target_id = {phoneme: i for i, phoneme in enumerate(teacher.vocabulary.target)}
    for start in range(0, len(pairs), PART):
        part = pairs[start : start + PART]
        sources = [teacher.vocabulary.encode(word) for word, _ in part]
        targets = [[bos, *(target_id[p] for p in phonemes)] for _, phonemes in part]
        for logits in teacher.decode(sources, targets):
            exponentials = np.exp(logits - logits.max(-1, keepdims=True))
            yield (exponentials / exponentials.sum(-1, keepdims=True)).astype(np.float16)


def pronounced(teacher: Seq2SeqModel, words: list[str], num_beams: int) -> list[Pair]:
    """The teacher's own pronunciations."""
    result = []
    for start in range(0, len(words), PART):
        part = words[start : start + PART]
        generations = teacher.generate([teacher.vocabulary.encode(w) for w in part], num_beams=num_beams)
        result += [
            (word, tuple(teacher.vocabulary.decode(generation.tokens)))
            for word, generation in zip(part, generations, strict=True)
        ]
        print(f"{len(result):,} of {len(words):,} words pronounced", flush=True)
    return result


def further_words(files: list[Path], vocab: Vocabulary, known: set[str]) -> list[str]:
    """Words of the lists, one at the beginning of each line, that are new and spelt with known letters."""
    letters = set(vocab.source) - {"'", ".", "-"}
    lines = (line.split() for file in files for line in file.read_text(encoding="utf-8").splitlines())
    words = {fields[0].lower() for fields in lines if fields}
    return sorted(w for w in words - known if len(w) in LENGTHS and letters.issuperset(w))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="file of lessons")
    parser.add_argument("--teacher", action="append", help="model folder, several times (default: the bundled models)")
    parser.add_argument("--more-words", type=Path, nargs="*", default=[], help="word lists, without pronunciations")
    parser.add_argument("--dev-words", type=Path, help="word list left out")
    parser.add_argument("--test-words", type=Path, help="word list left out")
    parser.add_argument("--num-beams", type=int, default=5)
    args = parser.parse_args()

    dictionary = read_cmudict()
    pairs, _, _ = split(dictionary, args.dev_words, args.test_words)
    teacher = Ensemble(args.teacher or list(BUNDLED_MODELS.values()), average="log")
    vocab = vocabulary(pairs)
    known = {word for word, _ in dictionary}
    if args.dev_words:
        known |= set(split(dictionary, args.dev_words, args.test_words)[1])
    new = pronounced(teacher, further_words(args.more_words, vocab, known), args.num_beams)
    lessons = pairs + [pair for pair in new if pair[1]]
    write_lessons(args.output, lessons, list(probabilities_of(teacher, lessons)), len(pairs), vocab.target)
    print(f"{len(pairs):,} pairs of the dictionary, {len(lessons) - len(pairs):,} further words")


if __name__ == "__main__":
    main()
