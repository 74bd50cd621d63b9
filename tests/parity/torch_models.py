"""The model families in PyTorch, one sentence at a time, in float64: what fastseq is held to.

Parameters are named as the tensors of a model folder, so `load_state_dict` is the export read backwards.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastseq.models import RecurrentSeq2SeqConfig, Seq2SeqConfig, TransformerSeq2SeqConfig

torch.set_num_threads(1)  # the networks are tiny

Floats = NDArray[np.float64]


class TorchRecurrent(nn.Module):
    def __init__(self, config: RecurrentSeq2SeqConfig) -> None:
        super().__init__()
        c = self.config = config
        hidden, memory = c.decoder_hidden_size, c.memory_size
        kind = {"rnn_tanh": nn.RNN, "rnn_relu": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[c.cell]
        options = {"nonlinearity": c.cell.removeprefix("rnn_")} if kind is nn.RNN else {}
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.encoder.embedding = nn.Embedding(c.source_vocab_size, c.source_embedding_size)
        self.encoder.rnn = kind(
            c.source_embedding_size,
            c.encoder_hidden_size,
            c.encoder_num_layers,
            bidirectional=c.encoder_bidirectional,
            **options,
        )
        self.decoder.embedding = nn.Embedding(c.target_vocab_size, c.target_embedding_size)
        width = c.target_embedding_size + (hidden if c.input_feeding else 0)
        self.decoder.rnn = kind(width, hidden, c.decoder_num_layers, **options)
        if c.bridge == "dense":
            self.bridge = nn.Module()
            for name in ("h", "c") if c.cell == "lstm" else ("h",):
                layers = nn.ModuleList(nn.Linear(memory, hidden) for _ in range(c.decoder_num_layers))
                setattr(self.bridge, name, layers)
        if c.attention == "general":
            self.attention = nn.Linear(memory, hidden, bias=False)
        elif c.attention != "none":
            self.attention = nn.Module()
        if c.attention == "additive":
            size = c.attention_size
            assert size is not None
            self.attention.query = nn.Linear(hidden, size, bias=False)
            self.attention.key = nn.Linear(memory, size, bias=False)
            self.attention.bias = nn.Parameter(torch.zeros(size))
            self.attention.score = nn.Linear(size, 1, bias=False)
        if c.attends:
            self.attention.combine = nn.Linear(memory + hidden, hidden)
        self.output = nn.Linear(hidden, c.target_vocab_size)

    def encode(self, source: Tensor) -> Tensor:
        return self.encoder.rnn(self.encoder.embedding(source))[0]

    def start(self, name: str, states: Tensor) -> Tensor:
        c = self.config
        if c.bridge == "zero":
            return torch.zeros(c.decoder_num_layers, c.decoder_hidden_size, dtype=states.dtype)
        joined = states.reshape(c.encoder_num_layers, c.memory_size)[: c.decoder_num_layers]
        if c.bridge == "copy":
            return joined.contiguous()
        return torch.stack([torch.tanh(f(h)) for f, h in zip(getattr(self.bridge, name), joined, strict=True)])

    def attend(self, hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.attention == "additive":
            inner = self.attention.query(hidden) + self.attention.key(memory) + self.attention.bias
            scores = self.attention.score(torch.tanh(inner))[:, 0]
        elif self.config.attention == "general":
            scores = self.attention(memory) @ hidden
        else:
            scores = memory @ hidden
        weights = torch.softmax(scores, 0)
        return weights @ memory, weights

    def decode(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        memory, states = self.encoder.rnn(self.encoder.embedding(source))
        lstm = isinstance(states, tuple)
        state = (self.start("h", states[0]), self.start("c", states[1])) if lstm else self.start("h", states)
        attentional = torch.zeros(self.config.decoder_hidden_size, dtype=memory.dtype)
        logits, attention = [], []
        for token in target:
            x = self.decoder.embedding(token)
            if self.config.input_feeding:
                x = torch.cat((x, attentional))
            out, state = self.decoder.rnn(x[None], state)
            attentional = out[0]
            if self.config.attends:
                context, weights = self.attend(out[0], memory)
                attentional = torch.tanh(self.attention.combine(torch.cat((context, out[0]))))
                attention.append(weights)
            logits.append(self.output(attentional))
        return torch.stack(logits), torch.stack(attention) if attention else None


class TorchTransformer(nn.Module):
    def __init__(self, config: TransformerSeq2SeqConfig) -> None:
        super().__init__()
        c = self.config = config
        size = c.hidden_size
        options: dict[str, Any] = {
            "d_model": size,
            "nhead": c.num_heads,
            "dim_feedforward": c.intermediate_size,
            "dropout": 0.0,
            "activation": {"relu": "relu", "gelu": "gelu", "silu": nn.functional.silu}[c.activation],
            "layer_norm_eps": c.layer_norm_eps,
            "batch_first": True,
            "norm_first": c.norm_first,
        }

        def norm() -> nn.LayerNorm | None:
            return nn.LayerNorm(size, c.layer_norm_eps) if c.norm_first else None

        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**options), c.encoder_num_layers, norm(), enable_nested_tensor=False
        )
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**options), c.decoder_num_layers, norm())
        for part, vocab_size in ((self.encoder, c.source_vocab_size), (self.decoder, c.target_vocab_size)):
            part.embedding = nn.Embedding(vocab_size, size)
            if c.max_positions is not None:
                part.positions = nn.Embedding(c.max_positions, size)
        self.output = nn.Linear(size, c.target_vocab_size)
        if c.tie_output:
            self.output.weight = self.decoder.embedding.weight

    def embed(self, part: Any, ids: Tensor) -> Tensor:
        size = self.config.hidden_size
        x = part.embedding(ids) * (math.sqrt(size) if self.config.scale_embedding else 1.0)
        if self.config.positions == "learned":
            return (x + part.positions.weight[: len(ids)])[None]
        table = [[t / 10000 ** (2 * (i // 2) / size) for i in range(size)] for t in range(len(ids))]
        waves = [[math.cos(a) if i % 2 else math.sin(a) for i, a in enumerate(row)] for row in table]
        return (x + torch.tensor(waves, dtype=x.dtype).reshape(x.shape))[None]

    def encode(self, source: Tensor) -> Tensor:
        return self.encoder(self.embed(self.encoder, source))[0]

    def decode(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        memory = self.encode(source)[None]
        seen: list[Tensor] = []
        attention = self.decoder.layers[-1].multihead_attn
        hook = attention.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
        mask = nn.Transformer.generate_square_subsequent_mask(len(target), dtype=memory.dtype)
        x = self.decoder(self.embed(self.decoder, target), memory, tgt_mask=mask, tgt_is_causal=True)
        hook.remove()
        weights = attention(seen[0], memory, memory, need_weights=True, average_attn_weights=True)[1]
        return self.output(x)[0], weights[0]


class TorchModel:
    """NumPy in and out."""

    def __init__(self, config: Seq2SeqConfig, tensors: dict[str, Any]) -> None:
        recurrent = isinstance(config, RecurrentSeq2SeqConfig)
        self.network = (TorchRecurrent(config) if recurrent else TorchTransformer(config)).double().eval()
        state = {name: torch.tensor(array, dtype=torch.float64) for name, array in tensors.items()}
        if getattr(config, "tie_output", False):
            state["output.weight"] = state["decoder.embedding.weight"]
        self.network.load_state_dict(state)

    @torch.no_grad()
    def encode(self, source: list[int]) -> Floats:
        return self.network.encode(torch.tensor(source)).numpy()

    @torch.no_grad()
    def decode(self, source: list[int], target: list[int]) -> tuple[Floats, Floats | None]:
        logits, attention = self.network.decode(torch.tensor(source), torch.tensor(target))
        return logits.numpy(), None if attention is None else attention.numpy()
