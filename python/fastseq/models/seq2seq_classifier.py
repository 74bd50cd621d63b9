"""Encoder-decoders that label what they read: sequences, or where an answer begins and ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.models.base import Floats, Model, split
from fastseq.models.classifier_kind import Seq2SeqClassifierConfig
from fastseq.models.ragged import Ids, Offsets, check_positions, in_parts, ragged

__all__ = ["Seq2SeqClassifier"]


class Seq2SeqClassifier(Model):
    """An encoder-decoder with a head; `load_model` makes one from a folder of BART's kind.

    A result depends on its own sequence only: on the native backend not a bit of it changes with the other sequences of
    a batch, with their order or with the number of threads.

    Parameters
    ----------
    config : Seq2SeqClassifierConfig
    tensors : mapping of str to float32 array
        Named and shaped as ``config.tensor_shapes()`` says.
    backend : {"native", "numpy"}, optional
        The active one by default.
    folder : Path, optional
        Where it comes from.
    compute_type : {"float32", "bfloat16", "int8"}, default "float32"
        Of the weights of dense and recurrent layers; see `fastseq.functional.linear`.

    Raises
    ------
    ValueError
        If tensors are missing, not expected or of another shape, all of which the message names; if the two parts have
        vocabularies of different sizes, or the start token is not in it.

    Examples
    --------
    >>> import dataclasses
    >>> from fastseq.models.stack import StackConfig
    >>> encoder = StackConfig(vocab_size=9, hidden_size=4, layers=(0,), num_heads=2, head_size=2, intermediate_size=8,
    ...     activation="gelu", norm="layer", norm_eps=1e-5, norm_first=False, final_norm=False, attention_scale=0.7)
    >>> config = Seq2SeqClassifierConfig(model_type="bart", encoder=encoder,
    ...     decoder=dataclasses.replace(encoder, cross_attention=True), shared_embedding=True,
    ...     task="text-classification", id2label={0: "no", 1: "yes"}, decoder_start_token_id=2, pad_token_id=1,
    ...     eos_token_id=2)
    >>> zeros = {name: np.zeros(shape) for name, shape in config.tensor_shapes().items()}
    >>> model = Seq2SeqClassifier(config, zeros | {"head.output.bias": np.array([0.5, 2.0])})
    >>> model.logits([[0, 5, 6, 2], [0, 2]])
    [array([0.5, 2. ], dtype=float32), array([0.5, 2. ], dtype=float32)]
    """

    _config: Seq2SeqClassifierConfig

    def __init__(
        self,
        config: Seq2SeqClassifierConfig,
        tensors: Mapping[str, Any],
        backend: str | None = None,
        folder: Path | None = None,
        compute_type: str = "float32",
    ) -> None:
        size, start = config.encoder.vocab_size, config.decoder_start_token_id
        if config.decoder.vocab_size != size:
            raise ValueError(f"the decoder has {config.decoder.vocab_size} tokens; expected {size}, the encoder's")
        if start is not None and not 0 <= start < size:
            raise ValueError(f"decoder_start_token_id is {start}; expected one of the {size} tokens")
        super().__init__(config, tensors, backend, folder, None, compute_type)

    @property
    def config(self) -> Seq2SeqClassifierConfig:
        """Sizes and kinds of the parts; labels."""
        return self._config

    @property
    def task(self) -> str:  # type: ignore[override]
        """What its head is for."""
        return self._config.task

    @property
    def model_type(self) -> str:
        """The family, as Hugging Face names it."""
        return self._config.model_type

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return self._config.encoder.vocab_size

    def logits(self, input_ids: Any, lengths: Any = None) -> list[Floats]:
        """Return the outputs of the head for each sequence.

        Parameters
        ----------
        input_ids : sequence of sequences of int, or 2-D integer array
            For text-classification each has an end token; what is behind the last one is read by the encoder only.
        lengths : sequence of int, optional
            Of the rows of a 2-D array.

        Returns
        -------
        list of float32 arrays
            (num_labels,) each for text-classification, (length, 2), the scores of start and end, for
            question-answering.

        Raises
        ------
        TypeError, ValueError
            If an id or a length is wrong, a sequence is too long for the model's positions or has no end token.
        """
        ids, offsets = ragged(input_ids, lengths, self.vocab_size, "input_ids")
        check_positions(offsets, self._config.max_positions, "input_ids")
        decoder_ids = self._decoder_ids(ids, offsets)
        places = self._last_ends(ids, offsets) if self.task == "text-classification" else None
        results: list[Floats] = []
        for part, bounds in in_parts(offsets):
            own = None
            if places is not None:
                own = places[(places >= part.start) & (places < part.stop)] - part.start
            logits = self._core.logits(ids[part], bounds, decoder_ids[part], own)
            results += split(logits, bounds) if own is None else list(logits)
        return results

    def _decoder_ids(self, ids: Ids, offsets: Offsets) -> Ids:
        """What the decoder reads: a start, and each sequence but its last token."""
        config, begins = self._config, offsets[:-1][np.diff(offsets) > 0]
        shifted = np.roll(ids, 1)
        if config.decoder_start_token_id is not None:
            shifted[begins] = config.decoder_start_token_id
        elif len(begins):
            counts = np.add.reduceat(ids != config.pad_token_id, begins, dtype=np.int64)
            shifted[begins] = ids[begins + np.maximum(counts, 1) - 1]
        return shifted

    def _last_ends(self, ids: Ids, offsets: Offsets) -> NDArray[np.int64]:
        """Where the last end token of each sequence is, (B,)."""
        end = self._config.eos_token_id
        ends = np.concatenate(([-1], np.flatnonzero(ids == end)))
        last = ends[np.searchsorted(ends, offsets[1:]) - 1]
        for b in np.flatnonzero(last < offsets[:-1]):
            raise ValueError(f"input_ids[{b}] has no end token, {end}; what is decoded there is classified")
        return np.ascontiguousarray(last, np.int64)
