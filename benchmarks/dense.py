"""Rows of dense layers and of a search step: `linear`, and log-softmax with the k best."""

from __future__ import annotations

import openvino_peer
from peers import Row, Run, has, normal

import fastseq
from fastseq import functional

__all__ = ["rows"]


def _linear(count: int, out_features: int, in_features: int) -> Row:
    def runs(threads: int) -> dict[str, Run]:
        weight = normal(out_features, in_features) * in_features**-0.5
        bias, x = normal(out_features), normal(count, in_features)
        layer = fastseq.nn.Linear(in_features, out_features)
        layer.load_state_dict({"weight": weight, "bias": bias})
        transposed = weight.T
        result: dict[str, Run] = {"fastseq": lambda: layer(x), "numpy": lambda: x @ transposed + bias}
        if has("torch"):
            import torch

            w, b, t = torch.from_numpy(weight), torch.from_numpy(bias), torch.from_numpy(x)
            result["torch"] = lambda: torch.nn.functional.linear(t, w, b)
        if has("openvino"):
            dense = openvino_peer.linear(weight, bias, count, threads)
            result["openvino"] = lambda: dense(x)
        return result

    size = out_features * in_features
    return Row(f"linear {count}x{out_features}x{in_features}", runs, flops=2.0 * count * size, bytes=4.0 * size)


def _topk(count: int, vocab_size: int, k: int) -> Row:
    def runs(threads: int) -> dict[str, Run]:
        del threads
        logits = normal(count, vocab_size) * 3
        result: dict[str, Run] = {"fastseq": lambda: functional.log_softmax_topk(logits, k)[0]}
        if has("torch"):
            import torch

            t = torch.from_numpy(logits)
            result["torch"] = lambda: torch.topk(torch.log_softmax(t, -1), k, -1)[0]
        return result

    return Row(f"log_softmax_topk {count}x{vocab_size} k={k}", runs, bytes=8.0 * count * vocab_size)


def rows() -> list[Row]:
    """In the order of the table."""
    return [_linear(n, 2048, 512) for n in (1, 4, 8, 32, 128, 512)] + [
        _topk(4, 32000, 8),
        _topk(40, 32000, 8),
        _topk(5, 256206, 8),
    ]
