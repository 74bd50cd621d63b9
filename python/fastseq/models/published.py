"""Folders that Hugging Face's transformers has saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastseq.models.bound import BoundTensors, plain_name
from fastseq.models.classifier_kind import Seq2SeqClassifierConfig
from fastseq.models.config import CONFIG_FILE
from fastseq.models.decoder import DecoderModel
from fastseq.models.encoder import EncoderModel
from fastseq.models.families import FAMILIES, find_family
from fastseq.models.families.fields import Fields
from fastseq.models.generation import GenerationDefaults
from fastseq.models.kinds import DecoderConfig, EncoderConfig, EncoderDecoderConfig
from fastseq.models.seq2seq import Seq2SeqModel
from fastseq.models.seq2seq_classifier import Seq2SeqClassifier
from fastseq.weights import open_weights

__all__ = ["FAMILIES", "load_published"]

GENERATION_FILE = "generation_config.json"


def load_published(
    folder: Path,
    weights: Path,
    values: dict[str, Any],
    read_object: Callable[[Path], dict[str, Any]],
    backend: str | None,
    compute_type: str = "float32",
) -> Seq2SeqModel | EncoderModel | DecoderModel | Seq2SeqClassifier:
    """Return the model in a folder.

    Parameters
    ----------
    folder : Path
    weights : Path
        The file or index of its weights, for messages.
    values : dict
        What `config.json` holds.
    read_object : callable
        Reads a file with a JSON object.
    backend : str, optional
    compute_type : str

    Raises
    ------
    ValueError
        If the family is not known, a field is wrong or the weights do not fit.
    """
    model_type = values.get("model_type")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ValueError(f"{folder / CONFIG_FILE}: model_type is {str(model_type)[:60]!r}; expected one of {known}")
    family = find_family(model_type)
    stored = open_weights(folder)
    path = folder / GENERATION_FILE
    generation = read_object(path) if path.is_file() else None
    fields = Fields(values | _missing_ids(values, generation or {}))
    blueprint = family.read(fields, {plain_name(name, family.prefix): tensor for name, tensor in stored.items()})
    try:
        fields.check()
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG_FILE}: {error}") from None
    config = blueprint.config
    if isinstance(config, (EncoderDecoderConfig, DecoderConfig)):
        try:
            defaults = GenerationDefaults.read(
                fields.over("decoder").values if generation is None else generation,
                start_id=config.bos_token_id,
                eos_id=config.eos_token_id,
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"{folder / CONFIG_FILE if generation is None else path}: {error}") from None
    try:
        tensors = BoundTensors(
            config,
            stored,
            blueprint.sources,
            prefix=family.prefix,
            ignored=blueprint.ignored,
            infinite=blueprint.infinite,
        )
        if isinstance(config, EncoderConfig):
            return EncoderModel(config, tensors, backend, folder, compute_type)
        if isinstance(config, Seq2SeqClassifierConfig):
            return Seq2SeqClassifier(config, tensors, backend, folder, compute_type)
        if isinstance(config, EncoderDecoderConfig):
            return Seq2SeqModel(config, tensors, None, backend, folder, defaults, compute_type)
        return DecoderModel(config, tensors, backend, folder, defaults, compute_type)
    except ValueError as error:
        raise ValueError(f"{weights}: {error}") from None


def _missing_ids(values: dict[str, Any], generation: dict[str, Any]) -> dict[str, Any]:
    """What the file about generation says of start and end where `config.json` does not."""
    names = ("decoder_start_token_id", "bos_token_id", "eos_token_id")
    return {
        name: generation[name]
        for name in names
        if values.get(name) is None and isinstance(generation.get(name), (int, list))
    }
