"""The configuration of recurrent encoder-decoders with deep transitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from fastseq._layout import MULTIPLICATIVE, TRANSITION_GATES
from fastseq.models.config import Seq2SeqConfig

__all__ = ["DeepRecurrentSeq2SeqConfig"]

TransitionKind: TypeAlias = Literal[
    "gru", "lstm", "rnn_tanh", "rnn_relu", "gru_nematus", "multiplicative_lstm", "multiplicative_gru"
]
_Shapes = dict[str, tuple[int, ...]]
_MOST_CELLS = 64


@dataclass(frozen=True, kw_only=True)
class DeepRecurrentSeq2SeqConfig(Seq2SeqConfig):
    """Recurrent encoder and conditional recurrent decoder with additive attention (Sennrich et al., 2017).

    Parameters
    ----------
    embedding_size, hidden_size : int
    encoder_type : {"bidirectional", "alternating", "bi-unidirectional"}
        Two stacks of layers, one of each direction; the same with layers that change the direction; or one layer of
        both directions and forward layers on it.
    encoder_num_layers, decoder_num_layers : int
    encoder_depth : int
        Cells in each time step of a layer. The first reads the input, the others only the state.
    decoder_base_depth, decoder_high_depth : int
        The same for the first layer of the decoder, which attends between its first and second cell, and the others.
    encoder_cell, decoder_cell : str, default "gru"
        "gru", "lstm", "rnn_tanh" or "rnn_relu"; "multiplicative_lstm" or "multiplicative_gru" (Krause et al., 2016),
        which need input in every cell; "gru_nematus", whose layer norms are of two gates together and of the candidate
        alone, with biases inside.
    layer_norm : bool, default False
        Whether the products of the cells, the attention, the decoder's first state and the layer before the last are
        normalised (Ba et al., 2016).
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
    encoder_cell: TransitionKind = "gru"
    decoder_cell: TransitionKind = "gru"
    layer_norm: bool = False
    skip: bool = False

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements()
        for name in ("encoder_depth", "decoder_base_depth", "decoder_high_depth"):
            if getattr(self, name) > _MOST_CELLS:
                problems.append(f"{name} is {getattr(self, name)}; expected at most {_MOST_CELLS}")
        if self.decoder_base_depth < 2:
            problems.append(f"decoder_base_depth is {self.decoder_base_depth}; expected 2 or more")
        depths = {"encoder_cell": {"encoder_depth": 1}, "decoder_cell": {"decoder_base_depth": 2}}
        if self.decoder_num_layers > 1:
            depths["decoder_cell"]["decoder_high_depth"] = 1
        for field, most in depths.items():
            if getattr(self, field) not in MULTIPLICATIVE:
                continue
            problems += [
                f"{depth} is {getattr(self, depth)}; {field} {getattr(self, field)!r} needs {number}: all cells read"
                for depth, number in most.items()
                if getattr(self, depth) > number
            ]
        if not self.layer_norm:
            problems += [
                f"{field} is 'gru_nematus' without layer_norm; expected 'gru', which is the same then"
                for field in depths
                if getattr(self, field) == "gru_nematus"
            ]
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
                shapes |= self._layer(f"encoder.{direction}.{i}", self.encoder_cell, self.encoder_depth, size)
        for i in range(self._top_layers):
            size = hidden if i else 2 * hidden
            shapes |= self._layer(f"encoder.top.{i}", self.encoder_cell, self.encoder_depth, size)
        shapes |= self._layer("decoder.before", self.decoder_cell, 1, width)
        shapes |= self._layer("decoder.after", self.decoder_cell, self.decoder_base_depth - 1, memory)
        for i in range(self.decoder_num_layers - 1):
            shapes |= self._layer(f"decoder.high.{i}", self.decoder_cell, self.decoder_high_depth, hidden)
        dense = {"decoder.start": (hidden, memory), "attention.query": (memory, hidden)}
        dense |= {"attention.key": (memory, memory)}
        parts = {"word": width, "state": hidden, "context": memory}
        if self.layer_norm:
            dense |= {f"decoder.hidden.{part}": (width, size) for part, size in parts.items()}
            shapes |= {f"{name}.norm": shape[:1] for name, shape in dense.items()}
        else:
            dense["decoder.hidden"] = (width, sum(parts.values()))
        shapes |= {f"{name}.weight": shape for name, shape in dense.items()}
        return shapes | {
            "decoder.start.bias": (hidden,),
            "attention.bias": (memory,),
            "attention.score.weight": (1, memory),
            "decoder.hidden.bias": (width,),
            "output.weight": (self.target_vocab_size, width),
            "output.bias": (self.target_vocab_size,),
        }

    def _layer(self, name: str, kind: TransitionKind, depth: int, input_size: int) -> _Shapes:
        shapes: _Shapes = {}
        for i in range(depth):
            shapes |= self._cell(f"{name}.{i}", kind, input_size if i == 0 else 0)
        return shapes

    def _cell(self, name: str, kind: TransitionKind, input_size: int) -> _Shapes:
        hidden, rows = self.hidden_size, TRANSITION_GATES[kind] * self.hidden_size
        weights = {"ih": (rows, input_size), "hh": (rows, hidden)}
        vectors = {f"bias_{end}": rows for end in weights}
        if input_size == 0:
            del weights["ih"]
        if kind == "gru_nematus":
            vectors |= {f"offset_{end}": rows for end in weights}
        if kind in MULTIPLICATIVE:
            weights |= {"mx": (hidden, input_size), "mh": (hidden, hidden)}
            vectors |= {f"offset_{end}": hidden for end in ("mx", "mh")}
        if self.layer_norm:
            vectors |= {f"norm_{end}": shape[0] for end, shape in weights.items()}
        shapes: _Shapes = {f"{name}.weight_{end}": shape for end, shape in weights.items()}
        return shapes | {f"{name}.{kind}": (size,) for kind, size in vectors.items()}
