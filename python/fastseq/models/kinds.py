"""The three kinds of Transformer models: encoder-decoder, encoder alone, decoder alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from fastseq.models.stack import Activation, Shapes, StackConfig

__all__ = ["DecoderConfig", "EncoderConfig", "EncoderDecoderConfig", "output_options"]


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderConfig:
    """An encoder, and a decoder that attends to it.

    Parameters
    ----------
    model_type : str
        Of the family, as Hugging Face names it.
    encoder, decoder : StackConfig
    shared_embedding : bool
        Whether the encoder reads the decoder's embedding.
    tie_output : bool
        Whether the output layer's weight is the decoder's embedding.
    output_bias : bool
    logits_scale : float, default 1.0
        Of what the output layer reads.
    output_dense : bool, default False
        Whether a hidden layer of the decoder's width and a norm come before the output layer.
    output_activation : str, default "none"
        Of the hidden layer.
    memory_projection : bool, default False
        Whether the decoder attends to what a dense layer makes of the encoder's output.
    pad_token_id, bos_token_id, eos_token_id : int
        Padding, what the decoder reads first, and what ends a sequence.
    """

    kind: ClassVar[str] = "encoder-decoder"
    backend_class: ClassVar[str] = "TransformerSeq2Seq"

    model_type: str
    encoder: StackConfig
    decoder: StackConfig
    shared_embedding: bool
    tie_output: bool
    output_bias: bool
    logits_scale: float = 1.0
    output_dense: bool = False
    output_activation: Activation = "none"
    memory_projection: bool = False
    pad_token_id: int
    bos_token_id: int
    eos_token_id: int

    @property
    def source_vocab_size(self) -> int:
        """Number of source tokens."""
        return self.encoder.vocab_size

    @property
    def target_vocab_size(self) -> int:
        """Number of target tokens."""
        return self.decoder.vocab_size

    @property
    def memory_size(self) -> int:
        """Width of the encoder's output."""
        return self.encoder.hidden_size

    @property
    def attends(self) -> bool:
        """Whether the decoder has attention on the source."""
        return True

    @property
    def position_limit(self) -> int | None:
        """Longest decoder input, or None for no limit."""
        return self.decoder.max_positions or None

    @property
    def source_position_limit(self) -> int | None:
        """Longest source, or None for no limit."""
        return self.encoder.max_positions or None

    def backend_options(self) -> dict[str, Any]:
        """Return what the backends read."""
        return {
            "encoder": self.encoder.options(),
            "decoder": self.decoder.options(),
            "shared_embedding": self.shared_embedding,
            "memory_projection": self.memory_projection,
        } | output_options(self.tie_output, self.logits_scale, self.output_dense, self.output_activation)

    def tensor_shapes(self) -> Shapes:
        """Return the shape of every tensor that the model must have, by name."""
        shapes = self.decoder.tensor_shapes("decoder")
        shapes |= self.encoder.tensor_shapes("encoder", embedding=not self.shared_embedding)
        if self.memory_projection:
            shapes["memory_projection.weight"] = (self.decoder.hidden_size, self.encoder.hidden_size)
            shapes["memory_projection.bias"] = (self.decoder.hidden_size,)
        return shapes | _output_shapes(self.decoder, self.tie_output, self.output_bias, self.output_dense)

    def optional_tensor_shapes(self) -> Shapes:
        """Return the shape of every tensor that the model may have."""
        return {}


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """A decoder that continues what it is given.

    Parameters
    ----------
    model_type : str
        Of the family, as Hugging Face names it.
    decoder : StackConfig
    tie_output : bool
        Whether the output layer's weight is the embedding.
    bos_token_id, eos_token_id : int
        What stands for an empty prompt, and what ends a sequence.
    """

    kind: ClassVar[str] = "decoder"
    backend_class: ClassVar[str] = "TransformerLanguageModel"

    model_type: str
    decoder: StackConfig
    tie_output: bool
    bos_token_id: int
    eos_token_id: int

    @property
    def position_limit(self) -> int | None:
        """Most tokens that are read, or None for no limit."""
        return self.decoder.max_positions or None

    def backend_options(self) -> dict[str, Any]:
        """Return what the backends read."""
        return {"decoder": self.decoder.options()} | output_options(self.tie_output)

    def tensor_shapes(self) -> Shapes:
        """Return the shape of every tensor that the model must have, by name."""
        return self.decoder.tensor_shapes("decoder") | _output_shapes(self.decoder, self.tie_output, False, False)

    def optional_tensor_shapes(self) -> Shapes:
        """Return the shape of every tensor that the model may have."""
        return {}


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """An encoder, and perhaps a head.

    Parameters
    ----------
    model_type : str
        Of the family, as Hugging Face names it.
    encoder : StackConfig
    task : str
        "feature-extraction", "text-classification", "token-classification" or "question-answering".
    id2label : dict of int to str
        Names of the outputs of the head; empty without one.
    problem_type : str, optional
        "single_label_classification", "multi_label_classification" or "regression", if the folder says it.
    head_dense : bool, default False
        Whether the head has a hidden layer.
    head_activation : str, default "none"
        Of the hidden layer.
    head_bias : bool, default True
        Whether the hidden layer has one.
    head_norm : bool, default False
        Whether a norm comes behind it.
    pooling : {"first", "mean"}, default "first"
        What text-classification sees of a sequence: its first token, or the mean of all.
    pad_token_id : int, optional
    """

    kind: ClassVar[str] = "encoder"
    backend_class: ClassVar[str] = "TransformerEncoder"

    model_type: str
    encoder: StackConfig
    task: str
    id2label: dict[int, str]
    problem_type: str | None = None
    head_dense: bool = False
    head_activation: Activation = "none"
    head_bias: bool = True
    head_norm: bool = False
    pooling: Literal["first", "mean"] = "first"
    pad_token_id: int | None = None

    @property
    def max_positions(self) -> int:
        """Longest input, or 0 for no limit."""
        return self.encoder.max_positions

    @property
    def num_labels(self) -> int:
        """Number of outputs of the head."""
        return len(self.id2label)

    @property
    def hidden_size(self) -> int:
        """Width of the encoder's output."""
        return self.encoder.hidden_size

    def backend_options(self) -> dict[str, Any]:
        """Return what the backends read."""
        return {
            "encoder": self.encoder.options(),
            "num_labels": self.num_labels,
            "pooling": self.pooling if self.task == "text-classification" else "none",
            "head_dense": self.head_dense,
            "head_norm": self.head_norm,
            "head_activation": self.head_activation,
        }

    def tensor_shapes(self) -> Shapes:
        """Return the shape of every tensor that the model must have, by name."""
        shapes, size = self.encoder.tensor_shapes("encoder"), self.encoder.hidden_size
        if self.head_dense:
            shapes |= {"head.dense.weight": (size, size)} | ({"head.dense.bias": (size,)} if self.head_bias else {})
        if self.head_norm:
            shapes |= self.encoder.norm_shapes("head.norm", size)
        if self.num_labels:
            shapes |= {"head.output.weight": (self.num_labels, size), "head.output.bias": (self.num_labels,)}
        return shapes

    def optional_tensor_shapes(self) -> Shapes:
        """Return the shape of every tensor that the model may have."""
        return {}


def output_options(
    tied: bool, scale: float = 1.0, dense: bool = False, activation: Activation = "none"
) -> dict[str, Any]:
    """Return what the backends read about the output layer."""
    return {"tie_output": tied, "logits_scale": scale, "output_dense": dense, "output_activation": activation}


def _output_shapes(decoder: StackConfig, tied: bool, bias: bool, dense: bool) -> Shapes:
    shapes: Shapes = {}
    if dense:
        size = decoder.hidden_size
        shapes = {"output.dense.weight": (size, size), "output.dense.bias": (size,)}
        shapes |= decoder.norm_shapes("output.norm", size)
    if not tied:
        shapes["output.weight"] = (decoder.vocab_size, decoder.hidden_size)
    if bias:
        shapes["output.bias"] = (decoder.vocab_size,)
    return shapes
