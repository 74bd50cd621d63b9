"""Recurrent models of Marian (type "s2s") as encoder-decoders with deep transitions.

Definition: `src/models/s2s.h`, `src/rnn/cells.h` and `src/rnn/attention.h` of Marian. Its GRU is PyTorch's; the bias of
the candidate is inside the reset gate's product only in cells that are "final": those of the decoder's first layer
behind the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.models.deep_recurrent import DeepRecurrentSeq2SeqConfig
from fastseq.models.marian_arrays import MarianArrays, check_options, size_option

__all__ = ["read_s2s"]

_Arrays = dict[str, NDArray[np.float32]]
_END = 0  # the id of </s>
_CELLS = ("gru", "gru-nematus")  # the same without layer normalisation
# Options that change what is computed, with the values that there is code for; the first is Marian's default.
_SUPPORTED: dict[str, tuple[Any, ...]] = {
    "enc-type": ("bidirectional", "bi-unidirectional", "alternating"),
    "enc-cell": _CELLS,
    "dec-cell": _CELLS,
    "layer-normalization": (False,),
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
        skip=bool(options.get("skip", False)),
    )
    tensors: _Arrays = {"encoder.embedding.weight": source, "decoder.embedding.weight": target}
    tensors |= _cells(reader, config) | _attention(reader, config)
    tensors |= reader.output("decoder_ff_logit_l2", target, tied)
    if tied:
        tensors["output.weight"] = target
    return config, tensors


def _cells(reader: MarianArrays, config: DeepRecurrentSeq2SeqConfig) -> _Arrays:
    """All GRU cells: their names there and here, what they read, and which are final."""
    width, hidden = reader.width, config.hidden_size
    both = 1 if config.encoder_type == "bi-unidirectional" else config.encoder_num_layers
    tensors: _Arrays = {}
    for theirs, ours in (("encoder_bi", "forward"), ("encoder_bi_r", "backward")):
        for i in range(both):
            for j in range(config.encoder_depth):
                name = theirs + (f"_l{i + 1}" if i else "") + (f"_cell{j + 1}" if i or j else "")
                size = 0 if j else hidden if i else width
                tensors |= _cell(reader, name, f"encoder.{ours}.{i}.{j}", size, hidden, False)
    for i in range(config.encoder_num_layers - both):
        for j in range(config.encoder_depth):
            size = 0 if j else hidden if i else 2 * hidden
            tensors |= _cell(reader, f"encoder_l{i + 2}_cell{j + 1}", f"encoder.top.{i}.{j}", size, hidden, False)
    tensors |= _cell(reader, "decoder_cell1", "decoder.before.0", width, hidden, False)
    for j in range(config.decoder_base_depth - 1):
        size = 0 if j else config.memory_size
        tensors |= _cell(reader, f"decoder_cell{j + 2}", f"decoder.after.{j}", size, hidden, True)
    for i in range(config.decoder_num_layers - 1):
        for j in range(config.decoder_high_depth):
            size = 0 if j else hidden
            tensors |= _cell(reader, f"decoder_l{i + 2}_cell{j + 1}", f"decoder.high.{i}.{j}", size, hidden, False)
    return tensors


def _cell(reader: MarianArrays, theirs: str, ours: str, input_size: int, hidden: int, final: bool) -> _Arrays:
    def gates(kind: str, rows: int) -> NDArray[np.float32]:
        parts = reader.take(f"{theirs}_{kind}", rows, 2 * hidden), reader.take(f"{theirs}_{kind}x", rows, hidden)
        return np.ascontiguousarray(np.concatenate(parts, axis=1).T)

    bias = gates("b", 1)[:, 0]
    inside = np.zeros_like(bias)
    if final:
        inside[2 * hidden :], bias[2 * hidden :] = bias[2 * hidden :], 0.0
    found = {f"{ours}.weight_hh": gates("U", hidden), f"{ours}.bias_ih": bias, f"{ours}.bias_hh": inside}
    return found | ({f"{ours}.weight_ih": gates("W", input_size)} if input_size else {})


def _attention(reader: MarianArrays, config: DeepRecurrentSeq2SeqConfig) -> _Arrays:
    """Attention, first state and the layer before the last."""
    width, hidden, memory = reader.width, config.hidden_size, config.memory_size
    key, bias = reader.linear("decoder_Wc_att", "decoder_b_att", memory, memory)
    start, start_bias = reader.linear("decoder_ff_state_W", "decoder_ff_state_b", memory, hidden)
    name = "decoder_ff_logit_l1"  # of the word, the state and the context
    parts = [reader.linear(f"{name}_W{i}", f"{name}_b{i}", n, width) for i, n in enumerate((width, hidden, memory))]
    return {
        "attention.query.weight": np.ascontiguousarray(reader.take("decoder_W_comb_att", hidden, memory).T),
        "attention.key.weight": key,
        "attention.bias": bias,
        "attention.score.weight": np.ascontiguousarray(reader.take("decoder_U_att", memory, 1).T),
        "decoder.start.weight": start,
        "decoder.start.bias": start_bias,
        "decoder.hidden.weight": np.concatenate([weight for weight, _ in parts], axis=1),
        "decoder.hidden.bias": np.sum([bias for _, bias in parts], axis=0, dtype=np.float32),
    }
