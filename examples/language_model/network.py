"""The language model in PyTorch, with the tensor names of fastseq's `recurrent_language_model`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class RecurrentLanguageModel(nn.Module):
    """Embedding, recurrent layers, and a linear layer that may share the embedding (Press and Wolf, 2017)."""

    def __init__(self, config: dict[str, Any], dropout: float = 0.0) -> None:
        super().__init__()
        cells = {"rnn_tanh": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
        layers = config["num_layers"]
        self.dropout = nn.Dropout(dropout)
        self.embedding = nn.Embedding(config["vocab_size"], config["embedding_size"])
        self.rnn = cells[config["cell"]](
            config["embedding_size"],
            config["hidden_size"],
            layers,
            batch_first=True,
            dropout=dropout if layers > 1 else 0.0,
        )
        self.output = nn.Linear(config["hidden_size"], config["vocab_size"])
        if config["tie_output"]:
            self.output.weight = self.embedding.weight

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Logits (B, T, V) after each of ids (B, T), and the state behind them."""
        output, state = self.rnn(self.dropout(self.embedding(ids)), state)
        return self.output(self.dropout(output)), state
