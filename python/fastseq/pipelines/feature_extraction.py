"""Text to the vectors of its tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.pipelines.base import Options, Pipeline, Prepared
from fastseq.pipelines.text_classification import encode_within
from fastseq.text import Encoding

__all__ = ["FeatureExtraction"]

ENCODER_TASKS = ("feature-extraction", "text-classification", "token-classification", "question-answering")


class FeatureExtraction(Pipeline):
    """Gives the encoder's output for each text.

    Parameters
    ----------
    model, tokenizer, **options
        See `fastseq.pipelines.base.Pipeline` and the call.
    """

    task = "feature-extraction"
    model_tasks = ENCODER_TASKS

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Return the vectors of all tokens, special ones included.

        Parameters
        ----------
        inputs : str, list or iterator of str
        return_tensors : bool, default False
            Whether arrays are returned, and not nested lists.

        Returns
        -------
        list
            ``[[[...], ...]]`` for a text, in shape (1, tokens, hidden), and a list of such for a list. With
            `return_tensors` float32 arrays of this shape.

        Raises
        ------
        TypeError
            If an input is no text or an option is unknown.
        """
        return self.run(inputs, self.check(options))

    def check(self, options: Options) -> Options:
        """Return the options of a call."""
        return self.merge(options, {"return_tensors": False})

    def prepare(self, item: Any, where: str, options: Options) -> Prepared:
        """Return one text ready for the model."""
        return Prepared([encode_within(self, self.text(item, where), None, where)])

    def compute(self, units: list[Encoding], options: Options) -> list[NDArray[np.float32]]:
        """Return the encoder's output of a batch."""
        vectors: list[NDArray[np.float32]] = self.model.encode([unit.ids for unit in units], self.type_ids(units))
        return vectors

    def finish(self, prepared: Prepared, outputs: list[Any], options: Options) -> Any:
        """Return the vectors of one text."""
        batch = outputs[0][None]
        return batch.copy() if options["return_tensors"] else batch.tolist()
