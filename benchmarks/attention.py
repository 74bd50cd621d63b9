"""Rows of scaled dot-product attention: full, causal, one query."""

from __future__ import annotations

import openvino_peer
from peers import Row, Run, has, normal

from fastseq import functional

__all__ = ["rows"]


def _attention(batch: int, heads: int, queries: int, keys: int, size: int, *, causal: bool = False) -> Row:
    def runs(threads: int) -> dict[str, Run]:
        q, k, v = (normal(batch, heads, n, size) for n in (queries, keys, keys))
        result: dict[str, Run] = {"fastseq": lambda: functional.scaled_dot_product_attention(q, k, v, is_causal=causal)}
        if has("torch"):
            import torch

            tq, tk, tv = map(torch.from_numpy, (q, k, v))
            attend = torch.nn.functional.scaled_dot_product_attention
            result["torch"] = lambda: attend(tq, tk, tv, is_causal=causal)
        if has("openvino"):
            compiled = openvino_peer.attention(q, k, v, causal, threads)
            result["openvino"] = lambda: compiled(q, k, v)
        return result

    work = 4.0 * batch * heads * queries * keys * size * (0.5 if causal else 1)
    name = f"attention {batch}x{heads}x{queries}x{keys}x{size}{' causal' if causal else ''}"
    return Row(name, runs, flops=work, bytes=8.0 * batch * heads * keys * size)


def rows() -> list[Row]:
    """In the order of the table."""
    return [
        _attention(1, 12, 512, 512, 64),
        _attention(1, 8, 2048, 2048, 64),
        _attention(1, 12, 512, 512, 64, causal=True),
        _attention(1, 8, 2048, 2048, 64, causal=True),
        _attention(4, 8, 1, 512, 64),
        _attention(32, 8, 1, 512, 64),
    ]
