"""Spelling to pronunciation: grapheme-to-phoneme conversion."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from numbers import Integral
from pathlib import Path
from typing import Any, TypeAlias

from fastseq.models import Ensemble, Seq2SeqModel, load_model
from fastseq.models.ragged import token_batches
from fastseq.pipelines.ipa import to_ipa
from fastseq.pipelines.stress import merge_stress
from fastseq.pipelines.words import split_words
from fastseq.search import Generation

__all__ = ["BUNDLED_MODELS", "Pronouncer"]

Result: TypeAlias = dict[str, Any]
Found: TypeAlias = tuple[list[str], float]  # phonemes and score

_DATA = Path(__file__).resolve().parents[1] / "data"
BUNDLED_MODELS = {"lstm": _DATA / "g2p-lstm", "transformer": _DATA / "g2p-transformer"}
_ALL = "ensemble"  # of the bundled models

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
        backend: str | None = None,
        compute_type: str | None = None,
    ) -> None:
        if isinstance(model, Seq2SeqModel):
            self.model = model
        else:
            loaded = _load("lstm" if model is None else model, compute_type, backend)
            if not isinstance(loaded, Seq2SeqModel):
                raise ValueError(f"model {model!r} is for {loaded.task}; expected one that pronounces")
            self.model = loaded
        self.vocabulary = self.model.vocabulary

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
            is read some texts at a time. ``word``; ``pronunciation``, as text;
            ``phonemes``, the same as a list in ARPABET; ``score``, the log-probability divided by the length; and
            ``alternatives``, a list of the same without ``word``, best first: the further pronunciations.

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
            options |= {"num_return_sequences": _all_beams(num_beams, num_return_sequences)}
            options |= {"return_token_log_probs": True}
        write = to_ipa if format == "ipa" else self.vocabulary.separator.join
        results: dict[str, Result] = {}
        for batch in token_batches([len(word) for word in ids], _BATCH_CHARACTERS):
            generations = self.model.generate([ids[i] for i in batch], **options)
            for i, generation in zip(batch, generations, strict=True):
                found = self._found(generation, stress, options)[:num_return_sequences]
                results[different[i]] = _result(different[i], found, write)
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
        [generation] = self.model.generate([ids], num_beams=num_beams, **options)
        [weights] = self.model.attention([ids], [generation.tokens])
        return {
            "word": words[0],
            "letters": list(words[0]),
            "phonemes": self.vocabulary.decode(generation.tokens),
            "weights": weights,
        }

    def _found(self, generation: Generation, stress: bool, options: dict[str, Any]) -> list[Found]:
        pronunciations = [self.vocabulary.decode(hypothesis.tokens) for hypothesis in generation.hypotheses]
        if stress:
            scores = [hypothesis.score for hypothesis in generation.hypotheses]
            return list(zip(pronunciations, scores, strict=True))
        defaults = self.model.generation_config
        penalty = options.get("length_penalty", 1.0 if defaults is None else defaults.length_penalty)
        return merge_stress(generation.hypotheses, pronunciations, penalty)


def _result(word: str, found: list[Found], write: Callable[[list[str]], str]) -> Result:
    best, *others = (
        {"pronunciation": write(phonemes), "phonemes": phonemes, "score": score} for phonemes, score in found
    )
    return {"word": word, **best, "alternatives": others}


def _all_beams(num_beams: Any, num_return_sequences: Any) -> Any:
    """As many sequences as the search keeps; what is no number of any is left for the search to refuse."""
    if isinstance(num_beams, Integral) and isinstance(num_return_sequences, Integral) and int(num_return_sequences) > 0:
        return max(int(num_beams), int(num_return_sequences))
    return num_return_sequences


def _load(model: str | os.PathLike[str], compute_type: str | None, backend: str | None) -> Any:
    if model == _ALL:
        members = [load_model(folder, compute_type, backend) for folder in BUNDLED_MODELS.values()]
        return Ensemble(members, average="log")
    folder = BUNDLED_MODELS[str(model)] if model in BUNDLED_MODELS else Path(model)
    if not folder.is_dir():
        known = ", ".join([*BUNDLED_MODELS, _ALL])
        raise FileNotFoundError(f"no model {str(folder)!r}; expected {known} or the path of a model folder")
    return load_model(folder, compute_type, backend)
