"""Several models of one vocabulary that decide together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fastseq import _backend
from fastseq.models.config import Seq2SeqConfig
from fastseq.models.folder import load_model
from fastseq.models.seq2seq import Seq2SeqModel
from fastseq.search.ensemble import check_weights

__all__ = ["Ensemble", "EnsembleConfig"]


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig(Seq2SeqConfig):
    """What the models of an ensemble have in common.

    Parameters
    ----------
    models : tuple of Seq2SeqConfig or EncoderDecoderConfig
    """

    model_type: ClassVar[str] = "ensemble"
    backend_class = "Ensemble"

    models: Any

    def __post_init__(self) -> None:
        """Nothing to check: the configurations of the models have been."""

    @property
    def memory_size(self) -> int:
        """Width of the encoders' outputs side by side."""
        return sum(model.memory_size for model in self.models)

    @property
    def attends(self) -> bool:
        """Whether all decoders have attention on the source."""
        return all(model.attends for model in self.models)

    @property
    def position_limit(self) -> int | None:
        """The least of the models' limits, or None for no limit."""
        return min((model.position_limit for model in self.models if model.position_limit), default=None)

    @property
    def source_position_limit(self) -> int | None:
        """The least of the models' limits of the source, or None for no limit."""
        return min((model.source_position_limit for model in self.models if model.source_position_limit), default=None)


class Ensemble(Seq2SeqModel):
    """Models that are searched and scored as one; they may be of different families.

    Every step takes the average of the models' next-token probabilities. On the native backend all of them run inside
    the one C++ search. `encode` returns the memories side by side, `attention` their mean.

    Parameters
    ----------
    models : sequence of Seq2SeqModel, str or path
        Models, or folders to load, of one vocabulary and one backend.
    weights : sequence of float, optional
        Above 0; they are scaled to sum to 1. Equal by default.
    average : {"probability", "log"}
        ``log sum_m w_m p_m``, which lets one sure model win; or ``sum_m w_m log p_m``, normalised again, which lets
        each model veto.

    Raises
    ------
    TypeError, ValueError
        If there is no model, or a model does not match the first: the message says which and how.

    See Also
    --------
    fastseq.search.ensemble_step : The same for step functions.

    Examples
    --------
    >>> import fastseq
    >>> models = [fastseq.pipeline("pronounce", name).model for name in ("lstm", "transformer")]
    >>> ensemble = fastseq.Ensemble(models)
    >>> [generation] = ensemble.generate([ensemble.vocabulary.encode("speech")], num_beams=3)
    >>> ensemble.vocabulary.decode(generation.tokens)
    ['S', 'P', 'IY1', 'CH']
    """

    def __init__(
        self,
        models: Sequence[Seq2SeqModel | str | os.PathLike[str]],
        weights: Sequence[float] | None = None,
        average: str = "probability",
    ) -> None:
        members = [load_model(model) if isinstance(model, (str, os.PathLike)) else model for model in models]
        for m, model in enumerate(members):
            if not isinstance(model, Seq2SeqModel):
                raise TypeError(f"models[{m}] is {type(model).__name__}; expected a model or a folder")
        shares = check_weights(weights, len(members), "models")
        _check_alike(members)
        if average not in ("probability", "log"):
            raise ValueError(f"average is {average!r}; expected 'probability' or 'log'")
        first = members[0].config
        names = ("source_vocab_size", "target_vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")
        self._config = EnsembleConfig(
            models=tuple(model.config for model in members), **{name: getattr(first, name) for name in names}
        )
        self._vocabulary = members[0]._vocabulary
        self._folder = None
        self._defaults = members[0]._defaults.within(self._config.position_limit)
        self._backend = members[0].backend
        self._models = members
        functions = _backend.get(self._backend)
        self._decoding = functions.Decoding
        self._core = functions.Ensemble(tuple(model._core for model in members), shares.tolist(), average)

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """Not for an ensemble: its models are saved one by one.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("an ensemble has no weights of its own; save its models")

    @property
    def models(self) -> list[Seq2SeqModel]:
        """The members."""
        return list(self._models)


def _check_alike(models: Sequence[Seq2SeqModel]) -> None:
    first = models[0]
    for m, model in enumerate(models):
        for name in ("source_vocab_size", "target_vocab_size", "bos_token_id", "eos_token_id"):
            given, wanted = getattr(model.config, name), getattr(first.config, name)
            if given != wanted:
                raise ValueError(f"models[{m}] has {name} {given}; expected {wanted}, that of models[0]")
        if model.backend != first.backend:
            raise ValueError(f"models[{m}] runs on {model.backend!r}; expected {first.backend!r}, as models[0]")
        ours, theirs = model._vocabulary, first._vocabulary
        if ours is None or theirs is None:
            continue
        for side, tokens, expected in (
            ("source", ours.source, theirs.source),
            ("target", ours.target, theirs.target),
        ):
            for i, (token, wanted_token) in enumerate(zip(tokens, expected, strict=True)):
                if token != wanted_token:
                    raise ValueError(
                        f"models[{m}] has the {side} token {token!r} with id {i}; expected {wanted_token!r}, as "
                        "models[0] has"
                    )
