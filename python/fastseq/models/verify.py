"""How far a model in fewer bits is from the same model in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Verification", "verify"]


@dataclass(frozen=True)
class Verification:
    """What `verify` has found.

    Attributes
    ----------
    compute_type, backend : str
        Of the model that was examined.
    sentences, tokens : int
        How many were compared.
    max_error, mean_error : float
        Of the logits, absolute, given the same target tokens.
    relative_error : float
        Root of the mean square of the errors, over that of the logits, each row less its mean (softmax does not see the
        mean).
    top_agreement : float
        Share of target positions where both find the same token most probable.
    sentence_agreement : float
        Share of sentences for which generation gives the same tokens.
    """

    compute_type: str
    backend: str
    sentences: int
    tokens: int
    max_error: float
    mean_error: float
    relative_error: float
    top_agreement: float
    sentence_agreement: float

    def __str__(self) -> str:
        return (
            f"{self.compute_type} on {self.backend}, {self.sentences} sentences, {self.tokens} target tokens: "
            f"logits off by {self.max_error:.3g} at most, {self.mean_error:.3g} on average, "
            f"{100 * self.relative_error:.3g} % of their size; most probable token the same at "
            f"{100 * self.top_agreement:.2f} % of the positions, generated sentences at "
            f"{100 * self.sentence_agreement:.2f} %"
        )


def verify(model: Any, reference: Any, input_ids: Sequence[Sequence[int]], **options: Any) -> Verification:
    """Compare a model with another of the same weights: logits along one target, and what both generate.

    Parameters
    ----------
    model : Seq2SeqModel
        For example with ``compute_type="int8"``, or on the other backend.
    reference : Seq2SeqModel
        What it is held to, for example in float32. Its own generations are the targets of the logits.
    input_ids : sequence of sequences of int
        Sentences to compare on.
    **options
        Of `Seq2SeqModel.generate`, for both.

    Returns
    -------
    Verification

    Raises
    ------
    ValueError
        If there is no sentence, the models have other vocabularies, or an id or option is wrong.

    Examples
    --------
    >>> import fastseq
    >>> from fastseq.pipelines.pronounce import BUNDLED_MODELS
    >>> exact, quantised = (fastseq.load_model(BUNDLED_MODELS["lstm"], compute_type=t) for t in ("float32", "int8"))
    >>> report = fastseq.verify(quantised, exact, [exact.vocabulary.encode(word) for word in ("speech", "deep")])
    >>> report.sentence_agreement
    1.0
    """
    sentences = [list(row) for row in input_ids]
    if not sentences:
        raise ValueError("verify: input_ids has no sentence; expected at least one")
    sizes = [(m.config.source_vocab_size, m.config.target_vocab_size) for m in (model, reference)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"verify: model has vocabularies of {sizes[0]}; expected those of reference, {sizes[1]}")
    wanted = [generation.tokens for generation in reference.generate(sentences, **options)]
    given = [generation.tokens for generation in model.generate(sentences, **options)]
    start = reference.config.bos_token_id
    targets = [[start, *tokens] for tokens in wanted]
    exact = np.concatenate(reference.decode(sentences, targets)).astype(np.float64)
    actual = np.concatenate(model.decode(sentences, targets)).astype(np.float64)
    errors = actual - exact
    centred = exact - exact.mean(axis=1, keepdims=True)
    spread = errors - errors.mean(axis=1, keepdims=True)
    return Verification(
        compute_type=model.compute_type,
        backend=model.backend,
        sentences=len(sentences),
        tokens=len(exact),
        max_error=float(np.abs(errors).max()),
        mean_error=float(np.abs(errors).mean()),
        relative_error=float(np.sqrt((spread**2).sum() / max((centred**2).sum(), np.finfo(float).tiny))),
        top_agreement=float((exact.argmax(axis=1) == actual.argmax(axis=1)).mean()),
        sentence_agreement=sum(a == b for a, b in zip(wanted, given, strict=True)) / len(sentences),
    )
