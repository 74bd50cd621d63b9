"""Recurrent models of Marian (type "s2s"), written down in PyTorch from their definition.

Definition: `src/models/s2s.h`, `src/rnn/cells.h`, `src/rnn/attention.h` and `src/layers/generic.h` of Marian; one
sentence at a time, in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

EMBEDDING, HIDDEN, VOCAB = 5, 6, (9, 7)
OPTIONS: dict[str, Any] = {
    "type": "s2s",
    "dim-emb": EMBEDDING,
    "dim-rnn": HIDDEN,
    "dim-vocabs": list(VOCAB),
    "enc-type": "bidirectional",
    "enc-cell": "gru",
    "enc-cell-depth": 1,
    "enc-depth": 1,
    "dec-cell": "gru",
    "dec-cell-base-depth": 2,
    "dec-cell-high-depth": 1,
    "dec-depth": 1,
    "skip": False,
    "layer-normalization": False,
    "tied-embeddings": False,
    "tied-embeddings-all": False,
    "version": "v1.12.0 abc",
}
SENTENCES = [([3, 4, 6, 0], [2, 5, 4]), ([0], []), ([5, 5, 2, 3, 6, 4, 0], [6, 1, 2, 2, 3])]
ZEROS = torch.zeros(HIDDEN).double()


def norm(x: Any, gamma: Any, beta: Any = None, eps: float = 1e-9) -> Any:
    centred = x - x.mean(-1, keepdim=True)
    y = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + eps) * gamma
    return y if beta is None else y + beta


class Written:
    """The model as Marian defines it; `w` grows the parameters that it asks for."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.o, self.w = options, {}
        self.normed = options["layer-normalization"]
        self.generator = np.random.default_rng(0)
        self.logits([1, 0], [1])  # every parameter is used

    def param(self, name: str, *shape: int) -> Any:
        if name not in self.w:
            self.w[name] = self.generator.uniform(-0.6, 0.6, shape).astype(np.float32)
            if "gamma" in name or name.endswith("lns"):
                self.w[name] += 1
        assert self.w[name].shape == shape
        return torch.tensor(self.w[name]).double()

    def dense(self, x: Any, name: str, size: int, suffix: str = "", normed: bool = False) -> Any:
        """mlp::Dense of one input, and affine."""
        product = x @ self.param(f"{name}_W{suffix}", x.shape[-1], size)
        bias = self.param(f"{name}_b{suffix}", 1, size)[0]
        return norm(product, self.param(f"{name}_gamma{suffix}", 1, size)[0], bias) if normed else product + bias

    def product(self, x: Any, weight: Any, name: str, size: int) -> Any:
        """dot, and behind it the norm with a gamma of that name."""
        return norm(x @ weight, self.param(name, 1, size)[0]) if self.normed else x @ weight

    def cell(self, kind: str, name: str, x: Any, state: Any, final: bool = False) -> Any:
        """One cell: the state (output, cell) after input x or none."""
        output, c = state
        if kind in ("mlstm", "mgru"):  # Multiplicative<CellType>
            x_m = x @ self.param(f"{name}_Wm", len(x), HIDDEN) + self.param(f"{name}_bwm", 1, HIDDEN)[0]
            s_m = output @ self.param(f"{name}_Um", HIDDEN, HIDDEN) + self.param(f"{name}_bm", 1, HIDDEN)[0]
            if self.normed:
                x_m = norm(x_m, self.param(f"{name}_gamma1m", 1, HIDDEN)[0])
                s_m = norm(s_m, self.param(f"{name}_gamma2m", 1, HIDDEN)[0])
            output, kind = x_m * s_m, kind[1:]
        if kind == "gru-nematus" and self.normed:
            return self.nematus(name, x, output, final), c
        if kind in ("gru", "gru-nematus"):
            return self.gru(name, x, output, final), c
        gates = 4 if kind == "lstm" else 1
        gamma = HIDDEN * (3 if kind == "tanh" else gates)  # three times too long: only the first are read

        def multiply(y: Any, letter: str, number: int) -> Any:
            weight = self.param(f"{name}_{letter}", len(y), gates * HIDDEN)
            if not self.normed:
                return y @ weight
            return norm(y @ weight, self.param(f"{name}_gamma{number}", 1, gamma)[0, : gates * HIDDEN])

        total = multiply(output, "U", 2) + self.param(f"{name}_b", 1, gates * HIDDEN)[0]
        if x is not None:
            total = total + multiply(x, "W", 1)
        if kind != "lstm":
            return (torch.tanh if kind == "tanh" else torch.relu)(total), c
        f, i, g, o = total.split(HIDDEN)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    def both(self, name: str, kind: str, rows: int) -> Any:
        """Matrices or biases of r and z, and of the candidate, side by side."""
        parts = self.param(f"{name}_{kind}", rows, 2 * HIDDEN), self.param(f"{name}_{kind}x", rows, HIDDEN)
        return torch.cat(parts, 1)

    def ops(self, state: Any, xw: Any, su: Any, b: Any, final: bool) -> Any:
        """gruOps."""
        r, z = (torch.sigmoid((xw + su + b)[i * HIDDEN : (i + 1) * HIDDEN]) for i in range(2))
        xw, su, b = xw[2 * HIDDEN :], su[2 * HIDDEN :], b[2 * HIDDEN :]
        h = torch.tanh(xw + (su + b) * r) if final else torch.tanh(xw + su * r + b)
        return (1 - z) * h + z * state

    def gru(self, name: str, x: Any, state: Any, final: bool) -> Any:
        xw, su = torch.zeros(3 * HIDDEN).double(), None
        if x is not None:
            xw = self.product(x, self.both(name, "W", len(x)), f"{name}_gamma1", 3 * HIDDEN)
        su = self.product(state, self.both(name, "U", HIDDEN), f"{name}_gamma2", 3 * HIDDEN)
        return self.ops(state, xw, su, self.both(name, "b", 1)[0], final)

    def nematus(self, name: str, x: Any, state: Any, final: bool) -> Any:
        """GRUNematus with layer normalisation."""
        encoder, transition = name.startswith("encoder"), x is None
        b, bx = self.param(f"{name}_b", 1, 2 * HIDDEN)[0], self.param(f"{name}_bx", 1, HIDDEN)[0]

        def normed(y: Any, letter: str, size: int, bias: Any) -> Any:
            product = y @ self.param(f"{name}_{letter}", len(y), size)
            scale, shift = (self.param(f"{name}_{letter}_{end}", 1, size)[0] for end in ("lns", "lnb"))
            return norm(product if bias is None else product + bias, scale, shift, 1e-5)

        xw, bbx = torch.zeros(3 * HIDDEN).double(), torch.zeros(3 * HIDDEN).double()
        if x is not None:
            inside = (None, None) if final else (b, bx)
            xw = torch.cat((normed(x, "W", 2 * HIDDEN, inside[0]), normed(x, "Wx", HIDDEN, inside[1])))
        if encoder:
            u, ux = normed(state, "U", 2 * HIDDEN, None), normed(state, "Ux", HIDDEN, None)
            if transition:
                u, bbx = u + b, torch.cat((torch.zeros(2 * HIDDEN).double(), bx))
        else:
            inside = (b, bx) if final or transition else (None, None)
            u, ux = normed(state, "U", 2 * HIDDEN, inside[0]), normed(state, "Ux", HIDDEN, inside[1])
        return self.ops(state, xw, torch.cat((u, ux)), bbx, final)

    def stack(self, xs: Any, names: list[list[str]], reverse: list[bool]) -> Any:
        for i, cells in enumerate(names):
            state, outputs = (ZEROS, ZEROS), [None] * len(xs)
            for t in range(len(xs))[:: -1 if reverse[i] else 1]:
                for j, cell in enumerate(cells):
                    state = self.cell(self.o["enc-cell"], cell, None if j else xs[t], state)
                outputs[t] = state[0]
            xs = torch.stack(outputs) + (xs if self.o["skip"] and i else 0)
        return xs

    def encode(self, source: list[int]) -> Any:
        kind, depth = self.o["enc-type"], range(1, self.o["enc-cell-depth"] + 1)
        first = 1 if kind == "bi-unidirectional" else self.o["enc-depth"]
        name = "Wemb" if self.o["tied-embeddings-all"] else "encoder_Wemb"
        xs, sides = self.param(name, self.o["dim-vocabs"][0], EMBEDDING)[source], []
        for prefix, backward in (("encoder_bi", False), ("encoder_bi_r", True)):
            names = []
            for i in range(1, first + 1):
                layer = [prefix + (f"_l{i}" if i > 1 else "") for _ in depth]
                names.append([n + (f"_cell{j}" if i > 1 or j > 1 else "") for n, j in zip(layer, depth, strict=True)])
            flip = [kind == "alternating" and i % 2 == 1 for i in range(first)]
            sides.append(self.stack(xs, names, [backward != other for other in flip]))
        memory = torch.cat(sides, 1)
        names = [[f"encoder_l{i}_cell{j}" for j in depth] for i in range(first + 1, self.o["enc-depth"] + 1)]
        return self.stack(memory, names, [False] * len(names))

    def attend(self, state: Any, memory: Any) -> Any:
        size = memory.shape[1]
        mapped, beta = memory @ self.param("decoder_Wc_att", size, size), self.param("decoder_b_att", 1, size)
        query = self.product(state, self.param("decoder_W_comb_att", HIDDEN, size), "decoder_att_gamma2", size)
        mapped = norm(mapped, self.param("decoder_att_gamma1", 1, size), beta) if self.normed else mapped + beta
        return (torch.tanh(mapped + query) @ self.param("decoder_U_att", size, 1))[:, 0].softmax(0) @ memory

    def logits(self, source: list[int], target: list[int]) -> Any:
        memory, kind = self.encode(source), self.o["dec-cell"]
        tied = "Wemb" if self.o["tied-embeddings-all"] else "decoder_Wemb"
        table = self.param(tied, self.o["dim-vocabs"][1], EMBEDDING)
        words = torch.cat((torch.zeros(1, EMBEDDING).double(), table[target]))
        start = torch.tanh(self.dense(memory.mean(0), "decoder_ff_state", HIDDEN, normed=self.normed))
        states, outputs = [(start, start)] * self.o["dec-depth"], []
        for word in words:
            state = self.cell(kind, "decoder_cell1", word, states[0])
            context = self.attend(state[0], memory)
            for i in range(2, self.o["dec-cell-base-depth"] + 1):
                state = self.cell(kind, f"decoder_cell{i}", context if i == 2 else None, state, final=True)
            top, following = state[0], [state]
            for i in range(2, self.o["dec-depth"] + 1):
                state = states[i - 1]
                for j in range(1, self.o["dec-cell-high-depth"] + 1):
                    state = self.cell(kind, f"decoder_l{i}_cell{j}", None if j > 1 else top, state)
                top = state[0] + top if self.o["skip"] else state[0]
                following.append(state)
            states = following
            inputs = zip((word, top, context), "012", strict=True)
            parts = [self.dense(x, "decoder_ff_logit_l1", EMBEDDING, i, self.normed) for x, i in inputs]
            outputs.append(torch.tanh(sum(parts)))
        hidden = torch.stack(outputs)
        if self.o["tied-embeddings"] or self.o["tied-embeddings-all"]:
            return hidden @ table.T + self.param("decoder_ff_logit_l2_b", 1, len(table))[0]
        return self.dense(hidden, "decoder_ff_logit_l2", len(table))
