"""Recurrent models of OpenNMT-py as recurrent encoder-decoders.

Definitions: `onmt/encoders/rnn_encoder.py`, `onmt/decoders/decoder.py` and `onmt/modules/global_attention.py` of
OpenNMT-py. A checkpoint of version 3 has `model`, `generator`, `opt` and, as plain lists, `vocab`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq._layout import WEIGHT_KINDS
from fastseq.models.named_tensors import NamedTensors
from fastseq.models.recurrent import RecurrentSeq2SeqConfig
from fastseq.text import Vocabulary
from fastseq.weights.checkpoint import Checkpoint
from fastseq.weights.stored import read_floats

__all__ = ["read_opennmt"]

_Tensors = dict[str, NDArray[np.float32]]
_CELLS = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn_tanh"}
_ATTENTIONS = {"dot": "dot", "general": "general", "mlp": "additive", "none": "none", None: "none"}
# Options that change what is computed, with the values that there is code for.
_SUPPORTED: dict[str, tuple[Any, ...]] = {
    "encoder_type": ("rnn", "brnn"),
    "decoder_type": ("rnn", "ifrnn"),
    "model_type": ("text",),
    "model_task": ("seq2seq", None),
    "rnn_type": tuple(_CELLS),
    "global_attention": tuple(_ATTENTIONS),
    "global_attention_function": ("softmax",),
    "coverage_attn": (False, None),
    "copy_attn": (False, None),
    "context_gate": (None,),
    "position_encoding": (False, None),
    "bridge": (False, None),
    "lora_layers": ([], None),
    "quant_layers": ([], None),
}
_EMBEDDING = "make_embedding.emb_luts.0.weight"


def read_opennmt(checkpoint: Checkpoint) -> tuple[RecurrentSeq2SeqConfig, _Tensors, Vocabulary]:
    """Read a checkpoint of OpenNMT-py with recurrent encoder and decoder.

    Parameters
    ----------
    checkpoint : Checkpoint

    Returns
    -------
    config, tensors, vocabulary
        What `Seq2SeqModel` takes.

    Raises
    ------
    ValueError
        If tensors are missing or damaged, or options are not supported; the message names all of them.
    """
    options = checkpoint.options("opt")
    wrong = [
        f"{name} is {repr(options[name])[:60]}"
        for name, supported in _SUPPORTED.items()
        if name in options and not any(options[name] == choice for choice in supported)
    ]
    if wrong:
        raise ValueError(f"options that are not supported: {', '.join(wrong)}")
    source, target = _vocabularies(checkpoint)
    stored = checkpoint.tensors("model") | {f"generator.{k}": v for k, v in checkpoint.tensors("generator").items()}
    # Version 2 has the linear layer of the generator in a sequence.
    stored = {re.sub(r"^generator\.0\.", "generator.", name): tensor for name, tensor in stored.items()}
    tensors = NamedTensors(read_floats(checkpoint.path, stored))
    config, renamed = _rename(tensors, options, source, target)
    tensors.finish()
    return config, renamed, Vocabulary(source, target, unit="token")


def _vocabularies(checkpoint: Checkpoint) -> tuple[list[str], list[str]]:
    vocabularies = checkpoint.values.get("vocab")
    found = [vocabularies.get(side) if isinstance(vocabularies, dict) else None for side in ("src", "tgt")]
    if not all(isinstance(tokens, list) and all(isinstance(token, str) for token in tokens) for tokens in found):
        raise ValueError("vocab has no lists src and tgt; expected a checkpoint of OpenNMT-py 3")
    if isinstance(vocabularies, dict) and vocabularies.get("src_feats"):
        raise ValueError("vocab has src_feats; source features are not supported")
    return found[0], found[1]  # type: ignore[return-value]


def _rename(
    tensors: NamedTensors, options: Mapping[str, Any], source: list[str], target: list[str]
) -> tuple[RecurrentSeq2SeqConfig, _Tensors]:
    feeding = bool(options.get("input_feed", 1)) or options.get("decoder_type") == "ifrnn"
    attention = _ATTENTIONS[options.get("global_attention", "general")]
    bidirectional = "encoder.rnn.weight_ih_l0_reverse" in tensors.tensors
    encoder_layers = tensors.layers("encoder.rnn.weight_ih_l{}")
    cells = "decoder.rnn.layers.{}.{}" if feeding else "decoder.rnn.{1}_l{0}"
    decoder_layers = tensors.layers(cells.format("{}", "weight_ih"))
    renamed: _Tensors = {
        "encoder.embedding.weight": tensors(f"encoder.embeddings.{_EMBEDDING}"),
        "decoder.embedding.weight": tensors(f"decoder.embeddings.{_EMBEDDING}"),
    }
    for layer in range(encoder_layers):
        for direction in ("", "_reverse") if bidirectional else ("",):
            names = [f"encoder.rnn.{kind}_l{layer}{direction}" for kind in WEIGHT_KINDS]
            renamed |= {name: tensors(name) for name in names}
    for layer in range(decoder_layers):
        renamed |= {f"decoder.rnn.{kind}_l{layer}": tensors(cells.format(layer, kind)) for kind in WEIGHT_KINDS}
    hidden = tensors("decoder.rnn.layers.0.weight_hh" if feeding else "decoder.rnn.weight_hh_l0").shape[-1]
    renamed |= _attention(tensors, attention, hidden)
    renamed |= {f"output.{kind}": tensors(f"generator.{kind}") for kind in ("weight", "bias")}
    config = RecurrentSeq2SeqConfig(
        source_vocab_size=len(source),
        target_vocab_size=len(target),
        pad_token_id=_special(target, "<blank>"),
        bos_token_id=_special(target, "<s>"),
        eos_token_id=_special(target, "</s>"),
        cell=_CELLS[options.get("rnn_type", "LSTM")],  # type: ignore[arg-type]
        source_embedding_size=renamed["encoder.embedding.weight"].shape[-1],
        target_embedding_size=renamed["decoder.embedding.weight"].shape[-1],
        encoder_hidden_size=tensors("encoder.rnn.weight_hh_l0").shape[-1],
        encoder_num_layers=max(1, encoder_layers),
        encoder_bidirectional=bidirectional,
        decoder_hidden_size=hidden,
        decoder_num_layers=max(1, decoder_layers),
        bridge="copy",
        attention=attention,  # type: ignore[arg-type]
        attention_size=hidden if attention == "additive" else None,
        input_feeding=feeding,
        combine_activation="none" if attention == "additive" else "tanh",
    )
    return config, renamed


def _attention(tensors: NamedTensors, kind: str, hidden: int) -> _Tensors:
    """The tensors of the attention. Only "mlp" has a bias in its last layer, and no tanh behind it."""
    if kind == "none":
        return {}
    combine = tensors("decoder.attn.linear_out.weight")
    renamed = {"attention.combine.weight": combine, "attention.combine.bias": np.zeros(combine.shape[0], np.float32)}
    if kind == "general":  # (W h) . m there, h . (W m) here
        renamed["attention.weight"] = np.ascontiguousarray(tensors("decoder.attn.linear_in.weight").T)
    elif kind == "additive":
        renamed["attention.combine.bias"] = tensors("decoder.attn.linear_out.bias")
        renamed["attention.query.weight"] = tensors("decoder.attn.linear_query.weight")
        renamed["attention.bias"] = tensors("decoder.attn.linear_query.bias")
        renamed["attention.key.weight"] = tensors("decoder.attn.linear_context.weight")
        renamed["attention.score.weight"] = tensors("decoder.attn.v.weight")
    return renamed


def _special(tokens: list[str], token: str) -> int:
    if token not in tokens:
        raise ValueError(f"the target vocabulary has no {token}")
    return tokens.index(token)
