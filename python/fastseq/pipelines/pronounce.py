"""Spelling to pronunciation: grapheme-to-phoneme conversion."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any, TypeAlias

from fastseq.models import JointNgram, Seq2SeqModel
from fastseq.models.ragged import token_batches
from fastseq.pipelines.bundled import BUNDLED_MODELS, BUNDLED_NGRAM, load_ngram, load_pronouncing_model
from fastseq.pipelines.ipa import to_ipa
from fastseq.pipelines.ngram_judge import NgramJudge
from fastseq.pipelines.stress import merge_stress
from fastseq.pipelines.words import split_words
from fastseq.search import Generation
from fastseq.search.checks import check_number

__all__ = ["BUNDLED_MODELS", "BUNDLED_NGRAM", "Pronouncer"]

Result: TypeAlias = dict[str, Any]
Found: TypeAlias = tuple[list[str], float]  # phonemes and score

_FORMATS = ("arpabet", "ipa")
_BATCH_CHARACTERS = 16384
_MOST_LETTERS = 256
_PART_TEXTS = 256  # of an iterator that are done together


class Pronouncer:
    """Says how English words are pronounced.

    Parameters
    ----------
    model : {"lstm", "transformer", "ensemble"}, path or Seq2SeqModel, default "lstm"
        A bundled model (trained on CMUdict), both of them together (the fewest errors, at half the speed), a model
        folder, or a model with a vocabulary.
    ngram : bool, path or JointNgram, optional
        A joint n-gram of letters and phonemes without stress, which together with the model ranks what the search has
        found: about one error in seven is mended. True is the bundled one, False none; by default the bundled one for
        bundled models, and none for others.
    ngram_weight : float, default 1.0
        Of its log-probability divided by the number of letters, which is added to the model's divided by the number of
        phonemes (the end counted in both, to the power of `length_penalty`).
    backend : {"native", "numpy"}, optional
        Where a model that is loaded here runs; the active backend by default.
    compute_type : {"float32", "bfloat16", "int8"}, optional
        What the weights of a model that is loaded here are computed in.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, or its folder is damaged.

    Notes
    -----
    Text is split by `fastseq.pipelines.words.split_words`: lower case, punctuation at the edges of words dropped. A
    word with something that the model does not know, such as a digit, is an error that names it.

    Examples
    --------
    >>> pronounce = Pronouncer()
    >>> [word] = pronounce("speech", format="ipa")
    >>> word["pronunciation"], word["phonemes"]
    ('ˈspitʃ', ['S', 'P', 'IY1', 'CH'])
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Seq2SeqModel | None = None,
        *,
        ngram: bool | str | os.PathLike[str] | JointNgram | None = None,
        ngram_weight: float = 1.0,
        backend: str | None = None,
        compute_type: str | None = None,
    ) -> None:
        model = "lstm" if model is None else model
        self.model = model if isinstance(model, Seq2SeqModel) else load_pronouncing_model(model, compute_type, backend)
        self.vocabulary = self.model.vocabulary
        weight = check_number("ngram_weight", ngram_weight, "a number of at least 0", lambda x: 0.0 <= x < math.inf)
        self.ngram = load_ngram(ngram, model, self.model.backend)
        self._judge = None if self.ngram is None else NgramJudge(self.ngram, weight, self.vocabulary)

    def __call__(
        self,
        text: str | Iterable[str],
        *,
        format: str = "arpabet",
        stress: bool = True,
        num_beams: int = 5,
        num_return_sequences: int = 1,
        **options: Any,
    ) -> list[Result] | list[list[Result]] | Iterator[list[Result]]:
        """Pronounce every word of a text, or of several texts.

        Parameters
        ----------
        text : str, sequence of str, or iterator of str
        format : {"arpabet", "ipa"}, default "arpabet"
            How `pronunciation` is written.
        stress : bool, default True
            Whether the phonemes have stress marks. Without, pronunciations that the search found and that differ in
            stress only are one, as probable as they are together; of several there may then be fewer than asked for.
        num_beams : int, default 5
            Beams of the search; 1 is greedy.
        num_return_sequences : int, default 1
            Pronunciations of each word.
        **options
            Further fields of `GenerationConfig`.

        Returns
        -------
        list of dict
            One for each word; a list of such lists for several texts, and an iterator of them for an iterator, which
            is read some texts at a time. ``word``; ``pronunciation``, as text; ``phonemes``, the same as a list in
            ARPABET; ``score``, the log-probability divided by the length, that of the n-gram added where there is one;
            and ``alternatives``, a list of the same without ``word``, best first: the further pronunciations.

        Raises
        ------
        UnknownTokenError
            If a word has a character that the model does not know.
        TypeError, ValueError
            If an option is wrong, or a word has more than 256 letters.
        """
        options |= {"format": format, "stress": stress}
        options |= {"num_beams": num_beams, "num_return_sequences": num_return_sequences}
        if isinstance(text, str):
            return self._texts([text], options)[0]
        if not isinstance(text, Iterable):
            raise TypeError(f"text is {type(text).__name__}; expected a str or several")
        return self._parts(text, options) if isinstance(text, Iterator) else self._texts(text, options)

    def _parts(self, texts: Iterator[str], options: dict[str, Any]) -> Iterator[list[Result]]:
        while part := list(itertools.islice(texts, _PART_TEXTS)):
            yield from self._texts(part, options)

    def _texts(self, texts: Iterable[str], options: dict[str, Any]) -> list[list[Result]]:
        given = list(texts)
        for i, text in enumerate(given):
            if not isinstance(text, str):
                raise TypeError(f"text[{i}] is {type(text).__name__}; expected a str")
        split = [split_words(text) for text in given]
        results = iter(self.words((word for words in split for word in words), **options))
        return [[next(results) for _ in words] for words in split]

    def words(
        self,
        words: Iterable[str],
        *,
        format: str = "arpabet",
        stress: bool = True,
        num_beams: int = 5,
        num_return_sequences: int = 1,
        **options: Any,
    ) -> list[Result]:
        """Pronounce words as they are: what `split_words` made of a text, or entries of a dictionary.

        Parameters
        ----------
        words : iterable of str
        format, stress, num_beams, num_return_sequences, **options
            As when called.

        Returns
        -------
        list of dict
            One for each word, in their order.
        """
        if format not in _FORMATS:
            raise ValueError(f"format is {format!r}; expected one of {', '.join(_FORMATS)}")
        given = list(words)
        encoded = {word: self.encode(word) for word in given}  # each word once
        different, ids = list(encoded), list(encoded.values())
        options |= {"num_beams": num_beams, "num_return_sequences": num_return_sequences}
        if not stress:
            options |= {"num_return_sequences": _all_beams(**options)}
        write = to_ipa if format == "ipa" else self.vocabulary.separator.join
        results: dict[str, Result] = {}
        for batch in token_batches([len(word) for word in ids], _BATCH_CHARACTERS):
            some = [different[i] for i in batch]
            for word, generation in zip(some, self._search(some, [ids[i] for i in batch], options), strict=True):
                found = self._found(generation, stress, options)[:num_return_sequences]
                results[word] = _result(word, found, write)
        return [dict(results[word]) for word in given]

    def encode(self, word: str) -> list[int]:
        """Return the ids of a word as `split_words` writes it.

        Parameters
        ----------
        word : str

        Returns
        -------
        list of int

        Raises
        ------
        UnknownTokenError
            If the word has a character that the model does not know.
        ValueError
            If it has more than 256 letters, and so is none.
        """
        if len(word) > _MOST_LETTERS:
            raise ValueError(f"'{word[:20]}...' has {len(word)} letters; expected at most {_MOST_LETTERS} in a word")
        return self.vocabulary.encode(word)

    def attention(self, word: str, *, num_beams: int = 5, **options: Any) -> Result:
        """Return where the model looked while it pronounced a word.

        Parameters
        ----------
        word : str
            One word.
        num_beams : int, default 5
        **options
            Further fields of `GenerationConfig`.

        Returns
        -------
        dict
            ``word``; ``letters``, S of them; ``phonemes``, T of them; ``weights``, an array (T + 1, S) with a row for
            each phoneme and one for the end.

        Raises
        ------
        ValueError
            If `word` is not one word, or the model has no attention.
        """
        words = split_words(word)
        if len(words) != 1:
            raise ValueError(f"{word!r} is {len(words)} words; attention is of one")
        ids = self.encode(words[0])
        [generation] = self._search(words, [ids], options | {"num_beams": num_beams, "num_return_sequences": 1})
        [weights] = self.model.attention([ids], [generation.tokens])
        return {
            "word": words[0],
            "letters": list(words[0]),
            "phonemes": self.vocabulary.decode(generation.tokens),
            "weights": weights,
        }

    def _search(self, words: Sequence[str], ids: Sequence[list[int]], options: dict[str, Any]) -> list[Generation]:
        """What the model finds for each word; with an n-gram all of it, ranked by both."""
        if self._judge is None:
            return self.model.generate(ids, **options)
        generations = self.model.generate(ids, **options | {"num_return_sequences": _all_beams(**options)})
        return self._judge(words, generations, self._length_penalty(options))

    def _found(self, generation: Generation, stress: bool, options: dict[str, Any]) -> list[Found]:
        hypotheses = generation.hypotheses[: options["num_return_sequences"]]
        pronunciations = [self.vocabulary.decode(hypothesis.tokens) for hypothesis in hypotheses]
        if not stress:
            return merge_stress(hypotheses, pronunciations, self._length_penalty(options))
        return list(zip(pronunciations, [hypothesis.score for hypothesis in hypotheses], strict=True))

    def _length_penalty(self, options: dict[str, Any]) -> float:
        defaults = self.model.generation_config
        penalty: float = options.get("length_penalty", 1.0 if defaults is None else defaults.length_penalty)
        return penalty


def _result(word: str, found: list[Found], write: Callable[[list[str]], str]) -> Result:
    best, *others = (
        {"pronunciation": write(phonemes), "phonemes": phonemes, "score": score} for phonemes, score in found
    )
    return {"word": word, **best, "alternatives": others}


def _all_beams(num_beams: Any, num_return_sequences: Any, **_: Any) -> Any:
    """As many sequences as the search keeps; what is no number of any is left for the search to refuse."""
    if isinstance(num_beams, Integral) and isinstance(num_return_sequences, Integral) and int(num_return_sequences) > 0:
        return max(int(num_beams), int(num_return_sequences))
    return num_return_sequences
