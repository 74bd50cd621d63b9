"""Text to entities: names, places, parts of speech."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq import functional
from fastseq.pipelines.base import Options, Pipeline, Prepared
from fastseq.pipelines.entities import Token, aggregate, without_overlaps
from fastseq.pipelines.text_classification import encode_within
from fastseq.text import Encoding

__all__ = ["TokenClassification"]

_STRATEGIES = ("none", "simple", "first", "average", "max")


class TokenClassification(Pipeline):
    """Gives each token a label, and groups of them an entity.

    Parameters
    ----------
    model, tokenizer, **options
        See `fastseq.pipelines.base.Pipeline` and the call.

    Notes
    -----
    Results are those of the pipeline "token-classification" of Hugging Face. Text that the model cannot read whole is
    cut off with a warning, or read in windows if `stride` is given.
    """

    task = "token-classification"
    model_tasks = ("token-classification",)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Find entities in texts.

        Parameters
        ----------
        inputs : str, list or iterator of str
        aggregation_strategy : {"none", "simple", "first", "average", "max"}, default "none"
            "none" gives tokens. The others join neighbours of one entity; "first", "average" and "max" first let the
            tokens of a word agree, on the label of the first, of the mean of the scores, or of the highest score.
        ignore_labels : list of str, default ["O"]
        stride : int, optional
            Read long text in windows that have this many tokens in common; needs an `aggregation_strategy`.

        Returns
        -------
        list of dict
            For each text ``entity`` (``entity_group`` if aggregated), ``score``, ``word``, ``start``, ``end`` and,
            for tokens, ``index``. A list of texts gives a list of lists.

        Raises
        ------
        TypeError, ValueError
            If an input or an option is wrong.
        """
        return self.run(inputs, self.check(options))

    def check(self, options: Options) -> Options:
        """Return the options of a call."""
        merged = self.merge(options, {"aggregation_strategy": "none", "ignore_labels": ["O"], "stride": None})
        strategy, stride = merged["aggregation_strategy"], merged["stride"]
        if strategy not in _STRATEGIES:
            raise ValueError(f"{self.task}: aggregation_strategy is {strategy!r}; expected {', '.join(_STRATEGIES)}")
        if stride is not None:
            if strategy == "none":
                raise ValueError(f"{self.task}: stride is given; expected an aggregation_strategy other than 'none'")
            if isinstance(stride, bool) or not isinstance(stride, int) or stride < 0:
                raise ValueError(f"{self.task}: stride is {stride!r}; expected a whole number")
        return merged

    def prepare(self, item: Any, where: str, options: Options) -> Prepared:
        """Return one text ready for the model, in windows if it is long and `stride` is given."""
        text = self.text(item, where)
        limit, stride = self.limit, options["stride"]
        if stride is None or limit is None:
            return Prepared([encode_within(self, text, None, where, details=True)], text)
        return Prepared(self.tokenizer.encode_windows(text, max_length=limit, stride=stride), text)

    def compute(self, units: list[Encoding], options: Options) -> list[NDArray[np.float32]]:
        """Return the probabilities of the labels of all tokens of a batch."""
        return [functional.softmax(rows) for rows in self.logits(units)]

    def finish(self, prepared: Prepared, outputs: list[Any], options: Options) -> Any:
        """Return the entities of one text."""
        strategy, ignored = options["aggregation_strategy"], options["ignore_labels"]
        names = self.model.config.id2label
        found: list[dict[str, Any]] = []
        for unit, scores in zip(prepared.units, outputs, strict=True):
            entities = aggregate(self.tokenizer, self._tokens(prepared.details, unit, scores), names, strategy)
            found += [e for e in entities if e.get("entity", e.get("entity_group")) not in ignored]
        return without_overlaps(found) if len(outputs) > 1 else found

    def _tokens(self, text: str, unit: Encoding, scores: NDArray[np.float32]) -> list[Token]:
        contents = self.tokenizer.tokens(unit.ids)
        unk, cuts_words = self.tokenizer.unk_id, self.tokenizer.cuts_words
        tokens = []
        for i, special in enumerate(unit.special):
            if special:
                continue
            word = contents[i]
            if unit.offsets is None:
                tokens.append(Token(word, scores[i], None, None, i, False))
                continue
            start, end = unit.offsets[i]
            # A piece inside a word is written with a mark, and so longer than its text.
            inside = start > 0 and " " not in text[start - 1 : start + 1]
            subword = len(word) != end - start if cuts_words else inside
            if unit.ids[i] == unk:
                word, subword = text[start:end], False
            tokens.append(Token(word, scores[i], start, end, i, subword))
        return tokens
