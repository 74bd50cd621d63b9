"""Recurrent models of Marian (type "s2s") as encoder-decoders with deep transitions.

Definition: `src/models/s2s.h` and `src/rnn/attention.h` of Marian; for the cells see `marian_cells`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.models.deep_recurrent import DeepRecurrentSeq2SeqConfig
from fastseq.models.marian_arrays import MarianArrays, check_options, size_option
from fastseq.models.marian_cells import CELLS, take_cell

__all__ = ["read_s2s"]

_Arrays = dict[str, NDArray[np.float32]]
_END = 0  # the id of </s>
# Options that change what is computed, with the values that there is code for; the first is Marian's default.
_SUPPORTED: dict[str, tuple[Any, ...]] = {
    "enc-type": ("bidirectional", "bi-unidirectional", "alternating"),
    "enc-cell": tuple(CELLS),
    "dec-cell": tuple(CELLS),
    "layer-normalization": (False, True),
    "original-type": ("s2s",),
    "dec-attention-hops": (1,),
    "dec-attention-heads": (1,),
    "lemma-dim-emb": (0,),
    "factors-combine": ("sum",),
    "input-types": ([], ["sequence", "sequence"], None),
    "output-omit-bias": (False,),
}


def read_s2s(reader: MarianArrays, options: Mapping[str, Any]) -> tuple[DeepRecurrentSeq2SeqConfig, _Arrays]:
    """Return the configuration and tensors of a recurrent model; ValueError for options without code."""
    check_options(options, _SUPPORTED)
    source, target = reader.embeddings(options)
    tied = bool(options.get("tied-embeddings-all")) or bool(options.get("tied-embeddings"))
    layer_norm = bool(options.get("layer-normalization", False))
    cells = [CELLS[options.get(name, "gru")] for name in ("enc-cell", "dec-cell")]
    if not layer_norm:  # what they differ in is the norms
        cells = ["gru" if cell == "gru_nematus" else cell for cell in cells]
    config = DeepRecurrentSeq2SeqConfig(
        source_vocab_size=len(source),
        target_vocab_size=len(target),
        pad_token_id=len(target) - 1,
        bos_token_id=len(target) - 1,
        eos_token_id=_END,
        embedding_size=reader.width,
        hidden_size=size_option(options, "dim-rnn"),
        encoder_type=options.get("enc-type", "bidirectional"),
        encoder_num_layers=size_option(options, "enc-depth", 1),
        encoder_depth=size_option(options, "enc-cell-depth", 1),
        decoder_num_layers=size_option(options, "dec-depth", 1),
        decoder_base_depth=size_option(options, "dec-cell-base-depth", 2),
        decoder_high_depth=size_option(options, "dec-cell-high-depth", 1),
        encoder_cell=cells[0],
        decoder_cell=cells[1],
        layer_norm=layer_norm,
        skip=bool(options.get("skip", False)),
    )
    tensors: _Arrays = {"encoder.embedding.weight": source, "decoder.embedding.weight": target}
    tensors |= _cells(reader, config) | _attention(reader, config)
    tensors |= reader.output("decoder_ff_logit_l2", target, tied)
    if tied:
        tensors["output.weight"] = target
    return config, tensors


def _cells(reader: MarianArrays, config: DeepRecurrentSeq2SeqConfig) -> _Arrays:
    """All cells: their names there and here, what they read, and which are final."""
    width, hidden = reader.width, config.hidden_size
    both = 1 if config.encoder_type == "bi-unidirectional" else config.encoder_num_layers
    tensors: _Arrays = {}

    def take(theirs: str, ours: str, input_size: int, final: bool = False) -> None:
        nonlocal tensors
        tensors |= take_cell(reader, config, theirs, ours, input_size, final)

    for theirs, ours in (("encoder_bi", "forward"), ("encoder_bi_r", "backward")):
        for i in range(both):
            for j in range(config.encoder_depth):
                name = theirs + (f"_l{i + 1}" if i else "") + (f"_cell{j + 1}" if i or j else "")
                take(name, f"encoder.{ours}.{i}.{j}", 0 if j else hidden if i else width)
    for i in range(config.encoder_num_layers - both):
        for j in range(config.encoder_depth):
            take(f"encoder_l{i + 2}_cell{j + 1}", f"encoder.top.{i}.{j}", 0 if j else hidden if i else 2 * hidden)
    take("decoder_cell1", "decoder.before.0", width)
    for j in range(config.decoder_base_depth - 1):
        take(f"decoder_cell{j + 2}", f"decoder.after.{j}", 0 if j else config.memory_size, final=True)
    for i in range(config.decoder_num_layers - 1):
        for j in range(config.decoder_high_depth):
            take(f"decoder_l{i + 2}_cell{j + 1}", f"decoder.high.{i}.{j}", 0 if j else hidden)
    return tensors


def _attention(reader: MarianArrays, config: DeepRecurrentSeq2SeqConfig) -> _Arrays:
    """Attention, first state and the layer before the last."""
    width, hidden, memory = reader.width, config.hidden_size, config.memory_size
    key, bias = reader.linear("decoder_Wc_att", "decoder_b_att", memory, memory)
    start, start_bias = reader.linear("decoder_ff_state_W", "decoder_ff_state_b", memory, hidden)
    name = "decoder_ff_logit_l1"  # of the word, the state and the context
    sizes = {"word": width, "state": hidden, "context": memory}
    parts = [reader.linear(f"{name}_W{i}", f"{name}_b{i}", n, width) for i, n in enumerate(sizes.values())]
    found: _Arrays = {
        "attention.query.weight": np.ascontiguousarray(reader.take("decoder_W_comb_att", hidden, memory).T),
        "attention.key.weight": key,
        "attention.bias": bias,
        "attention.score.weight": np.ascontiguousarray(reader.take("decoder_U_att", memory, 1).T),
        "decoder.start.weight": start,
        "decoder.start.bias": start_bias,
        # Behind the norms, where there are any: one sum.
        "decoder.hidden.bias": np.sum([bias for _, bias in parts], axis=0, dtype=np.float32),
    }
    if not config.layer_norm:
        return found | {"decoder.hidden.weight": np.concatenate([weight for weight, _ in parts], axis=1)}
    for i, (part, (weight, _)) in enumerate(zip(sizes, parts, strict=True)):
        found[f"decoder.hidden.{part}.weight"] = weight
        found[f"decoder.hidden.{part}.norm"] = reader.take(f"{name}_gamma{i}", 1, width)[0]
    return found | {
        "attention.key.norm": reader.take("decoder_att_gamma1", 1, memory)[0],
        "attention.query.norm": reader.take("decoder_att_gamma2", 1, memory)[0],
        "decoder.start.norm": reader.take("decoder_ff_state_gamma", 1, hidden)[0],
    }
