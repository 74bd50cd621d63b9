"""Trains a joint-sequence n-gram (Bisani and Ney, 2008) on CMUdict and writes it as a fastseq model folder.

    python ngram.py --output models/ngram --dev-words dev.txt --test-words test.txt

A word and its pronunciation are one sequence of units, each a letter with the phonemes it stands for, at most two.
Expectation maximisation over all alignments finds how probable each unit is, and the best alignment of each pair is
its sequence of units. An n-gram model of these sequences gives log p(word, pronunciation). Pronunciations are without
stress. Training is deterministic and takes well below a minute.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from corpus import Pair, Vocabulary, read_cmudict, split, vocabulary
from fastseq.pipelines.stress import without_stress

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Tensors = dict[str, NDArray[np.generic]]

WIDTH = 2  # phonemes of a unit at most
FIRST_GUESS = 0.006, 0.03, 0.003  # probability of a unit with none, one and two phonemes in the first iteration
START, END = 0, 1  # the units that are no letters

# What 8 bits stand for: equal steps of 1/8, so that a stored logarithm is wrong by 1/16 at most.
LOG_PROBS = -np.arange(256) / 8
BACKOFFS = (np.arange(256) - 192) / 8

# Pairs of one number of letters L and one number of phonemes P, so that all their alignments have one shape:
# group[k][n, i, j] is the code of the unit of letter i and k phonemes from the j-th on, an array (N, L, P + 1 - k).
# A code is a number whose digits are the letter and the phonemes, 0 where there is none.
Group = list[Ints]


def group_pairs(pairs: list[Pair], vocab: Vocabulary) -> list[Group]:
    """The pairs by their lengths, without those of more phonemes than units can have."""
    source_id = {c: i for i, c in enumerate(vocab.source)}
    target_id = {p: i for i, p in enumerate(vocab.target)}
    base = len(vocab.target)
    by_lengths: dict[tuple[int, int], list[Pair]] = {}
    for word, phonemes in pairs:
        if len(phonemes) <= WIDTH * len(word):
            by_lengths.setdefault((len(word), len(phonemes)), []).append((word, phonemes))
    groups = []
    for (_, length), members in sorted(by_lengths.items()):
        letters = np.array([[source_id[c] for c in word] for word, _ in members])[:, :, None]
        spoken = np.array([[target_id[p] for p in phonemes] for _, phonemes in members], np.int64)[:, None, :]
        group = []
        for k in range(min(WIDTH, length) + 1):
            codes = np.repeat(letters * base**WIDTH, length + 1 - k, axis=2)
            for place in range(k):
                codes += spoken[:, :, place : length + 1 - k + place] * base**place
            group.append(codes)
        groups.append(group)
    return groups


def expected_counts(group: Group, prob: Floats) -> tuple[Floats, float]:
    """How often each unit occurs in all alignments, each by its probability; and the log likelihood of the pairs."""
    pairs, letters, ends = group[0].shape
    used = [prob[codes] for codes in group]
    forward = np.zeros((pairs, letters + 1, ends))
    backward = np.zeros_like(forward)
    forward[:, 0, 0] = backward[:, letters, ends - 1] = 1.0
    for i in range(letters):
        for k, p in enumerate(used):
            forward[:, i + 1, k:] += forward[:, i, : ends - k] * p[:, i]
    for i in reversed(range(letters)):
        for k, p in enumerate(used):
            backward[:, i, : ends - k] += p[:, i] * backward[:, i + 1, k:]
    total = forward[:, letters, ends - 1]
    counts = np.zeros_like(prob)
    for k, (codes, p) in enumerate(zip(group, used, strict=True)):
        share = forward[:, :-1, : ends - k] * p * backward[:, 1:, k:] / total[:, None, None]
        counts += np.bincount(codes.ravel(), share.ravel(), len(prob))
    return counts, float(np.log(total).sum())


def best_alignments(group: Group, log_prob: Floats) -> Ints:
    """The most probable alignment of each pair, as codes (N, L)."""
    pairs, letters, ends = group[0].shape
    score = np.where(np.arange(ends) > 0, -np.inf, np.zeros((pairs, 1)))
    taken = np.empty((letters, pairs, ends), np.int64)  # phonemes of the last unit on the best way here
    for i in range(letters):
        options = np.full((len(group), pairs, ends), -np.inf)
        for k, codes in enumerate(group):
            options[k, :, k:] = score[:, : ends - k] + log_prob[codes[:, i]]
        taken[i], score = options.argmax(0), options.max(0)
    result = np.empty((pairs, letters), np.int64)
    rows, end = np.arange(pairs), np.full(pairs, ends - 1)
    for i in reversed(range(letters)):
        length = taken[i, rows, end]
        end = end - length
        for k, codes in enumerate(group):
            chosen = length == k
            result[chosen, i] = codes[chosen, i, end[chosen]]
    return result


def align(pairs: list[Pair], vocab: Vocabulary, iterations: int) -> list[Ints]:
    """The pairs as sequences of codes, an array (N, L) for each group."""
    base = len(vocab.target)
    digits = np.arange(base**WIDTH)[:, None] // base ** np.arange(WIDTH) % base
    prob = np.tile(np.array(FIRST_GUESS)[np.count_nonzero(digits, axis=1)], len(vocab.source))
    groups = group_pairs(pairs, vocab)
    for iteration in range(iterations):
        counts, likelihood = np.zeros_like(prob), 0.0
        for group in groups:
            more, log_likelihood = expected_counts(group, prob)
            counts += more
            likelihood += log_likelihood
        prob = counts / counts.sum()
        print(f"iteration {iteration + 1:2d}  log likelihood {likelihood:.0f}", flush=True)
    with np.errstate(divide="ignore"):
        return [best_alignments(group, np.log(prob)) for group in groups]


@dataclass(frozen=True)
class Order:
    """The n-grams of one length in the corpus, sorted by their prefix and then by their last unit.

    Prefix (all but the last unit) and suffix (all but the first) are positions among the n-grams one unit shorter.
    """

    unit: Ints  # the last one
    prefix: Ints
    suffix: Ints
    count: Ints
    begins: Bools  # whether the first unit is the start

    def by_prefix(self, values: Ints | Floats | Bools, prefixes: int) -> Floats:
        """Sum of the values over the n-grams of each prefix."""
        return np.bincount(self.prefix, values, prefixes).astype(np.float64)


def count_ngrams(sequences: list[Ints], units: int, longest: int) -> list[Order]:
    """All n-grams of sequences (N, L) of units, with start and end put around each."""
    around = [np.pad(s, ((0, 0), (1, 1)), constant_values=((0, 0), (START, END))) for s in sequences]
    tokens = np.concatenate([s.ravel() for s in around])
    place = np.concatenate([np.tile(np.arange(s.shape[1]), len(s)) for s in around])
    every, root = np.arange(units), np.zeros(units, np.int64)
    orders = [Order(every, root, root, np.bincount(tokens, minlength=units), every == START)]
    ends = tokens  # the n-gram that ends at each token
    for n in range(2, longest + 1):
        at = np.flatnonzero(place >= n - 1)
        keys, which, count = np.unique(ends[at - 1] * units + tokens[at], return_inverse=True, return_counts=True)
        prefix, suffix = keys // units, np.empty_like(keys)
        suffix[which] = ends[at]
        orders.append(Order(keys % units, prefix, suffix, count, orders[-1].begins[prefix]))
        ends = np.full_like(tokens, -1)
        ends[at] = which
    return orders


def discounts(counts: Ints) -> Floats:
    """What is taken off counts of 0, 1, 2 and at least 3 (Chen and Goodman, 1999)."""
    seen = np.bincount(np.minimum(counts, 5), minlength=6).tolist()
    share = seen[1] / (seen[1] + 2 * seen[2]) if seen[1] else 0.5
    values = [i - (i + 1) * share * seen[i + 1] / seen[i] if seen[i] else 0.7 for i in (1, 2, 3)]
    return np.array([0.0, *(min(max(value, 0.05), i) for i, value in enumerate(values, 1))])


def kneser_ney(orders: list[Order]) -> tuple[list[Floats], list[Floats]]:
    """Interpolated modified Kneser-Ney: p(last unit | prefix) of each n-gram, and each n-gram's weight of its suffix.

    All but the longest count the different units before them, where there can be any.
    """
    probs: list[Floats] = []
    weights: list[Floats] = []
    for n, order in enumerate(orders):
        count = order.count
        if n + 1 < len(orders):
            count = np.where(order.begins, count, np.bincount(orders[n + 1].suffix, minlength=len(count)))
        if n == 0:
            count = np.where(order.begins, 0, count)  # nothing is followed by a start
        shorter = probs[n - 1][order.suffix] if n else np.where(order.begins, 0.0, 1 / (len(count) - 1))
        taken = discounts(count)[np.minimum(count, 3)]
        prefixes = len(orders[n - 1].unit) if n else 1
        total = np.maximum(order.by_prefix(count, prefixes), 1)
        weight = order.by_prefix(taken, prefixes) / total
        probs.append((count - taken) / total[order.prefix] + weight[order.prefix] * shorter)
        if n:
            weights.append(weight)
    return probs, weights


def prune(orders: list[Order], probs: list[Floats], weights: list[Floats], threshold: float) -> list[Bools]:
    """Which n-grams stay: all of one unit, those that lose enough without them, and the prefixes of those that stay.

    The loss is p(prefix) p(unit | prefix) (log p(unit | prefix) - log p by the suffix) (Seymour and Rosenfeld, 1996),
    with p(start) = 1.
    """
    keep = [np.ones(len(orders[0].unit), np.bool_)]
    context = np.where(orders[0].begins, 1.0, probs[0])
    for n in range(1, len(orders)):
        order, p = orders[n], probs[n]
        shorter = weights[n - 1][order.prefix] * probs[n - 1][order.suffix]
        joint = context[order.prefix] * p
        keep.append(joint * (np.log(p) - np.log(shorter)) > threshold)
        context = joint
    for n in range(len(orders) - 1, 0, -1):
        keep[n - 1] |= orders[n].by_prefix(keep[n], len(keep[n - 1])) > 0
    return keep


def back_off(orders: list[Order], probs: list[Floats], keep: list[Bools]) -> list[Floats]:
    """Weight of its suffix for each n-gram as a context, so that the probabilities of all units after it sum to 1."""
    backoffs = []
    pruned = probs[0]  # p(last unit | prefix) without the n-grams that do not stay
    for n in range(1, len(orders)):
        order, kept, prefixes = orders[n], keep[n], len(keep[n - 1])
        shorter = pruned[order.suffix]
        left = 1 - order.by_prefix(np.where(kept, probs[n], 0.0), prefixes)
        left_by_suffix = 1 - order.by_prefix(np.where(kept, shorter, 0.0), prefixes)
        backoffs.append(np.maximum(left, 1e-12) / np.maximum(left_by_suffix, 1e-12))
        pruned = np.where(kept, probs[n], backoffs[-1][order.prefix] * shorter)
    return [*backoffs, np.ones(len(keep[-1]))]


def nearest(values: Floats, table: Floats) -> NDArray[np.uint8]:
    """Positions of the nearest values in a table of equal steps."""
    position: Floats = np.rint((values - table[0]) / (table[1] - table[0]))
    return np.clip(position, 0, len(table) - 1).astype(np.uint8)


def trie(orders: list[Order], probs: list[Floats], backoffs: list[Floats], keep: list[Bools]) -> Tensors:
    """The n-grams that stay, breadth-first behind the root."""

    def nodes(root: float, parts: list[Floats]) -> Floats:
        return np.concatenate([[root], *(part[kept] for part, kept in zip(parts, keep, strict=True))])

    children = [order.by_prefix(keep[n], len(keep[n - 1])) for n, order in enumerate(orders) if n]
    with np.errstate(divide="ignore"):  # the start has probability 0
        log_prob = np.log(nodes(1, probs))
    return {
        "nodes.unit": nodes(0, [order.unit.astype(np.float64) for order in orders]).astype(np.uint16),
        "nodes.num_children": nodes(len(keep[0]), [*children, np.zeros(len(keep[-1]))]).astype(np.uint16),
        "nodes.log_prob": nearest(log_prob, LOG_PROBS),
        "nodes.backoff": nearest(np.log(nodes(1, backoffs)), BACKOFFS),
        "log_probs": LOG_PROBS.astype(np.float32),
        "backoffs": BACKOFFS.astype(np.float32),
    }


def build(pairs: list[Pair], vocab: Vocabulary, longest: int, threshold: float, iterations: int) -> Tensors:
    """The tensors of a model of the pairs."""
    aligned = align(pairs, vocab, iterations)
    codes = np.unique(np.concatenate([a.ravel() for a in aligned]))
    orders = count_ngrams([np.searchsorted(codes, a) + 2 for a in aligned], len(codes) + 2, longest)
    probs, weights = kneser_ney(orders)
    keep = prune(orders, probs, weights, threshold)
    for n, kept in enumerate(keep, 1):
        print(f"{n}-grams: {np.count_nonzero(kept):,} of {len(kept):,}", flush=True)
    base = len(vocab.target)
    phonemes = codes[:, None] // base ** np.arange(WIDTH) % base
    special = np.full((2, 1 + WIDTH), -1)
    units = np.concatenate([special, np.column_stack([codes // base**WIDTH, np.where(phonemes > 0, phonemes, -1)])])
    return {
        "units.source": units[:, 0].astype(np.int32),
        "units.targets": units[:, 1:].astype(np.int32),
        **trie(orders, probs, back_off(orders, probs, keep), keep),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for the model")
    parser.add_argument("--dev-words", type=Path, help="word list left out of training")
    parser.add_argument("--test-words", type=Path, help="word list left out of training")
    parser.add_argument("--order", type=int, default=8, help="units of the longest n-grams")
    parser.add_argument(
        "--threshold", type=float, default=3e-7, help="n-grams that lose no more than this are left out"
    )
    parser.add_argument("--iterations", type=int, default=12, help="of expectation maximisation")
    args = parser.parse_args(arguments)
    pairs, _, _ = split(read_cmudict(), args.dev_words, args.test_words)
    pairs = sorted({(word, without_stress(phonemes)) for word, phonemes in pairs})
    vocab = vocabulary(pairs)
    config = {"format": "fastseq", "format_version": 1, "model_type": "joint_ngram"}
    config |= {"source_vocab_size": len(vocab.source), "target_vocab_size": len(vocab.target)}
    tensors = build(pairs, vocab, args.order, args.threshold, args.iterations)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    vocab.save(args.output / "vocab.json")
    save_file(tensors, args.output / "model.safetensors")


if __name__ == "__main__":
    main()
