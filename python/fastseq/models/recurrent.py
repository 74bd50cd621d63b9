"""The configuration of recurrent encoder-decoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from fastseq._layout import CELL_GATES
from fastseq.models.config import Seq2SeqConfig

__all__ = ["RecurrentSeq2SeqConfig"]


@dataclass(frozen=True, kw_only=True)
class RecurrentSeq2SeqConfig(Seq2SeqConfig):
    """RNN, LSTM or GRU encoder and a decoder of the same cell.

    Parameters
    ----------
    cell : {"rnn_tanh", "rnn_relu", "lstm", "gru"}
    source_embedding_size, target_embedding_size : int
    encoder_hidden_size, encoder_num_layers : int
    encoder_bidirectional : bool
    decoder_hidden_size, decoder_num_layers : int
    bridge : {"copy", "linear", "dense", "zero"}
        What decoder layer l starts from. "copy": the last states of encoder layer l, [forward; reverse]; "linear":
        W [forward; reverse] + b; "dense": the tanh of that; "zero": zeros.
    attention : {"none", "additive", "dot", "general"}
        Bahdanau et al. (2015), or Luong et al. (2015) without and with a matrix.
    attention_size : int, optional
        Width of the hidden layer of additive attention.
    input_feeding : bool
        Whether the decoder also reads its previous attentional state, or without attention its top state.
    combine_activation : {"tanh", "none"}, default "tanh"
        Of the attentional state, W [context; hidden] + b.

    Raises
    ------
    ValueError
        If any field is wrong, naming all of them, or fields disagree.

    Examples
    --------
    >>> config = RecurrentSeq2SeqConfig(
    ...     source_vocab_size=30, target_vocab_size=72, pad_token_id=0, bos_token_id=1, eos_token_id=2, cell="gru",
    ...     source_embedding_size=8, target_embedding_size=8, encoder_hidden_size=16, encoder_num_layers=1,
    ...     encoder_bidirectional=False, decoder_hidden_size=16, decoder_num_layers=1, bridge="copy", attention="dot",
    ...     attention_size=None, input_feeding=False)
    >>> config.tensor_shapes()["decoder.rnn.weight_ih_l0"]
    (48, 8)
    """

    model_type: ClassVar[str] = "recurrent_seq2seq"
    backend_class: ClassVar[str] = "RecurrentSeq2Seq"

    cell: Literal["rnn_tanh", "rnn_relu", "lstm", "gru"]
    source_embedding_size: int
    target_embedding_size: int
    encoder_hidden_size: int
    encoder_num_layers: int
    encoder_bidirectional: bool
    decoder_hidden_size: int
    decoder_num_layers: int
    bridge: Literal["copy", "linear", "dense", "zero"]
    attention: Literal["none", "additive", "dot", "general"]
    attention_size: int | None = None
    input_feeding: bool = False
    combine_activation: Literal["tanh", "none"] = "tanh"

    def _disagreements(self) -> list[str]:
        problems = super()._disagreements()
        width = f"the encoder's width, {self.memory_size}"
        if self.bridge == "copy" and self.decoder_hidden_size != self.memory_size:
            problems.append(f"decoder_hidden_size is {self.decoder_hidden_size}; bridge 'copy' needs {width}")
        if self.bridge != "zero" and self.decoder_num_layers > self.encoder_num_layers:
            problems.append(
                f"decoder_num_layers is {self.decoder_num_layers}; bridge {self.bridge!r} needs at most"
                f" encoder_num_layers = {self.encoder_num_layers}"
            )
        if self.attention == "dot" and self.decoder_hidden_size != self.memory_size:
            problems.append(f"decoder_hidden_size is {self.decoder_hidden_size}; attention 'dot' needs {width}")
        if (self.attention == "additive") != (self.attention_size is not None):
            wanted = "a size" if self.attention == "additive" else "none"
            problems.append(f"attention_size is {self.attention_size}; attention {self.attention!r} needs {wanted}")
        return problems

    @property
    def memory_size(self) -> int:
        """Width of the encoder's output: both directions side by side."""
        return self.encoder_hidden_size * (2 if self.encoder_bidirectional else 1)

    @property
    def attends(self) -> bool:
        """Whether the decoder has attention on the source."""
        return self.attention != "none"

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that the model must have, by name."""
        memory, hidden = self.memory_size, self.decoder_hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "encoder.embedding.weight": (self.source_vocab_size, self.source_embedding_size),
            "decoder.embedding.weight": (self.target_vocab_size, self.target_embedding_size),
        }
        for layer in range(self.encoder_num_layers):
            for direction in ("", "_reverse") if self.encoder_bidirectional else ("",):
                size = memory if layer else self.source_embedding_size
                shapes |= self._layer_shapes(f"encoder.rnn.{{}}_l{layer}{direction}", size, self.encoder_hidden_size)
        first = self.target_embedding_size + (hidden if self.input_feeding else 0)
        for layer in range(self.decoder_num_layers):
            shapes |= self._layer_shapes(f"decoder.rnn.{{}}_l{layer}", hidden if layer else first, hidden)
            for kind in ("h", "c") if self.cell == "lstm" else ("h",):
                if self.bridge in ("linear", "dense"):
                    shapes[f"bridge.{kind}.{layer}.weight"] = (hidden, memory)
                    shapes[f"bridge.{kind}.{layer}.bias"] = (hidden,)
        if self.attention == "general":
            shapes["attention.weight"] = (hidden, memory)
        if self.attention == "additive" and self.attention_size is not None:
            shapes["attention.query.weight"] = (self.attention_size, hidden)
            shapes["attention.key.weight"] = (self.attention_size, memory)
            shapes["attention.bias"] = (self.attention_size,)
            shapes["attention.score.weight"] = (1, self.attention_size)
        if self.attends:
            shapes["attention.combine.weight"] = (hidden, memory + hidden)
            shapes["attention.combine.bias"] = (hidden,)
        shapes["output.weight"] = (self.target_vocab_size, hidden)
        shapes["output.bias"] = (self.target_vocab_size,)
        return shapes

    def _layer_shapes(self, name: str, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        rows = CELL_GATES[self.cell] * hidden_size
        return {
            name.format("weight_ih"): (rows, input_size),
            name.format("weight_hh"): (rows, hidden_size),
            name.format("bias_ih"): (rows,),
            name.format("bias_hh"): (rows,),
        }
