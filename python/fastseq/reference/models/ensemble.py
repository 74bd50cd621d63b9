"""Several models of one vocabulary that decide together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseq.reference.models.seq2seq import Array, Seq2Seq
from fastseq.reference.softmax import log_softmax

__all__ = ["Ensemble"]


@dataclass
class EnsembleState:
    """The state of each model."""

    states: list[Any]

    @property
    def memory(self) -> Array:
        """The memories side by side, (r, S, M)."""
        return np.concatenate([state.memory for state in self.states], axis=2)

    def select(self, rows: Array) -> EnsembleState:
        """Return the state whose row i is row ``rows[i]`` of this one."""
        return EnsembleState([state.select(rows) for state in self.states])


class Ensemble(Seq2Seq[EnsembleState]):
    """log sum_m w_m p_m ("probability"), or sum_m w_m log p_m ("log"), which the search normalises again.

    Parameters
    ----------
    models : sequence of Seq2Seq
        Of equal vocabulary sizes.
    weights : sequence of float
        Above 0, summing to 1.
    average : {"probability", "log"}
    """

    def __init__(self, models: Sequence[Any], weights: Sequence[float], average: str) -> None:
        _check(models, weights, average)
        self.models, self.weights, self.average = list(models), list(weights), average
        super().__init__(
            {},
            {},
            sum(model.memory_size for model in models),
            (models[0].source_vocab_size, models[0].target_vocab_size),
            models[0].dtype,
        )
        self.attends = all(model.attends for model in models)

    def start(self, source: Array) -> EnsembleState:
        """Encode source ids (b, S) with each model."""
        return EnsembleState([model.start(source) for model in self.models])

    def advance(
        self, target: Array, state: EnsembleState, return_attention: bool = False
    ) -> tuple[Array, Array | None, EnsembleState]:
        """Read target ids (r, T) with each model: the average of their log-probabilities and weights."""
        log_probs, attention, states = [], None, []
        for model, weight, of_model in zip(self.models, self.weights, state.states, strict=True):
            logits, weights_on_source, after = model.advance(target, of_model, return_attention)
            rows = log_softmax(logits.reshape(-1, logits.shape[-1]))
            log_probs.append(rows.reshape(logits.shape))
            states.append(after)
            if weights_on_source is not None:
                share = weights_on_source * self.dtype.type(weight)
                attention = share if attention is None else attention + share
        return self._average(np.stack(log_probs)), attention, EnsembleState(states)

    def _average(self, log_probs: Array) -> Array:
        """Average (models, r, T, V) over the models."""
        weights = np.array(self.weights, self.dtype).reshape(-1, 1, 1, 1)
        if self.average == "log":
            average: Array = (weights * log_probs).sum(axis=0)
            return average
        largest = log_probs.max(axis=0)
        shift = np.where(np.isinf(largest), self.dtype.type(0), largest)
        total = (weights * np.exp(log_probs - shift)).sum(axis=0)
        with np.errstate(divide="ignore"):  # a token that no model allows keeps its -inf
            combined: Array = (largest + np.log(total)).astype(self.dtype)
        return combined


def _check(models: Sequence[Any], weights: Sequence[float], average: str) -> None:
    if average not in ("probability", "log"):
        raise ValueError(f"average is {average!r}; expected 'probability' or 'log'")
    if not models:
        raise ValueError("models is empty; expected at least one")
    if len(models) != len(weights):
        raise ValueError(f"weights has {len(weights)} numbers; expected one for each of {len(models)} models")
    for m, (model, weight) in enumerate(zip(models, weights, strict=True)):
        if not 0 < weight <= 1:
            raise ValueError(f"weights[{m}] is {weight}; expected a number above 0 and at most 1")
        for name in ("source_vocab_size", "target_vocab_size"):
            size, wanted = getattr(model, name), getattr(models[0], name)
            if size != wanted:
                raise ValueError(f"models[{m}] has {name} {size}; expected {wanted}, that of models[0]")
