"""The configuration of recurrent encoder-decoders with deep transitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from fastseq.models.config import Seq2SeqConfig

__all__ = ["DeepRecurrentSeq2SeqConfig"]

_Shapes = dict[str, tuple[int, ...]]
_MOST_CELLS = 64


@dataclass(frozen=True, kw_only=True)
class DeepRecurrentSeq2SeqConfig(Seq2SeqConfig):
    """GRU encoder and conditional GRU decoder with additive attention (Sennrich et al., 2017).

    Parameters
    ----------
    embedding_size, hidden_size : int
    encoder_type : {"bidirectional", "alternating", "bi-unidirectional"}
        Two stacks of layers, one of each direction; the same with layers that change the direction; or one layer of
        both directions and forward layers on it.
    encoder_num_layers, decoder_num_layers : int
    encoder_depth : int
        GRU cells in each time step of a layer. The first reads the input, the others only the state.
    decoder_base_depth, decoder_high_depth : int
        The same for the first layer of the decoder, which attends between its first and second cell, and the others.
    skip : bool, default False
        Whether every layer but the first adds its input to its output.

    Raises
    ------
    ValueError
        If any field is wrong, naming all of them, or fields disagree.

    Examples
    --------
    >>> config = DeepRecurrentSeq2SeqConfig(
    ...     source_vocab_size=30, target_vocab_size=72, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    ...     embedding_size=8, hidden_size=16, encoder_type="bidirectional", encoder_num_layers=1, encoder_depth=2,
    ...     decoder_num_layers=1, decoder_base_depth=2, decoder_high_depth=1)
    >>> config.tensor_shapes()["decoder.after.0.weight_ih"]
    (48, 32)
    """

    model_type: ClassVar[str] = "deep_recurrent_seq2seq"
    backend_class: ClassVar[str] = "DeepRecurrentSeq2Seq"

    embedding_size: int
    hidden_size: int
    encoder_type: Literal["bidirectional", "alternating", "bi-unidirectional"]
    encoder_num_layers: int
    encoder_depth: int
    decoder_num_layers: int
    decoder_base_depth: int
    decoder_high_depth: int
    skip: bool = False

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements()
        for name in ("encoder_depth", "decoder_base_depth", "decoder_high_depth"):
            if getattr(self, name) > _MOST_CELLS:
                problems.append(f"{name} is {getattr(self, name)}; expected at most {_MOST_CELLS}")
        if self.decoder_base_depth < 2:
            problems.append(f"decoder_base_depth is {self.decoder_base_depth}; expected 2 or more")
        return problems

    @property
    def _top_layers(self) -> int:
        """Forward layers of the encoder that are on others."""
        return self.encoder_num_layers - 1 if self.encoder_type == "bi-unidirectional" else 0

    @property
    def memory_size(self) -> int:
        """Width of the encoder's output."""
        return self.hidden_size * (1 if self._top_layers else 2)

    @property
    def attends(self) -> bool:
        """Whether the decoder has attention on the source."""
        return True

    def tensor_shapes(self) -> _Shapes:
        """Return the shape of every tensor that the model must have, by name."""
        width, hidden, memory = self.embedding_size, self.hidden_size, self.memory_size
        shapes: _Shapes = {
            "encoder.embedding.weight": (self.source_vocab_size, width),
            "decoder.embedding.weight": (self.target_vocab_size, width),
        }
        for direction in ("forward", "backward"):
            for i in range(self.encoder_num_layers - self._top_layers):
                size = hidden if i else width
                shapes |= self._layer(f"encoder.{direction}.{i}", self.encoder_depth, size)
        for i in range(self._top_layers):
            shapes |= self._layer(f"encoder.top.{i}", self.encoder_depth, hidden if i else 2 * hidden)
        shapes |= self._layer("decoder.before", 1, width)
        shapes |= self._layer("decoder.after", self.decoder_base_depth - 1, memory)
        for i in range(self.decoder_num_layers - 1):
            shapes |= self._layer(f"decoder.high.{i}", self.decoder_high_depth, hidden)
        return shapes | {
            "decoder.start.weight": (hidden, memory),
            "decoder.start.bias": (hidden,),
            "attention.query.weight": (memory, hidden),
            "attention.key.weight": (memory, memory),
            "attention.bias": (memory,),
            "attention.score.weight": (1, memory),
            "decoder.hidden.weight": (width, width + hidden + memory),
            "decoder.hidden.bias": (width,),
            "output.weight": (self.target_vocab_size, width),
            "output.bias": (self.target_vocab_size,),
        }

    def _layer(self, name: str, depth: int, input_size: int) -> _Shapes:
        rows = 3 * self.hidden_size
        shapes: _Shapes = {f"{name}.0.weight_ih": (rows, input_size)}
        for i in range(depth):
            shapes[f"{name}.{i}.weight_hh"] = (rows, self.hidden_size)
            shapes |= {f"{name}.{i}.{kind}": (rows,) for kind in ("bias_ih", "bias_hh")}
        return shapes
