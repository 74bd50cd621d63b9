"""The recurrent cells a second time, one step of one sequence after the other, as their papers write them.

Parameters have the names of fastseq.nn's state dictionaries without their suffix; everything is computed in the
dtype of the arguments.
"""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def norm(x, weight, bias, eps=1e-5):
    return (x - x.mean()) / np.sqrt(x.var() + eps) * weight + bias


def gates_of(p, x, h, count):
    """W_ih x + b_ih and W_hh h + b_hh, or their layer norms, each in `count` blocks."""
    if "norm_ih" in p:
        of_x = norm(p["weight_ih"] @ x, p["norm_ih"], p["bias_ih"])
        of_h = norm(p["weight_hh"] @ h, p["norm_hh"], p["bias_hh"])
    else:
        of_x, of_h = p["weight_ih"] @ x + p.get("bias_ih", 0), p["weight_hh"] @ h + p.get("bias_hh", 0)
    return np.split(of_x, count), np.split(of_h, count)


def rnn(p, x, h, c, nonlinearity=np.tanh, **_):
    (of_x,), (of_h,) = gates_of(p, x, h, 1)
    h = nonlinearity(of_x + of_h)
    return h, h, c


def lstm(p, x, h, c, coupled=False, clip=np.inf, cell_clip=np.inf, **_):
    of_x, of_h = gates_of(p, x, h, 3 if coupled else 4)
    sums = [a + b for a, b in zip(of_x, of_h, strict=True)]
    look = np.split(p["weight_peep"], 2 if coupled else 3) if "weight_peep" in p else [0, 0, 0]
    limited = lambda v: np.clip(v, -clip, clip)  # noqa: E731
    i = sigmoid(limited(sums[0] + look[0] * c))
    f = 1 - i if coupled else sigmoid(limited(sums[1] + look[1] * c))
    g = np.tanh(limited(sums[1 if coupled else 2]))
    c = np.clip(f * c + i * g, -cell_clip, cell_clip)
    o = sigmoid(limited(sums[-1] + look[1 if coupled else 2] * c))
    h = o * np.tanh(norm(c, p["norm_c"], p["bias_c"]) if "norm_c" in p else c)
    h = p["weight_hr"] @ h if "weight_hr" in p else h
    return h, h, c


def multiplicative_lstm(p, x, h, c, **_):
    m = (p["weight_mx"] @ x) * (p["weight_mh"] @ h)
    return lstm(p, x, m, c)


def gru(p, x, h, c, reset_after=True, **_):
    of_x, of_h = gates_of(p, x, h, 3)
    r, z = sigmoid(of_x[0] + of_h[0]), sigmoid(of_x[1] + of_h[1])
    if reset_after:
        n = np.tanh(of_x[2] + r * of_h[2])
    else:
        size = len(h)
        n = np.tanh(of_x[2] + p["weight_hh"][2 * size :] @ (r * h) + p["bias_hh"][2 * size :])
    h = (1 - z) * n + z * h
    return h, h, c


def sru(p, x, h, c, skip=None, skip_scale=1.0, activation=lambda v: v, **_):
    size = len(c)
    blocks = np.split(p["weight_ih"] @ x, len(p["weight_ih"]) // size)
    b_w, b_f, b_r = np.split(p["bias_ih"], 3)
    v_f, v_r = np.split(p["weight_peep"], 2) if "weight_peep" in p else (0, 0)
    w = blocks[0] + b_w
    f = sigmoid(blocks[1] + v_f * c + b_f)
    r = sigmoid(blocks[2] + v_r * c + b_r)
    skipped = (blocks[3] if len(blocks) == 4 else skip) * x.dtype.type(skip_scale)
    c = f * c + (1 - f) * w
    return r * activation(c) + (1 - r) * skipped, h, c


def ssru(p, x, h, c, **_):
    w, f = np.split(p["weight_ih"] @ x + p["bias_ih"], 2)
    f = sigmoid(f)
    c = f * c + (1 - f) * w
    return np.maximum(c, 0), h, c


def run(layer, cell, sequences, h0, c0, dtype, **options):
    """Outputs of each sequence and the last states (layers * directions, B, ...) of a layer of fastseq.nn."""
    directions = 2 if layer.bidirectional else 1
    state = {name: value.astype(dtype) for name, value in layer.state_dict().items()}
    h_n, c_n = h0.astype(dtype), c0.astype(dtype)
    sequences = [s.astype(dtype) for s in sequences]
    for depth in range(layer.num_layers):
        after = []
        for b, sequence in enumerate(sequences):
            halves = []
            for d in range(directions):
                suffix = f"_l{depth}" + ("_reverse" if d else "")
                p = {k.removesuffix(suffix): v for k, v in state.items() if k.endswith(suffix)}
                i = depth * directions + d
                h, c, outputs = h_n[i, b], c_n[i, b], []
                for x in sequence[::-1] if d or layer.reverse else sequence:
                    skip = x[d * layer.hidden_size : (d + 1) * layer.hidden_size]
                    y, h, c = cell(p, x, h, c, skip=skip, **options)
                    outputs.append(y)
                h_n[i, b], c_n[i, b] = h, c
                width = layer.proj_size or layer.hidden_size
                outputs = np.array(outputs[::-1] if d or layer.reverse else outputs, dtype).reshape(-1, width)
                halves.append(outputs)
            joined = np.concatenate(halves, axis=1)
            after.append(sequence + joined if layer.residual and depth > 0 else joined)
        sequences = after
    return sequences, h_n, c_n
