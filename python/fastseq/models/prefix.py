"""The first layers of a Transformer's encoder, as a model of its own: what comes out of each layer can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastseq.models.encoder import EncoderModel
from fastseq.models.kinds import EncoderConfig
from fastseq.models.stack import StackConfig
from fastseq.reference.quantize import narrow, widen

__all__ = ["encoder_prefixes"]

_EMBEDDING = "encoder.embedding.weight"


def encoder_prefixes(reference: Any, compute_type: str) -> Iterator[tuple[EncoderModel, EncoderModel]]:
    """Yield encoders that end after the first layer, after the second and so on, without the norm after the last.

    Only one pair is in memory at a time, beside the reference, whose arrays the slow one shares.

    Parameters
    ----------
    reference : model
        In float32 on the NumPy backend, which keeps its tensors by name; a model without a Transformer encoder has no
        prefixes.
    compute_type : str
        Of the native encoders; those of the reference compute in float32.

    Yields
    ------
    tuple of EncoderModel
        Native, and on the NumPy reference.
    """
    if reference.config.backend_class not in ("TransformerSeq2Seq", "TransformerEncoder", "TransformerClassifier"):
        return
    options = reference.config.backend_options()
    tensors = dict(reference._core.tensors)
    narrowed = {}
    if options.get("shared_embedding"):
        tensors[_EMBEDDING] = embedding = tensors["decoder.embedding.weight"]
        if options.get("tie_output"):  # then it has the numbers of the output layer's weight
            narrowed = {_EMBEDDING: widen(narrow(embedding, compute_type))}
    by_layer = {name: tuple(options["encoder"][name]) for name in ("layers", "rotary", "windows")}
    for depth in range(1, len(by_layer["layers"]) + 1):
        first = {name: values[:depth] for name, values in by_layer.items()}
        stack = StackConfig(**options["encoder"] | first | {"final_norm": False})
        config = EncoderConfig(model_type="prefix", encoder=stack, task="feature-extraction", id2label={})
        own = {name: tensors[name] for name in config.tensor_shapes()}
        yield EncoderModel(config, own | narrowed, "native", None, compute_type), EncoderModel(config, own, "numpy")
