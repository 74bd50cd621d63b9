"""The three networks in PyTorch, with the tensor names of fastseq's model folders.

Every batch has sources of one length, so no source is padded; targets are padded at the end,
where a causal decoder cannot see it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

CONFIGS: dict[str, dict[str, Any]] = {
    "rnn": {
        "model_type": "recurrent_seq2seq",
        "cell": "rnn_tanh",
        "source_embedding_size": 128,
        "target_embedding_size": 128,
        "encoder_hidden_size": 256,
        "encoder_num_layers": 2,
        "encoder_bidirectional": True,
        "decoder_hidden_size": 512,
        "decoder_num_layers": 2,
        "bridge": "copy",
        "attention": "none",
        "input_feeding": False,
    },
    "lstm": {
        "model_type": "recurrent_seq2seq",
        "cell": "lstm",
        "source_embedding_size": 128,
        "target_embedding_size": 128,
        "encoder_hidden_size": 128,
        "encoder_num_layers": 2,
        "encoder_bidirectional": True,
        "decoder_hidden_size": 256,
        "decoder_num_layers": 2,
        "bridge": "copy",
        "attention": "general",
        "input_feeding": False,
    },
    "transformer": {
        "model_type": "transformer_seq2seq",
        "hidden_size": 192,
        "num_heads": 4,
        "intermediate_size": 384,
        "encoder_num_layers": 3,
        "decoder_num_layers": 2,
        "activation": "relu",
        "norm_first": True,
        "positions": "sinusoidal",
        "scale_embedding": True,
        "tie_output": True,
    },
}


class RecurrentNetwork(nn.Module):
    """RNN/LSTM/GRU encoder, decoder of the same cell, Luong attention (Luong et al., 2015)."""

    def __init__(self, config: dict[str, Any], dropout: float) -> None:
        super().__init__()
        cell = {"rnn_tanh": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[config["cell"]]
        hidden = config["decoder_hidden_size"]
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.Module()
        self.encoder.embedding = nn.Embedding(config["source_vocab_size"], config["source_embedding_size"])
        self.encoder.rnn = cell(
            config["source_embedding_size"],
            config["encoder_hidden_size"],
            config["encoder_num_layers"],
            batch_first=True,
            dropout=dropout,
            bidirectional=config["encoder_bidirectional"],
        )
        self.decoder = nn.Module()
        self.decoder.embedding = nn.Embedding(config["target_vocab_size"], config["target_embedding_size"])
        self.decoder.rnn = cell(
            config["target_embedding_size"], hidden, config["decoder_num_layers"], batch_first=True, dropout=dropout
        )
        self.attends = config["attention"] == "general"
        if self.attends:
            width = config["encoder_hidden_size"] * (1 + config["encoder_bidirectional"])
            self.attention = nn.Linear(width, hidden, bias=False)
            self.attention.combine = nn.Linear(width + hidden, hidden)
        self.output = nn.Linear(hidden, config["target_vocab_size"])

    def encode(self, source: Tensor) -> tuple[Tensor, Any]:
        memory, state = self.encoder.rnn(self.dropout(self.encoder.embedding(source)))

        def bridge(h: Tensor) -> Tensor:
            # (layers * directions, B, H) -> (layers, B, directions * H)
            layers = self.decoder.rnn.num_layers
            return h.view(layers, -1, *h.shape[1:]).transpose(1, 2).flatten(2).contiguous()

        state = tuple(bridge(h) for h in state) if isinstance(state, tuple) else bridge(state)
        return self.dropout(memory), state

    def decode(self, target: Tensor, memory: Tensor, state: Any) -> tuple[Tensor, Any]:
        hidden, state = self.decoder.rnn(self.dropout(self.decoder.embedding(target)), state)
        if self.attends:
            weights = (hidden @ self.attention(memory).transpose(1, 2)).softmax(-1)
            hidden = torch.tanh(self.attention.combine(torch.cat((weights @ memory, hidden), -1)))
        return self.output(self.dropout(hidden)), state

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.decode(target, *self.encode(source))[0]


def sinusoids(length: int, size: int) -> Tensor:
    """Position p, pair i: sin and cos of p / 10000^(2i/size), interleaved (Vaswani et al., 2017)."""
    angles = torch.arange(length)[:, None] * torch.exp(torch.arange(0, size, 2) * (-math.log(10000.0) / size))
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(1)


class TransformerNetwork(nn.Module):
    """Encoder-decoder Transformer with tied target embeddings."""

    positions: Tensor

    def __init__(self, config: dict[str, Any], dropout: float) -> None:
        super().__init__()
        size = config["hidden_size"]
        options = {
            "d_model": size,
            "nhead": config["num_heads"],
            "dim_feedforward": config["intermediate_size"],
            "dropout": dropout,
            "activation": config["activation"],
            "batch_first": True,
            "norm_first": config["norm_first"],
        }
        self.scale = math.sqrt(size)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("positions", sinusoids(64, size), persistent=False)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**options),
            config["encoder_num_layers"],
            nn.LayerNorm(size),
            enable_nested_tensor=False,
        )
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**options), config["decoder_num_layers"], nn.LayerNorm(size)
        )
        for part, vocab_size in ((self.encoder, "source_vocab_size"), (self.decoder, "target_vocab_size")):
            part.embedding = nn.Embedding(config[vocab_size], size)
            nn.init.normal_(part.embedding.weight, std=size**-0.5)
        for parameter in self.parameters():
            if parameter.dim() > 1 and parameter.shape[0] % size == 0:
                nn.init.xavier_uniform_(parameter)

    def embed(self, embedding: nn.Embedding, ids: Tensor) -> Tensor:
        return self.dropout(embedding(ids) * self.scale + self.positions[: ids.shape[1]])

    def encode(self, source: Tensor) -> tuple[Tensor, None]:
        return self.encoder(self.embed(self.encoder.embedding, source)), None

    def decode(self, target: Tensor, memory: Tensor, _state: Any = None) -> tuple[Tensor, None]:
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        hidden = self.decoder(self.embed(self.decoder.embedding, target), memory, tgt_mask=mask, tgt_is_causal=True)
        return hidden @ self.decoder.embedding.weight.T, None

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.decode(target, *self.encode(source))[0]


def build(config: dict[str, Any], dropout: float) -> nn.Module:
    network = RecurrentNetwork if config["model_type"] == "recurrent_seq2seq" else TransformerNetwork
    return network(config, dropout)
