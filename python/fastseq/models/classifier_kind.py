"""A fourth kind of Transformer models: an encoder-decoder that labels what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from fastseq.models.stack import Shapes, StackConfig

__all__ = ["Seq2SeqClassifierConfig"]


@dataclass(frozen=True, kw_only=True)
class Seq2SeqClassifierConfig:
    """An encoder, a decoder that reads the same tokens one place later, and a head.

    Parameters
    ----------
    model_type : str
        Of the family, as Hugging Face names it.
    encoder, decoder : StackConfig
    shared_embedding : bool
        Whether the encoder reads the decoder's embedding.
    task : {"text-classification", "question-answering"}
        A hidden layer with tanh and an output layer behind the last end token, or an output layer behind every token.
    id2label : dict of int to str
        Names of the outputs of the head.
    problem_type : str, optional
        "single_label_classification", "multi_label_classification" or "regression", if the folder says it.
    decoder_start_token_id : int, optional
        What the decoder reads first; None for the last token of the sequence that is no padding.
    pad_token_id, eos_token_id : int
        Padding, and what ends a sequence.
    """

    kind: ClassVar[str] = "encoder-decoder-classifier"
    backend_class: ClassVar[str] = "TransformerClassifier"

    model_type: str
    encoder: StackConfig
    decoder: StackConfig
    shared_embedding: bool
    task: Literal["text-classification", "question-answering"]
    id2label: dict[int, str]
    problem_type: str | None = None
    decoder_start_token_id: int | None = None
    pad_token_id: int
    eos_token_id: int

    @property
    def max_positions(self) -> int:
        """Longest input, or 0 for no limit."""
        limits = [stack.max_positions for stack in (self.encoder, self.decoder) if stack.max_positions]
        return min(limits, default=0)

    @property
    def num_labels(self) -> int:
        """Number of outputs of the head."""
        return len(self.id2label)

    @property
    def head_dense(self) -> bool:
        """Whether the head has a hidden layer."""
        return self.task == "text-classification"

    def backend_options(self) -> dict[str, Any]:
        """Return what the backends read."""
        return {
            "encoder": self.encoder.options(),
            "decoder": self.decoder.options(),
            "shared_embedding": self.shared_embedding,
            "num_labels": self.num_labels,
            "head_dense": self.head_dense,
        }

    def tensor_shapes(self) -> Shapes:
        """Return the shape of every tensor that the model must have, by name."""
        shapes, size = self.decoder.tensor_shapes("decoder"), self.decoder.hidden_size
        shapes |= self.encoder.tensor_shapes("encoder", embedding=not self.shared_embedding)
        if self.head_dense:
            shapes |= {"head.dense.weight": (size, size), "head.dense.bias": (size,)}
        return shapes | {"head.output.weight": (self.num_labels, size), "head.output.bias": (self.num_labels,)}

    def optional_tensor_shapes(self) -> Shapes:
        """Return the shape of every tensor that the model may have."""
        return {}
