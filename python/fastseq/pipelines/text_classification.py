"""Text to labels: sentiment, topics, entailment of pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq import functional
from fastseq.pipelines.base import Options, Pipeline, Prepared, warn
from fastseq.text import Encoding

__all__ = ["TextClassification", "encode_within"]

_FUNCTIONS = ("sigmoid", "softmax", "none")
_KNOWN: Options = {"top_k": 1, "function_to_apply": None, "return_all_scores": None}


class TextClassification(Pipeline):
    """Gives each text a label.

    Parameters
    ----------
    model, tokenizer, **options
        See `fastseq.pipelines.base.Pipeline` and the call.

    Notes
    -----
    Results are those of the pipeline "text-classification" of Hugging Face. Text that the model cannot read whole is
    cut off with a warning.
    """

    task = "text-classification"
    model_tasks = ("text-classification",)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Classify texts.

        Parameters
        ----------
        inputs : str, dict, list or iterator of them
            A dict ``{"text": ..., "text_pair": ...}`` is a pair.
        top_k : int or None, default 1
            How many labels, best first; None for all.
        return_all_scores : bool, optional
            True: all labels, in their order.
        function_to_apply : {"sigmoid", "softmax", "none"}, optional
            From logits to scores. By default "sigmoid" for several labels at once or only one, "none" for regression,
            else "softmax".

        Returns
        -------
        list
            For each input a dict ``{"label", "score"}``; a list of such dicts if `top_k` is given. A single text gives
            a list too; an iterator gives an iterator.

        Raises
        ------
        TypeError, ValueError
            If an input or an option is wrong.
        """
        result = self.run(inputs, self.check(options))
        # Hugging Face's pipeline has this oddity, and users index it away.
        return [result] if isinstance(inputs, str) and "top_k" not in options else result

    def check(self, options: Options) -> Options:
        """Return the options of a call."""
        merged = self.merge(options, _KNOWN | {"single": True})
        merged["single"] = merged["single"] and "top_k" not in options and not merged["return_all_scores"]
        k, function = merged["top_k"], merged["function_to_apply"]
        if k is not None and (isinstance(k, bool) or not isinstance(k, int) or k < 1):
            raise ValueError(f"{self.task}: top_k is {k!r}; expected a whole number of at least 1, or None for all")
        if function is not None and function not in _FUNCTIONS:
            raise ValueError(f"{self.task}: function_to_apply is {function!r}; expected {', '.join(_FUNCTIONS)}")
        return merged

    def prepare(self, item: Any, where: str, options: Options) -> Prepared:
        """Return one text or pair ready for the model."""
        if isinstance(item, dict):
            if "text" not in item or not item.keys() <= {"text", "text_pair"}:
                raise ValueError(f"{self.task}: {where} has keys {', '.join(map(str, item))}; expected text, text_pair")
            pair = item.get("text_pair")
            pair = None if pair is None else self.text(pair, f"text_pair of {where}")
            return Prepared([encode_within(self, self.text(item["text"], f"text of {where}"), pair, where)])
        return Prepared([encode_within(self, self.text(item, where), None, where)])

    def compute(self, units: list[Encoding], options: Options) -> list[NDArray[np.float32]]:
        """Return the logits of a batch."""
        return self.logits(units)

    def finish(self, prepared: Prepared, outputs: list[Any], options: Options) -> Any:
        """Return the labels of one text."""
        scores = self._scores(outputs[0], options["function_to_apply"])
        labels = self.model.config.id2label
        best = np.argsort(-scores, kind="stable")[: options["top_k"]]
        if options["return_all_scores"]:
            best = np.arange(len(scores))
        ranked = [{"label": labels[i], "score": float(scores[i])} for i in best.tolist()]
        return ranked[0] if options["single"] else ranked

    def _scores(self, logits: NDArray[np.float32], function: str | None) -> NDArray[np.float32]:
        if function is None:
            kind = self.model.config.problem_type
            several = kind == "multi_label_classification" or len(logits) == 1
            function = "none" if kind == "regression" else "sigmoid" if several else "softmax"
        if function == "none":
            return logits
        result: NDArray[np.float32] = getattr(functional, function)(logits)
        return result


def encode_within(pipeline: Pipeline, text: str, pair: str | None, where: str, details: bool = False) -> Encoding:
    """Return a text or a pair as ids, cut off with a warning where the model's limit is.

    Parameters
    ----------
    pipeline : Pipeline
    text : str
    pair : str or None
    where : str
        What messages call it.
    details : bool
        Whether offsets and words are wanted.

    Returns
    -------
    Encoding
    """
    encoding = pipeline.tokenizer.encode(text, pair, max_length=pipeline.limit, details=details)
    if encoding.truncated:
        warn(
            f"{pipeline.task}: {where} is longer than {pipeline.limit} tokens, which the model reads at most; the rest"
            " is left out"
        )
    return encoding
