"""What a family makes of a published folder: the model's description, and where its tensors come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fastseq.models.classifier_kind import Seq2SeqClassifierConfig
from fastseq.models.families.fields import Fields
from fastseq.models.families.sources import Sources
from fastseq.models.kinds import DecoderConfig, EncoderConfig, EncoderDecoderConfig
from fastseq.weights import StoredTensor

__all__ = ["Blueprint", "Family", "ModelConfig"]

ModelConfig: TypeAlias = EncoderDecoderConfig | EncoderConfig | DecoderConfig | Seq2SeqClassifierConfig


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """A model and its weights.

    Parameters
    ----------
    config : EncoderDecoderConfig, EncoderConfig, DecoderConfig or Seq2SeqClassifierConfig
    sources : dict of str to Source
        For each tensor of ``config.tensor_shapes()``.
    ignored : tuple of str
        Regular expressions of tensors that may be there and are not read.
    infinite : tuple of str
        Our names of tensors that may have -inf, as a bias of what is never generated.
    """

    config: ModelConfig
    sources: Sources
    ignored: tuple[str, ...] = ()
    infinite: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """How published folders of one family become models.

    Parameters
    ----------
    read : callable
        The fields of `config.json` and the stored tensors, by their names without prefix, to a blueprint.
    prefix : str
        What the tensors' names begin with where the model is a part of one with a head.
    """

    read: Callable[[Fields, Mapping[str, StoredTensor]], Blueprint]
    prefix: str
