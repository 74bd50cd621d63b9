"""Transformers of Marian, with self-attention or SSRU in the decoder, as Transformer encoder-decoders.

Definition: `src/models/transformer.h` and `src/layers/generic.h` of Marian. Positions have their sines in the first
half and their cosines in the second, at frequencies 10000 ** (-i / (d/2 - 1)): they are read as a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.models.marian_arrays import MarianArrays, check_options, size_option
from fastseq.models.transformer import TransformerSeq2SeqConfig

__all__ = ["read_transformer"]

_Arrays = dict[str, NDArray[np.float32]]
_END = 0  # the id of </s>
_POSITIONS = 1024
_ACTIVATIONS = {"relu": "relu", "swish": "silu"}  # what Marian calls gelu is x * sigmoid(1.702 x)
_ORDERS = {
    False: {"preprocess": "", "postprocess": "an", "postprocess-top": ""},
    True: {"preprocess": "n", "postprocess": "a", "postprocess-top": "n"},
}
# Options that change what is computed, with the values that there is code for; the first is Marian's default.
_SUPPORTED: dict[str, tuple[Any, ...]] = {
    "transformer-decoder-autoreg": ("self-attention", "rnn"),
    "layer-normalization": (False,),
    "transformer-ffn-depth": (2,),
    "transformer-ffn-activation": ("swish", "relu"),
    "transformer-postprocess-emb": ("d", "", None),
    "transformer-no-projection": (False,),
    "transformer-pool": (False,),
    "transformer-no-bias": (False,),
    "transformer-no-affine": (False,),
    "transformer-rnn-projection": (False,),
    "transformer-train-position-embeddings": (False,),
    "transformer-train-positions": (False,),
    "transformer-tied-layers": ([], None),
    "transformer-depth-scaling": (False, True),
    "lemma-dim-emb": (0,),
    "factors-combine": ("sum",),
    "ulr": (False,),
    "input-types": ([], ["sequence", "sequence"], None),
    "output-omit-bias": (False,),
}


def read_transformer(reader: MarianArrays, options: Mapping[str, Any]) -> tuple[TransformerSeq2SeqConfig, _Arrays]:
    """Return the configuration and tensors of a Transformer; ValueError for options without code."""
    check_options(options, _SUPPORTED)
    norm_first, hidden = _norm_first(options), reader.width
    tensors: _Arrays = {}
    ssru = _has_ssru(options)
    depth = {"encoder": size_option(options, "enc-depth"), "decoder": size_option(options, "dec-depth")}
    inner = {"encoder": size_option(options, "transformer-dim-ffn")}
    inner["decoder"] = options.get("transformer-decoder-dim-ffn") or inner["encoder"]
    if inner["decoder"] != inner["encoder"]:
        raise ValueError(f"transformer-decoder-dim-ffn is {inner['decoder']}; only {inner['encoder']} is supported")
    suffix = "_pre" if norm_first else ""
    for part, layers in depth.items():
        for i in range(layers):
            name, to = f"{part}_l{i + 1}", f"{part}.layers.{i}"
            blocks = [("self", "self_attn")] + ([("context", "multihead_attn")] if part == "decoder" else [])
            for block, (theirs, ours) in enumerate(blocks, 1):
                if ssru and part == "decoder" and block == 1:
                    tensors |= {f"{to}.ssru.{kind}": array for kind, array in reader.ssru(f"{name}_rnn").items()}
                    norms = reader.norm(f"{name}_rnn" + ("" if norm_first else "_ffn"), suffix)
                    tensors |= {f"{to}.norm1.{kind}": array for kind, array in norms.items()}
                    continue
                found = reader.attention(f"{name}_{theirs}")
                tensors |= {f"{to}.{ours}.{kind}": array for kind, array in found.items()}
                norms = reader.norm(f"{name}_{theirs}_Wo", suffix)
                tensors |= {f"{to}.norm{block}.{kind}": array for kind, array in norms.items()}
            for n, (columns, rows) in enumerate(((hidden, inner[part]), (inner[part], hidden)), 1):
                weight, bias = reader.linear(f"{name}_ffn_W{n}", f"{name}_ffn_b{n}", columns, rows)
                tensors |= {f"{to}.linear{n}.weight": weight, f"{to}.linear{n}.bias": bias}
            norms = reader.norm(f"{name}_ffn_ffn", suffix)
            tensors |= {f"{to}.norm{len(blocks) + 1}.{kind}": array for kind, array in norms.items()}
        if norm_first:
            tensors |= {f"{part}.norm.{kind}": array for kind, array in reader.norm(f"{part}_top", "").items()}
        tensors[f"{part}.positions.weight"] = _positions(hidden)
    tied = bool(options.get("tied-embeddings-all")) or bool(options.get("tied-embeddings"))
    source, target = reader.embeddings(options)
    tensors |= {"encoder.embedding.weight": source, "decoder.embedding.weight": target}
    tensors |= reader.output("decoder_ff_logit_out", target, tied)
    config = TransformerSeq2SeqConfig(
        source_vocab_size=len(source),
        target_vocab_size=len(target),
        pad_token_id=len(target) - 1,
        bos_token_id=len(target) - 1,
        eos_token_id=_END,
        hidden_size=hidden,
        num_heads=size_option(options, "transformer-heads"),
        intermediate_size=inner["encoder"],
        encoder_num_layers=depth["encoder"],
        decoder_num_layers=depth["decoder"],
        activation=_ACTIVATIONS[options.get("transformer-ffn-activation", "swish")],  # type: ignore[arg-type]
        norm_first=norm_first,
        positions="learned",
        max_positions=_POSITIONS,
        scale_embedding=True,
        tie_output=tied,
        layer_norm_eps=1e-6,
        decoder_history="ssru" if ssru else "attention",
    )
    return config, tensors


def _has_ssru(options: Mapping[str, Any]) -> bool:
    """Whether the decoder has SSRU cells in place of self-attention; other cells are refused."""
    if options.get("transformer-decoder-autoreg") != "rnn":
        return False
    if options.get("dec-cell") != "ssru":
        raise ValueError(f"dec-cell is {str(options.get('dec-cell'))[:60]!r}; a Transformer may only have 'ssru'")
    return True


def _positions(hidden: int) -> NDArray[np.float32]:
    """Sines, then cosines of p * 10000 ** (-i / (d/2 - 1)), (P, d)."""
    half = hidden // 2
    frequencies = np.exp(np.arange(half) * (-np.log(10000.0) / max(1, half - 1)))
    angles = np.arange(_POSITIONS)[:, None] * frequencies
    return np.concatenate((np.sin(angles), np.cos(angles)), axis=1).astype(np.float32)


def _norm_first(options: Mapping[str, Any]) -> bool:
    """Whether norms come before each part and once at the end, or behind each residual sum."""
    given = {part: str(options.get(f"transformer-{part}") or "").replace("d", "") for part in _ORDERS[True]}
    for norm_first, order in _ORDERS.items():
        if given == order:
            return norm_first
    shown = ", ".join(f"transformer-{part} {order!r}" for part, order in given.items())
    raise ValueError(f"{shown}; expected '', 'an', '' or 'n', 'a', 'n' besides dropout")
