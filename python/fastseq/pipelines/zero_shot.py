"""Text to labels that no model was trained on, by a model that knows whether one text follows from another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq import functional
from fastseq.pipelines.base import Options, Pipeline, Prepared, warn
from fastseq.text import Encoding

__all__ = ["ZeroShotClassification"]

_KNOWN: Options = {"candidate_labels": None, "hypothesis_template": "This example is {}.", "multi_label": False}
_LAST = -1


class ZeroShotClassification(Pipeline):
    """Gives each text scores for labels that come with the call.

    Parameters
    ----------
    model, tokenizer, **options
        See `fastseq.pipelines.base.Pipeline` and the call. The model classifies pairs, premise and hypothesis, and has
        at least two labels, one of which begins with "entail".

    Raises
    ------
    ValueError
        If the model has fewer than two labels.

    Warns
    -----
    UserWarning
        If no label begins with "entail"; the last one is taken for it.

    Notes
    -----
    Results are those of the pipeline "zero-shot-classification" of Hugging Face: the text is the premise, the template
    with a label in it the hypothesis, and all pairs are run. The score of a label is the softmax over all labels of the
    logits for entailment or, if several labels may hold or there is only one, the softmax of its own logits for
    contradiction and entailment. Contradiction is the model's first label, or the last if entailment is the first.

    Examples
    --------
    A model that counts ships stands in for a trained one.

    >>> import tempfile
    >>> from fastseq.models import RecurrentClassifierConfig, save_model
    >>> from fastseq.text import WordTokenizer
    >>> config = RecurrentClassifierConfig(
    ...     vocab_size=2, embedding_size=1, cell="rnn_relu", hidden_size=1, num_layers=1, bidirectional=False,
    ...     pooling="last", labels=("contradiction", "entailment"))
    >>> shapes = config.tensor_shapes()
    >>> tensors = {name: np.full(shape, 0.0 if "bias" in name else 1.0) for name, shape in shapes.items()}
    >>> tensors["embedding.weight"], tensors["output.weight"] = np.eye(2)[:, 1:], np.array([[-1.0], [1.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(folder, config, tensors, WordTokenizer(["<unk>", "ship"], "<unk>"))
    ...     classify = ZeroShotClassification(folder)
    >>> result = classify("The ship leaves.", ["train", "ship"])
    >>> result["labels"], [round(score, 2) for score in result["scores"]]
    (['ship', 'train'], [0.73, 0.27])
    """

    task = "zero-shot-classification"
    model_tasks = ("text-classification",)

    def __call__(self, inputs: Any, candidate_labels: Any = None, **options: Any) -> Any:
        """Classify texts.

        Parameters
        ----------
        inputs : str, list or iterator of str
        candidate_labels : str or list of str
            A str has commas between them.
        hypothesis_template : str, default "This example is {}."
            What becomes the hypothesis when a label is put in the place of ``{}``.
        multi_label : bool, default False
            Whether several labels may hold: then each has a score of its own, else the scores sum to one.

        Returns
        -------
        dict, list or iterator of dict
            ``sequence``, the text; ``labels``, best first, those of equal scores in their order; ``scores``.

        Raises
        ------
        TypeError, ValueError
            If an input or an option is wrong, a text is empty, or a hypothesis leaves no room for a text.

        Warns
        -----
        UserWarning
            If a text is cut off because the model cannot read it whole; a hypothesis never is.
        """
        if candidate_labels is not None:
            options["candidate_labels"] = candidate_labels
        checked = self.check(options)
        if checked["candidate_labels"] is None:
            raise ValueError(f"{self.task}: candidate_labels are missing; expected a list of str")
        return self.run(inputs, checked)

    @property
    def entailment_id(self) -> int:
        """The first label whose name begins with "entail"; -1, which is the last label, if there is none."""
        labels = self.model.config.id2label
        return next((i for i, label in labels.items() if label.lower().startswith("entail")), _LAST)

    def check(self, options: Options) -> Options:
        """Return the options of a call."""
        merged = self.merge(options, _KNOWN)
        if merged["candidate_labels"] is not None:
            merged["candidate_labels"] = self._labels(merged["candidate_labels"])
        template, several = merged["hypothesis_template"], merged["multi_label"]
        if not isinstance(template, str):
            raise TypeError(f"{self.task}: hypothesis_template is {type(template).__name__}; expected a str")
        try:
            fits = template.format("a") != template.format("b")
        except (ValueError, LookupError, AttributeError):
            fits = False
        if not fits:
            raise ValueError(f"{self.task}: hypothesis_template is {template!r}; expected {{}} where the label goes")
        if not isinstance(several, bool):
            raise TypeError(f"{self.task}: multi_label is {several!r}; expected True or False")
        return merged

    def prepare(self, item: Any, where: str, options: Options) -> Prepared:
        """Return one text paired with the hypothesis of each label."""
        text = self.text(item, where)
        if not text.strip():
            raise ValueError(f"{self.task}: {where} is empty; expected a text")
        template = options["hypothesis_template"]
        units = [self._pair(text, template.format(label)) for label in options["candidate_labels"]]
        if any(unit.truncated for unit in units):
            warn(
                f"{self.task}: {where} and a hypothesis are longer than {self.limit} tokens, which the model reads at"
                " most; the rest of the text is left out"
            )
        return Prepared(units, text)

    def compute(self, units: list[Encoding], options: Options) -> list[NDArray[np.float32]]:
        """Return the logits of a batch."""
        return self.logits(units)

    def finish(self, prepared: Prepared, outputs: list[Any], options: Options) -> Any:
        """Return the labels of one text."""
        logits, labels, entails = np.stack(outputs), options["candidate_labels"], self.entailment_id
        if options["multi_label"] or len(labels) == 1:
            contradicts = _LAST if entails == 0 else 0
            scores = functional.softmax(logits[:, [contradicts, entails]])[:, 1]
        else:
            scores = functional.softmax(logits[:, entails])
        best = np.argsort(-scores, kind="stable")
        return {
            "sequence": prepared.details,
            "labels": [labels[i] for i in best.tolist()],
            "scores": scores[best].tolist(),
        }

    def _pair(self, text: str, hypothesis: str) -> Encoding:
        """A premise, cut off if it must be, and its hypothesis, which is whole."""
        whole, limit = self.tokenizer.encode(text, hypothesis), self.limit
        if limit is None or len(whole) <= limit:
            return whole
        others = len(whole) - whole.sequences.count(0)
        if others >= limit:
            raise ValueError(
                f"{self.task}: the hypothesis that begins with {hypothesis[:40]!r} is, with special tokens, {others}"
                f" long and leaves no room for a text; the model reads {limit} tokens"
            )
        return self.tokenizer.encode(text, hypothesis, max_length=limit, truncation="only_first")

    def _labels(self, given: Any) -> list[str]:
        if isinstance(given, str):
            labels = [part.strip() for part in given.split(",") if part.strip()]
        elif isinstance(given, Iterable) and not isinstance(given, (bytes, Mapping)):
            labels = list(given)
        else:
            raise TypeError(f"{self.task}: candidate_labels is {type(given).__name__}; expected a str or a list of str")
        for i, label in enumerate(labels):
            self.text(label, f"candidate_labels[{i}]")
        if not labels:
            raise ValueError(f"{self.task}: candidate_labels is {given!r}; expected at least one label")
        return labels

    def _check_task(self) -> None:
        super()._check_task()
        names = list(self.model.config.id2label.values())
        if len(names) < 2:
            raise ValueError(
                f"{self.task}: the model has one label, {', '.join(map(repr, names))}; expected at least two, for"
                " contradiction and entailment"
            )
        if self.entailment_id == _LAST:
            warn(
                f"{self.task}: none of the model's labels {', '.join(names)} begins with 'entail'; the last one is"
                " taken for entailment"
            )
