"""The configuration of Transformer encoder-decoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from fastseq.models.config import Seq2SeqConfig

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

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model must have, by name."""
        size = self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "encoder.embedding.weight": (self.source_vocab_size, size),
            "decoder.embedding.weight": (self.target_vocab_size, size),
        }
        for part, count in (("encoder", self.encoder_num_layers), ("decoder", self.decoder_num_layers)):
            attentions = ("self_attn", "multihead_attn") if part == "decoder" else ("self_attn",)
            if self.max_positions is not None:
                shapes[f"{part}.positions.weight"] = (self.max_positions, size)
            for layer in range(count):
                shapes |= self._layer_shapes(f"{part}.layers.{layer}", attentions)
            if self.norm_first:
                shapes |= {f"{part}.norm.weight": (size,), f"{part}.norm.bias": (size,)}
        if not self.tie_output:
            shapes["output.weight"] = (self.target_vocab_size, size)
        return shapes

    def optional_tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model may have: the bias of the output layer."""
        return {"output.bias": (self.target_vocab_size,)}

    def _layer_shapes(self, name: str, attentions: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
        size, inner = self.hidden_size, self.intermediate_size
        shapes: dict[str, tuple[int, ...]] = {}
        for attention in attentions:
            shapes[f"{name}.{attention}.in_proj_weight"] = (3 * size, size)
            shapes[f"{name}.{attention}.in_proj_bias"] = (3 * size,)
            shapes[f"{name}.{attention}.out_proj.weight"] = (size, size)
            shapes[f"{name}.{attention}.out_proj.bias"] = (size,)
        shapes |= {f"{name}.linear1.weight": (inner, size), f"{name}.linear1.bias": (inner,)}
        shapes |= {f"{name}.linear2.weight": (size, inner), f"{name}.linear2.bias": (size,)}
        for norm in range(1, len(attentions) + 2):  # one for each attention, one for the feed-forward part
            shapes |= {f"{name}.norm{norm}.weight": (size,), f"{name}.norm{norm}.bias": (size,)}
        return shapes
