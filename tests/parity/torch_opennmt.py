"""Checkpoints of recurrent models of OpenNMT-py, and the models written down in PyTorch.

From the definitions of OpenNMT-py's RNNEncoder, StdRNNDecoder, InputFeedRNNDecoder and GlobalAttention, in float64.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import nn

SOURCE = ["<unk>", "<blank>", "<s>", "</s>", "a", "b", "c"]
TARGET = ["<unk>", "<blank>", "<s>", "</s>", "x", "y", "z", "w"]
HIDDEN, EMBEDDING = 8, 5
SENTENCES = [([4, 5, 6, 4], [4, 7, 5]), ([6], [5]), ([5, 4, 5, 5, 6, 0], [6, 6, 4, 4, 5, 7])]


def tensors(cell: str, layers: int, bidirectional: bool, feeding: bool, attention: str) -> dict[str, Any]:
    """A state dictionary with OpenNMT-py's names."""
    torch.manual_seed(0)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[cell] * HIDDEN
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.embeddings.make_embedding.emb_luts.0.weight": (len(SOURCE), EMBEDDING),
        "decoder.embeddings.make_embedding.emb_luts.0.weight": (len(TARGET), EMBEDDING),
    }
    half = 2 if bidirectional else 1
    for layer in range(layers):
        for end in ("", "_reverse")[:half]:
            size = HIDDEN if layer else EMBEDDING
            shapes[f"encoder.rnn.weight_ih_l{layer}{end}"] = (gates // half, size)
            shapes[f"encoder.rnn.weight_hh_l{layer}{end}"] = (gates // half, HIDDEN // half)
            shapes[f"encoder.rnn.bias_ih_l{layer}{end}"] = shapes[f"encoder.rnn.bias_hh_l{layer}{end}"] = (
                gates // half,
            )
        size = HIDDEN if layer else EMBEDDING + (HIDDEN if feeding else 0)
        name = f"decoder.rnn.layers.{layer}.{{}}" if feeding else f"decoder.rnn.{{}}_l{layer}"
        shapes[name.format("weight_ih")], shapes[name.format("weight_hh")] = (gates, size), (gates, HIDDEN)
        shapes[name.format("bias_ih")] = shapes[name.format("bias_hh")] = (gates,)
    if attention == "general":
        shapes["decoder.attn.linear_in.weight"] = (HIDDEN, HIDDEN)
    if attention == "mlp":
        shapes["decoder.attn.linear_context.weight"] = shapes["decoder.attn.linear_query.weight"] = (HIDDEN, HIDDEN)
        shapes["decoder.attn.linear_query.bias"] = shapes["decoder.attn.linear_out.bias"] = (HIDDEN,)
        shapes["decoder.attn.v.weight"] = (1, HIDDEN)
    if attention != "none":
        shapes["decoder.attn.linear_out.weight"] = (HIDDEN, 2 * HIDDEN)
    return {name: torch.rand(shape) - 0.5 for name, shape in shapes.items()}


def options(cell: str, layers: int, bidirectional: bool, feeding: bool, attention: str) -> argparse.Namespace:
    return argparse.Namespace(
        model_type="text",
        model_task="seq2seq",
        encoder_type="brnn" if bidirectional else "rnn",
        brnn=bidirectional,
        decoder_type="rnn",
        rnn_type=cell,
        enc_layers=layers,
        dec_layers=layers,
        enc_hid_size=HIDDEN,
        dec_hid_size=HIDDEN,
        input_feed=int(feeding),
        global_attention=attention,
        global_attention_function="softmax",
        coverage_attn=False,
        copy_attn=False,
        copy_attn_type=attention,
        reuse_copy_attn=False,
        context_gate=None,
        bridge=False,
        position_encoding=False,
        dropout=[0.3],
        lora_layers=[],
    )


def checkpoint(path: Path, *kind: Any, **changes: Any) -> Path:
    generator = {"weight": torch.rand(len(TARGET), HIDDEN) - 0.5, "bias": torch.rand(len(TARGET)) - 0.5}
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    values = {
        "model": tensors(*kind),
        "generator": generator,
        "vocab": {"src": SOURCE, "tgt": TARGET, "data_task": "seq2seq", "decoder_start_token": "<s>"},
        "opt": options(*kind),
        "optim": {"training_step": 3, "optimizer": optimizer},
    }
    torch.save(values | changes, path)
    return path


class Written:
    """The model as OpenNMT-py defines it, one sentence at a time, in float64."""

    def __init__(self, values: dict[str, Any], embedding: int = EMBEDDING) -> None:
        self.embedding = embedding
        self.state = {name: tensor.double() for name, tensor in values["model"].items()}
        self.generator = {name: tensor.double() for name, tensor in values["generator"].items()}
        self.opt = values["opt"]

    def rnn(self, prefix: str, **kwargs: Any) -> Any:
        size = kwargs.pop("size", self.embedding)
        module = getattr(nn, self.opt.rnn_type)(
            size, batch_first=True, num_layers=self.opt.enc_layers, **kwargs
        ).double()
        feeding = prefix == "decoder" and self.opt.input_feed
        own = {}
        for name in module.state_dict():
            kind, layer = name.rsplit("_l", 1) if not name.endswith("_reverse") else (name, "")
            own[name] = self.state[f"decoder.rnn.layers.{layer}.{kind}" if feeding else f"{prefix}.rnn.{name}"]
        module.load_state_dict(own)
        return module

    @torch.inference_mode()
    def logits(self, source: list[int], target: list[int]) -> Any:
        opt, lookup = self.opt, "{}.embeddings.make_embedding.emb_luts.0.weight"
        half = 2 if opt.brnn else 1
        encoder = self.rnn("encoder", hidden_size=HIDDEN // half, bidirectional=opt.brnn)
        memory, last = encoder(self.state[lookup.format("encoder")][source][None])

        def fix(h: Any) -> Any:
            return torch.cat([h[0::2], h[1::2]], 2) if opt.brnn else h

        state = tuple(map(fix, last)) if opt.rnn_type == "LSTM" else fix(last)
        embedded = self.state[lookup.format("decoder")][target][None]
        decoder = self.rnn("decoder", size=self.embedding + (HIDDEN if opt.input_feed else 0), hidden_size=HIDDEN)
        feed, outputs = torch.zeros(1, 1, HIDDEN).double(), []
        for t in range(len(target)):
            step = embedded[:, t : t + 1]
            h, state = decoder(torch.cat([step, feed], 2) if opt.input_feed else step, state)
            feed = self.attend(h, memory[0])
            outputs.append(feed[0, 0])
        return torch.stack(outputs) @ self.generator["weight"].T + self.generator["bias"]

    def attend(self, h: Any, memory: Any) -> Any:
        kind, w = self.opt.global_attention, lambda name: self.state[f"decoder.attn.{name}"]
        if kind == "none":
            return h
        query = h[0, 0]
        if kind == "mlp":
            inner = w("linear_query.weight") @ query + w("linear_query.bias") + memory @ w("linear_context.weight").T
            scores = torch.tanh(inner) @ w("v.weight")[0]
        else:
            scores = memory @ (w("linear_in.weight") @ query if kind == "general" else query)
        context = scores.softmax(0) @ memory
        out = w("linear_out.weight") @ torch.cat([context, query])
        return (out + w("linear_out.bias") if kind == "mlp" else torch.tanh(out))[None, None]
