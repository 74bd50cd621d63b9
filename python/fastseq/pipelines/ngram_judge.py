"""A second opinion on the pronunciations that a network has found: that of a joint n-gram."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from fastseq.models.joint_ngram import JointNgram
from fastseq.pipelines.stress import without_stress
from fastseq.search import Generation, rerank
from fastseq.text import Vocabulary

__all__ = ["NgramJudge"]

Pair: TypeAlias = tuple[str, tuple[int, ...]]  # a word, and the n-gram's ids of phonemes, -1 for one it does not know

# What a letter counts at most, in nats: several times what the rarest units cost. A pair that cannot be divided into
# units is as bad as this, so that the network alone decides where no pronunciation can.
_WORST = 15.0


class NgramJudge:
    """Ranks pronunciations by what a network and an n-gram say together (log-linear: Rao et al., 2015).

    Parameters
    ----------
    ngram : JointNgram
        Over letters and phonemes without stress, with a vocabulary.
    weight : float
        Of its log-probability; the network's has weight 1.
    vocabulary : Vocabulary
        Of the network: characters and phonemes.

    Raises
    ------
    ValueError
        If the n-gram has no vocabulary.

    Examples
    --------
    >>> import fastseq
    >>> from fastseq import Hypothesis
    >>> from fastseq.pipelines.pronounce import BUNDLED_NGRAM
    >>> vocabulary = Vocabulary(["<pad>"], ["<pad>", "<bos>", "<eos>", "AE1", "K", "S", "T"])
    >>> judge = NgramJudge(fastseq.load_model(BUNDLED_NGRAM), 1.0, vocabulary)
    >>> found = Generation([Hypothesis([5, 3, 6], -0.2, True), Hypothesis([4, 3, 6], -0.3, True)])
    >>> [ranked] = judge(["cat"], [found], length_penalty=1.0)
    >>> vocabulary.decode(ranked.tokens)
    ['K', 'AE1', 'T']
    """

    def __init__(self, ngram: JointNgram, weight: float, vocabulary: Vocabulary) -> None:
        self._ngram = ngram
        self._weight = weight
        self._letters = {token: i for i, token in enumerate(ngram.vocabulary.source)}
        known = {token: i for i, token in enumerate(ngram.vocabulary.target)}
        self._phonemes = [known.get(phoneme, -1) for phoneme in without_stress(vocabulary.target)]

    def __call__(
        self, words: Sequence[str], generations: Sequence[Generation], length_penalty: float
    ) -> list[Generation]:
        """Return the hypotheses of each word in their new order, with the sums as scores.

        Parameters
        ----------
        words : sequence of str
        generations : sequence of Generation
            Of each word.
        length_penalty : float
            Each log-probability is divided by the number of its own steps to this power: for the network phonemes and
            the end, as the search has done; for the n-gram units and the end, as many for all pronunciations of a word.

        Returns
        -------
        list of Generation
        """
        phoneme = self._phonemes.__getitem__
        said = [[tuple(map(phoneme, h.tokens)) for h in generation.hypotheses] for generation in generations]
        log_probs = self._log_probs(
            (w, phonemes) for w, several in zip(words, said, strict=True) for phonemes in several
        )

        def judged(b: int, _tokens: list[list[int]]) -> list[float]:
            units = math.pow(len(words[b]) + 1, length_penalty)
            return [log_probs[words[b], phonemes] / units for phonemes in said[b]]

        return rerank(generations, [judged], [1.0, self._weight])

    def _log_probs(self, pairs: Iterable[Pair]) -> dict[Pair, float]:
        """Of each different pair, no less than the worst that counts."""
        result = {pair: -_WORST * (len(pair[0]) + 1) for pair in pairs}
        letters = {word: [self._letters.get(letter, -1) for letter in word] for word, _ in result}
        known = [pair for pair in result if -1 not in letters[pair[0]] and -1 not in pair[1]]
        scores = self._ngram.score([letters[word] for word, _ in known], [phonemes for _, phonemes in known])
        return result | {pair: max(result[pair], score) for pair, score in zip(known, scores.tolist(), strict=True)}
