"""An encoder-decoder that labels what it reads (Lewis et al., 2020, section 3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseq.reference.activations import tanh
from fastseq.reference.models.ragged import groups, positions
from fastseq.reference.models.stack import Array, Stack, by_rows
from fastseq.reference.quantize import narrow_tensors

__all__ = ["TransformerClassifier"]

# Rows that pass through the layers together.
_GROUP_ROWS = 256


class TransformerClassifier:
    """Encoder and decoder read the same tokens, the decoder's one place later; a head on the decoder's last layer.

    Parameters
    ----------
    config, tensors, compute_type
        As of `TransformerSeq2Seq`.
    """

    def __init__(self, config: dict[str, Any], tensors: dict[str, Any], compute_type: str = "float32") -> None:
        self.config = config
        self.tensors = tensors = narrow_tensors(tensors, compute_type)
        target = tensors["decoder.embedding.weight"]
        source = target if config["shared_embedding"] else tensors["encoder.embedding.weight"]
        self.encoder = Stack(config["encoder"], tensors, "encoder", source)
        self.decoder = Stack(config["decoder"], tensors, "decoder", target)

    def logits(self, ids: Array, offsets: Array, decoder_ids: Array, places: Array | None) -> Array:
        """Return the head's outputs (R, labels) after the tokens at `places` (R,), or (N, labels) after each.

        `decoder_ids` (N,) is what the decoder reads, as many tokens of each sequence as `ids` (N,) has between
        `offsets` (B + 1,).
        """
        x = np.empty((len(ids), self.config["decoder"]["hidden_size"]), self.decoder.dtype)
        for sentences in groups(offsets, _GROUP_ROWS):
            rows = positions(offsets, sentences)
            cross = self.decoder.cross(self.encoder.read(ids[rows]))
            past = self.decoder.no_past(len(rows))
            x[rows], _, _ = self.decoder.advance(decoder_ids[rows], past, cross, is_causal=True)
        if places is not None:
            x = x[places]
        if self.config["head_dense"]:
            x = by_rows(tanh, self.decoder.dense("head.dense", x))
        return self.decoder.dense("head.output", x)
