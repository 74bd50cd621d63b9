"""The classifier in PyTorch, with the tensor names of fastseq's `recurrent_classifier`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

CONFIG: dict[str, Any] = {
    "model_type": "recurrent_classifier",
    "embedding_size": 128,
    "cell": "lstm",
    "hidden_size": 128,
    "num_layers": 1,
    "bidirectional": True,
    "pooling": "attention",
    "attention_size": 64,
}


class RecurrentClassifier(nn.Module):
    """Embedding, recurrent layers in both directions, pooling over the words, a linear layer.

    Attention pooling (Yang et al., 2016): the sum of the states h_t weighted by softmax_t(v . tanh(W h_t + b)).
    """

    def __init__(self, config: dict[str, Any], dropout: float = 0.0, word_dropout: float = 0.0) -> None:
        super().__init__()
        cells = {"rnn_tanh": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
        self.pooling = config["pooling"]
        self.word_dropout = word_dropout
        self.dropout = nn.Dropout(dropout)
        self.embedding = nn.Embedding(config["vocab_size"], config["embedding_size"])
        self.rnn = cells[config["cell"]](
            config["embedding_size"],
            config["hidden_size"],
            config["num_layers"],
            batch_first=True,
            dropout=dropout if config["num_layers"] > 1 else 0.0,
            bidirectional=config["bidirectional"],
        )
        width = config["hidden_size"] * (2 if config["bidirectional"] else 1)
        if self.pooling == "attention":
            self.attention = nn.Linear(width, config["attention_size"])
            self.attention.score = nn.Linear(config["attention_size"], 1, bias=False)
        self.output = nn.Linear(width, len(config["labels"]))

    def forward(self, sentences: list[Tensor], unknown: int = 0) -> Tensor:
        """Logits (B, L) of sentences of ids, each (T,) with T > 0."""
        if self.training and self.word_dropout > 0:
            sentences = [
                torch.where(torch.rand(len(ids)) < self.word_dropout, torch.full_like(ids, unknown), ids)
                for ids in sentences
            ]
        packed = pack_sequence([self.dropout(self.embedding(ids)) for ids in sentences], enforce_sorted=False)
        output, state = self.rnn(packed)
        states, lengths = pad_packed_sequence(output, batch_first=True)
        return self.output(self.dropout(self.pool(states, lengths, state)))

    def pool(self, states: Tensor, lengths: Tensor, last: Any) -> Tensor:
        padding = torch.arange(states.shape[1]) >= lengths[:, None]  # (B, T)
        if self.pooling == "attention":
            scores = self.attention.score(torch.tanh(self.attention(states)))[..., 0]
            weights = scores.masked_fill(padding, -torch.inf).softmax(1)
            return (weights[:, None] @ states)[:, 0]
        if self.pooling == "max":
            return states.masked_fill(padding[..., None], -torch.inf).amax(1)
        if self.pooling == "mean":
            return states.masked_fill(padding[..., None], 0).sum(1) / lengths[:, None]
        hidden = last[0] if isinstance(last, tuple) else last
        directions = 2 if self.rnn.bidirectional else 1
        return hidden[-directions:].transpose(0, 1).flatten(1)
