"""Transformers of Marian, written down in PyTorch from their definition, and files that hold them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

HIDDEN, INNER, HEADS, VOCAB = 12, 20, 3, (9, 7)
OPTIONS = {
    "type": "transformer",
    "dim-emb": HIDDEN,
    "dim-vocabs": list(VOCAB),
    "enc-depth": 2,
    "dec-depth": 2,
    "transformer-dim-ffn": INNER,
    "transformer-heads": HEADS,
    "transformer-ffn-activation": "swish",
    "transformer-ffn-depth": 2,
    "transformer-preprocess": "",
    "transformer-postprocess": "dan",
    "transformer-postprocess-top": "",
    "transformer-decoder-autoreg": "self-attention",
    "transformer-tied-layers": [],
    "tied-embeddings-all": False,
    "tied-embeddings": False,
    "version": "v1.12.0 abc",
}


def yaml_of(options: dict[str, Any]) -> str:
    """As yaml-cpp writes it."""
    lines = []
    for name, value in options.items():
        if isinstance(value, list):
            lines += [f"{name}:", *(f"  - {item}" for item in value)] if value else [f"{name}: []"]
        else:
            shown = str(value).lower() if isinstance(value, bool) else value
            lines.append(f'{name}: "{shown}"' if value == "" else f"{name}: {shown}")
    return "\n".join(lines) + "\n"


def tensors(options: dict[str, Any]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    source, target = options["dim-vocabs"]
    shapes: dict[str, tuple[int, ...]] = {"decoder_ff_logit_out_b": (1, target)}
    if options["tied-embeddings-all"]:
        shapes["Wemb"] = (source, HIDDEN)
    else:
        shapes |= {"encoder_Wemb": (source, HIDDEN), "decoder_Wemb": (target, HIDDEN)}
        if not options["tied-embeddings"]:
            shapes["decoder_ff_logit_out_W"] = (HIDDEN, target)
    pre = options["transformer-preprocess"] == "n"
    for part, depth in (("encoder", options["enc-depth"]), ("decoder", options["dec-depth"])):
        for i in range(1, depth + 1):
            norms = [f"{part}_l{i}_ffn_ffn"]
            for block in ("self", "context") if part == "decoder" else ("self",):
                if part == "decoder" and block == "self" and options["transformer-decoder-autoreg"] == "rnn":
                    norms.append(f"decoder_l{i}_rnn{'' if pre else '_ffn'}")
                    shapes |= {f"decoder_l{i}_rnn_{kind}": (HIDDEN, HIDDEN) for kind in ("W", "Wf")}
                    shapes[f"decoder_l{i}_rnn_bf"] = (1, HIDDEN)
                    continue
                norms.append(f"{part}_l{i}_{block}_Wo")
                for kind in "qkvo":
                    shapes[f"{part}_l{i}_{block}_W{kind}"] = (HIDDEN, HIDDEN)
                    shapes[f"{part}_l{i}_{block}_b{kind}"] = (1, HIDDEN)
            shapes |= {f"{part}_l{i}_ffn_W1": (HIDDEN, INNER), f"{part}_l{i}_ffn_b1": (1, INNER)}
            shapes |= {f"{part}_l{i}_ffn_W2": (INNER, HIDDEN), f"{part}_l{i}_ffn_b2": (1, HIDDEN)}
            for name in norms:
                shapes |= {f"{name}_ln_{kind}{'_pre' * pre}": (1, HIDDEN) for kind in ("scale", "bias")}
        if pre:
            shapes |= {f"{part}_top_ln_{kind}": (1, HIDDEN) for kind in ("scale", "bias")}
    return {name: generator.uniform(-0.6, 0.6, shape).astype(np.float32) for name, shape in shapes.items()}


def write(path: Path, options: dict[str, Any], arrays: dict[str, np.ndarray] | None = None, text: str = "") -> Path:
    config = np.frombuffer((text or yaml_of(options)).encode() + b"\0", np.int8)
    np.savez(path, **(tensors(options) if arrays is None else arrays), **{"special:model.yml": config})
    return path


class Written:
    """The model as Marian defines it."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.o = options
        self.w = {name: torch.tensor(array).double() for name, array in tensors(options).items()}

    def affine(self, x: Any, name: str, kind: str) -> Any:
        return x @ self.w[f"{name}_W{kind}"] + self.w[f"{name}_b{kind}"]

    def norm(self, x: Any, name: str, suffix: str = "") -> Any:
        scale, bias = (self.w[f"{name}_ln_{kind}{suffix}"][0] for kind in ("scale", "bias"))
        return F.layer_norm(x, (HIDDEN,), scale, bias, 1e-6)

    def process(self, ops: str, x: Any, name: str, before: Any = None, suffix: str = "") -> Any:
        for op in ops:
            if op == "n":
                x = self.norm(x, name, suffix)
            elif op == "a":
                x = x + before
        return x

    def block(self, x: Any, name: str, function: Any) -> Any:
        inner = self.process(self.o["transformer-preprocess"], x, name, suffix="_pre")
        return self.process(self.o["transformer-postprocess"], function(inner), name, x)

    def attention(self, query: Any, memory: Any, name: str, mask: Any = None) -> Any:
        q, k, v = (self.affine(x, name, kind) for x, kind in ((query, "q"), (memory, "k"), (memory, "v")))
        heads = [x.view(len(x), HEADS, -1).transpose(0, 1) for x in (q, k, v)]
        scores = heads[0] @ heads[1].transpose(1, 2) / math.sqrt(HIDDEN // HEADS)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        joined = (scores.softmax(-1) @ heads[2]).transpose(0, 1).reshape(len(query), HIDDEN)
        return self.affine(joined, name, "o")

    def ssru(self, x: Any, name: str) -> Any:
        """Marian's SSRU: highway(c, x, f) = sigmoid(f) c + (1 - sigmoid(f)) x, then relu."""
        new, forget = x @ self.w[f"{name}_W"], torch.sigmoid(x @ self.w[f"{name}_Wf"] + self.w[f"{name}_bf"])
        cell, outputs = torch.zeros(HIDDEN).double(), []
        for t in range(len(x)):
            cell = forget[t] * cell + (1 - forget[t]) * new[t]
            outputs.append(torch.relu(cell))
        return torch.stack(outputs)

    def feed_forward(self, x: Any, name: str) -> Any:
        activation = {"swish": F.silu, "relu": F.relu}[self.o["transformer-ffn-activation"]]
        return self.affine(activation(self.affine(x, name, "1")), name, "2")

    def positions(self, x: Any) -> Any:
        half = HIDDEN // 2
        scales = torch.exp(torch.arange(half).double() * (-math.log(10000.0) / (half - 1)))
        angles = torch.arange(len(x)).double()[:, None] * scales
        return math.sqrt(HIDDEN) * x + torch.cat((angles.sin(), angles.cos()), 1)

    def logits(self, source: list[int], target: list[int]) -> Any:
        table = "{}_Wemb" if not self.o["tied-embeddings-all"] else "Wemb"
        x = self.positions(self.w[table.format("encoder")][source])
        for i in range(1, self.o["enc-depth"] + 1):
            x = self.block(x, f"encoder_l{i}_self_Wo", lambda y, i=i: self.attention(y, y, f"encoder_l{i}_self"))
            x = self.block(x, f"encoder_l{i}_ffn_ffn", lambda y, i=i: self.feed_forward(y, f"encoder_l{i}_ffn"))
        memory = self.process(self.o["transformer-postprocess-top"], x, "encoder_top")
        embedding = self.w[table.format("decoder")]
        x = self.positions(torch.cat((torch.zeros(1, HIDDEN).double(), embedding[target])))
        causal = torch.ones(len(x), len(x)).tril().bool()
        for i in range(1, self.o["dec-depth"] + 1):
            n = f"decoder_l{i}"
            if self.o["transformer-decoder-autoreg"] == "rnn":
                norm = f"{n}_rnn" if self.o["transformer-preprocess"] else f"{n}_rnn_ffn"
                x = self.block(x, norm, lambda y, n=n: self.ssru(y, f"{n}_rnn"))
            else:
                x = self.block(x, f"{n}_self_Wo", lambda y, n=n: self.attention(y, y, f"{n}_self", causal))
            x = self.block(x, f"{n}_context_Wo", lambda y, n=n: self.attention(y, memory, f"{n}_context"))
            x = self.block(x, f"{n}_ffn_ffn", lambda y, n=n: self.feed_forward(y, f"{n}_ffn"))
        x = self.process(self.o["transformer-postprocess-top"], x, "decoder_top")
        tied = self.o["tied-embeddings-all"] or self.o["tied-embeddings"]
        weight = embedding.T if tied else self.w["decoder_ff_logit_out_W"]
        return x @ weight + self.w["decoder_ff_logit_out_b"]
