"""The configuration of Transformer encoder-decoders."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from fastseq.models.config import Seq2SeqConfig
from fastseq.models.kinds import output_options
from fastseq.models.stack import StackConfig

__all__ = ["TransformerSeq2SeqConfig"]


@dataclass(frozen=True, kw_only=True)
class TransformerSeq2SeqConfig(Seq2SeqConfig):
    """Transformer encoder and decoder (Vaswani et al., 2017).

    Parameters
    ----------
    hidden_size, num_heads, intermediate_size : int
        Width, number of heads (a divisor of the width), width inside the feed-forward parts.
    encoder_num_layers, decoder_num_layers : int
    activation : {"relu", "gelu", "silu"}
        Of the feed-forward parts; "gelu" is the exact one.
    norm_first : bool
        Whether each part's layer norm comes before it, with one more at the end, or after its residual sum.
    positions : {"sinusoidal", "learned"}
        Sinusoids with sines and cosines interleaved, or a table of `max_positions` for each side.
    max_positions : int, optional
        For learned positions only.
    scale_embedding : bool
        Whether embeddings are multiplied by the square root of `hidden_size`.
    tie_output : bool
        Whether the output layer's weight is the decoder's embedding.
    layer_norm_eps : float, default 1e-5
    decoder_history : {"attention", "ssru"}, default "attention"
        How the decoder knows what it has read: self-attention, or SSRU cells (Kim et al., 2019).

    Raises
    ------
    ValueError
        If any field is wrong, naming all of them, or fields disagree.

    Examples
    --------
    >>> config = TransformerSeq2SeqConfig(
    ...     source_vocab_size=30, target_vocab_size=72, pad_token_id=0, bos_token_id=1, eos_token_id=2, hidden_size=64,
    ...     num_heads=4, intermediate_size=128, encoder_num_layers=2, decoder_num_layers=2, activation="relu",
    ...     norm_first=True, positions="sinusoidal", scale_embedding=True, tie_output=True)
    >>> config.tensor_shapes()["decoder.layers.1.multihead_attn.in_proj_weight"]
    (192, 64)
    """

    model_type: ClassVar[str] = "transformer_seq2seq"
    backend_class: ClassVar[str] = "TransformerSeq2Seq"

    hidden_size: int
    num_heads: int
    intermediate_size: int
    encoder_num_layers: int
    decoder_num_layers: int
    activation: Literal["relu", "gelu", "silu"]
    norm_first: bool
    positions: Literal["sinusoidal", "learned"]
    max_positions: int | None = None
    scale_embedding: bool
    tie_output: bool
    layer_norm_eps: float = 1e-5
    decoder_history: Literal["attention", "ssru"] = "attention"

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements()
        if self.hidden_size % self.num_heads:
            problems.append(f"num_heads is {self.num_heads}; expected a divisor of hidden_size = {self.hidden_size}")
        if (self.positions == "learned") != (self.max_positions is not None):
            wanted = "a number" if self.positions == "learned" else "none"
            problems.append(f"max_positions is {self.max_positions}; positions {self.positions!r} needs {wanted}")
        return problems

    @property
    def memory_size(self) -> int:
        """Width of the encoder's output."""
        return self.hidden_size

    @property
    def attends(self) -> bool:
        """Whether the decoder has attention on the source."""
        return True

    @property
    def position_limit(self) -> int | None:
        """Longest source and longest decoder input, or None for no limit."""
        return self.max_positions

    def backend_options(self) -> dict[str, Any]:
        """Return what the backends read: this model as one of many Transformers."""
        stacks = {part: self._stack(part) for part in ("encoder", "decoder")}
        return {part: stack.options() for part, stack in stacks.items()} | {
            "shared_embedding": False,
            "memory_projection": False,
            **output_options(self.tie_output),
        }

    def _stack(self, part: Literal["encoder", "decoder"]) -> StackConfig:
        is_encoder = part == "encoder"
        head_size = self.hidden_size // self.num_heads
        return StackConfig(
            vocab_size=self.source_vocab_size if is_encoder else self.target_vocab_size,
            hidden_size=self.hidden_size,
            layers=tuple(range(self.encoder_num_layers if is_encoder else self.decoder_num_layers)),
            num_heads=self.num_heads,
            head_size=head_size,
            intermediate_size=self.intermediate_size,
            activation=self.activation,
            norm="layer",
            norm_eps=self.layer_norm_eps,
            norm_first=self.norm_first,
            final_norm=self.norm_first,
            embedding_scale=math.sqrt(self.hidden_size) if self.scale_embedding else 1.0,
            positions="table" if self.positions == "learned" else "sinusoidal",
            max_positions=self.max_positions or 0,
            attention_scale=head_size**-0.5,
            cross_attention=not is_encoder,
            ssru=not is_encoder and self.decoder_history == "ssru",
        )

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model must have, by name."""
        shapes = self._stack("encoder").tensor_shapes("encoder") | self._stack("decoder").tensor_shapes("decoder")
        if not self.tie_output:
            shapes["output.weight"] = (self.target_vocab_size, self.hidden_size)
        return shapes

    def optional_tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model may have: the bias of the output layer."""
        return {"output.bias": (self.target_vocab_size,)}
