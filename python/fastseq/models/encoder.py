"""Encoders, and their heads: classification of sequences and of tokens, extractive question answering."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.models.base import Floats, Model, split_parts
from fastseq.models.kinds import EncoderConfig
from fastseq.models.ragged import Ids, Offsets, check_positions, ragged, run_in_parts

__all__ = ["EncoderModel"]


class EncoderModel(Model):
    """A Transformer encoder with its weights; `load_model` makes one from a folder of BERT's kind.

    A result depends on its own sequence only: on the native backend not a bit of it changes with the other sequences of
    a batch, with their order or with the number of threads.

    Parameters
    ----------
    config : EncoderConfig
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
        If tensors are missing, not expected or of another shape; the message names all of them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastseq.models.stack import StackConfig
    >>> stack = StackConfig(vocab_size=9, hidden_size=4, layers=(0,), num_heads=2, head_size=2, intermediate_size=8,
    ...     activation="gelu", norm="layer", norm_eps=1e-5, norm_first=False, final_norm=False, attention_scale=0.7)
    >>> config = EncoderConfig(model_type="bert", encoder=stack, task="feature-extraction", id2label={})
    >>> model = EncoderModel(config, {name: np.ones(shape) for name, shape in config.tensor_shapes().items()})
    >>> [array.shape for array in model.encode([[1, 2, 3], [4]])]
    [(3, 4), (1, 4)]
    """

    _config: EncoderConfig

    def __init__(
        self,
        config: EncoderConfig,
        tensors: Mapping[str, Any],
        backend: str | None = None,
        folder: Path | None = None,
        compute_type: str = "float32",
    ) -> None:
        super().__init__(config, tensors, backend, folder, None, compute_type)

    @property
    def config(self) -> EncoderConfig:
        """Sizes and kinds of the parts; labels."""
        return self._config

    @property
    def task(self) -> str:  # type: ignore[override]
        """What its head is for: "feature-extraction" without one."""
        return self._config.task

    @property
    def model_type(self) -> str:
        """The family, as Hugging Face names it."""
        return self._config.model_type

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return self._config.encoder.vocab_size

    def encode(self, input_ids: Any, token_type_ids: Any = None, lengths: Any = None) -> list[Floats]:
        """Return the encoder's output for each sequence, (length, hidden_size).

        Parameters
        ----------
        input_ids : sequence of sequences of int, or 2-D integer array
        token_type_ids : of the same form, optional
            0 for all by default.
        lengths : sequence of int, optional
            Of the rows of a 2-D array.

        Returns
        -------
        list of float32 arrays

        Raises
        ------
        TypeError, ValueError
            If an id, a type or a length is wrong, or a sequence too long for the model's positions.
        """
        arguments = self._arguments(input_ids, token_type_ids, lengths)
        return split_parts(run_in_parts(self._core.encode, *arguments))

    def logits(self, input_ids: Any, token_type_ids: Any = None, lengths: Any = None) -> list[Floats]:
        """Return the outputs of the head for each sequence.

        Parameters
        ----------
        input_ids, token_type_ids, lengths
            As in `encode`; for classification of sequences none is empty.

        Returns
        -------
        list of float32 arrays
            (num_labels,) each for text-classification, (length, num_labels) for token-classification, (length, 2), the
            scores of start and end, for question-answering.

        Raises
        ------
        TypeError, ValueError
            As in `encode`, and if the model has no head.
        """
        if not self._config.num_labels:
            raise ValueError("this model has no head (its task is feature-extraction); it can only encode")
        ids, offsets, types = self._arguments(input_ids, token_type_ids, lengths)
        results = run_in_parts(self._core.logits, ids, offsets, types)
        if self.task != "text-classification":
            return split_parts(results)
        for b in np.flatnonzero(np.diff(offsets) == 0):
            raise ValueError(f"input_ids[{b}] is empty; expected at least one token")
        return [row for rows, _ in results for row in rows]

    def _arguments(
        self, input_ids: Any, token_type_ids: Any, lengths: Any
    ) -> tuple[Ids, Offsets, NDArray[np.int32] | None]:
        ids, offsets = ragged(input_ids, lengths, self.vocab_size, "input_ids")
        check_positions(offsets, self._config.max_positions, "input_ids")
        if token_type_ids is None:
            return ids, offsets, None
        types, bounds = ragged(token_type_ids, lengths, max(1, self._config.encoder.token_types), "token_type_ids")
        if not np.array_equal(bounds, offsets):
            raise ValueError(
                f"token_type_ids has lengths {np.diff(bounds).tolist()}; expected those of input_ids,"
                f" {np.diff(offsets).tolist()}"
            )
        return ids, offsets, types
