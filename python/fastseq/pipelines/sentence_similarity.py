"""How near sentences are to one another in meaning."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseq.pipelines.sentence_encoder import SentenceEncoder
from fastseq.pipelines.vector_stores import unit_rows

__all__ = ["SentenceSimilarity"]


class SentenceSimilarity:
    """Compares a sentence with others.

    Parameters
    ----------
    model : SentenceEncoder, str or path
        An encoder, a model folder or the name of a model on the hub.
    **options
        For `SentenceEncoder`.
    """

    task = "sentence-similarity"

    def __init__(self, model: Any, **options: Any) -> None:
        self.encoder = model if isinstance(model, SentenceEncoder) else SentenceEncoder(model, **options)

    def __call__(self, inputs: dict[str, Any] | None = None, **options: Any) -> list[float]:
        """Return the cosine of the angle between a sentence and each of others.

        Parameters
        ----------
        inputs : dict
            ``{"source_sentence": str, "sentences": [str, ...]}``; the two may also be given as named arguments.
        **options
            For `SentenceEncoder.encode`.

        Returns
        -------
        list of float

        Raises
        ------
        TypeError, ValueError
            If something is missing or no text.
        """
        given = dict(inputs or {})
        for name in ("source_sentence", "sentences"):
            if name in options:
                given[name] = options.pop(name)
        if given.keys() != {"source_sentence", "sentences"}:
            named = ", ".join(map(str, given)) or "nothing"
            raise ValueError(f"{self.task}: {named} given; expected source_sentence and sentences")
        source, others = given["source_sentence"], given["sentences"]
        if not isinstance(source, str) or isinstance(others, str) or not all(isinstance(s, str) for s in others):
            raise TypeError(f"{self.task}: expected source_sentence to be a str and sentences a list of str")
        vectors = unit_rows(self.encoder.encode([source, *others], **options))
        return [float(np.dot(vectors[0], vector)) for vector in vectors[1:]]
