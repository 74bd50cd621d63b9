"""LSTM models of fairseq as recurrent encoder-decoders.

Definition: `fairseq/models/lstm.py` of fairseq. A checkpoint has `model` and, as a namespace, `args` or, since 0.10,
`cfg["model"]`. Sources end with `</s>`, which the decoder also starts from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq._layout import WEIGHT_KINDS
from fastseq.models.named_tensors import NamedTensors
from fastseq.models.recurrent import RecurrentSeq2SeqConfig
from fastseq.text import Vocabulary
from fastseq.weights.checkpoint import Checkpoint, Record
from fastseq.weights.stored import read_floats

__all__ = ["is_fairseq", "read_fairseq"]

_Tensors = dict[str, NDArray[np.float32]]
_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]  # the first tokens of every dictionary
_PADDING, _END = 1, 2
_ADAPTIVE = "adaptive_loss"
_SIDES = ("encoder", "decoder")


def is_fairseq(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint is one of fairseq."""
    return "model" in checkpoint.values and ("cfg" in checkpoint.values or "args" in checkpoint.values)


def read_fairseq(checkpoint: Checkpoint) -> tuple[RecurrentSeq2SeqConfig, _Tensors, Vocabulary | None]:
    """Read a checkpoint of fairseq with an LSTM encoder and decoder.

    Parameters
    ----------
    checkpoint : Checkpoint
        Vocabularies are read from `dict.LANGUAGE.txt` beside it, if both are there.

    Returns
    -------
    config, tensors, vocabulary
        What `Seq2SeqModel` takes.

    Raises
    ------
    ValueError
        If tensors are missing or damaged, or options are not supported; the message names all of them.
    """
    options = _options(checkpoint)
    arch = str(options.get("arch", options.get("_name")))
    wrong = []
    if arch.partition("_")[0] != "lstm" or arch == "lstm_lm":
        wrong.append(f"arch is {arch[:60]!r}; only 'lstm' and its variants are supported")
    if options.get("criterion") == _ADAPTIVE:
        wrong.append(f"criterion is {_ADAPTIVE!r}; an adaptive softmax is not supported")
    if str(options.get("decoder_attention", "1")).lower() not in ("0", "1", "false", "true"):
        wrong.append(f"decoder_attention is {str(options['decoder_attention'])[:60]!r}; expected 0 or 1")
    if wrong:
        raise ValueError("; ".join(wrong))
    tensors = NamedTensors(read_floats(checkpoint.path, checkpoint.tensors("model")))
    config, renamed = _rename(tensors, options)
    tensors.finish()
    sizes = (config.source_vocab_size, config.target_vocab_size)
    return config, renamed, _vocabulary(Path(checkpoint.path).parent, options, sizes)


def _options(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Options of the model, the task and the criterion together."""
    if checkpoint.values.get("args") is not None:
        return checkpoint.options("args")
    parts = checkpoint.options("cfg")
    found: dict[str, Any] = {}
    for name in ("criterion", "task", "model"):
        part = parts.get(name)
        values = part.attributes if isinstance(part, Record) else part
        if name == "criterion" and isinstance(values, dict):
            found["criterion"] = values.get("_name")
        elif isinstance(values, dict):
            found |= values
    return found


def _rename(tensors: NamedTensors, options: Mapping[str, Any]) -> tuple[RecurrentSeq2SeqConfig, _Tensors]:
    bidirectional = "encoder.lstm.weight_ih_l0_reverse" in tensors.tensors
    encoder_layers = tensors.layers("encoder.lstm.weight_ih_l{}")
    layers = tensors.layers("decoder.layers.{}.weight_ih")
    attends = str(options.get("decoder_attention", "1")).lower() in ("1", "true")
    renamed: _Tensors = {f"{side}.embedding.weight": tensors(f"{side}.embed_tokens.weight") for side in _SIDES}
    for layer in range(encoder_layers):
        for end in ("", "_reverse") if bidirectional else ("",):
            renamed |= {
                f"encoder.rnn.{k}_l{layer}{end}": tensors(f"encoder.lstm.{k}_l{layer}{end}") for k in WEIGHT_KINDS
            }
    for layer in range(layers):
        renamed |= {f"decoder.rnn.{k}_l{layer}": tensors(f"decoder.layers.{layer}.{k}") for k in WEIGHT_KINDS}
    projected = "decoder.encoder_hidden_proj.weight" in tensors.tensors
    for ours, theirs in (("h", "hidden"), ("c", "cell")) if projected else ():
        for kind in ("weight", "bias"):  # one matrix for all layers
            array = tensors(f"decoder.encoder_{theirs}_proj.{kind}")
            renamed |= {f"bridge.{ours}.{layer}.{kind}": array for layer in range(layers)}
    if attends:  # (W h) . m there, h . (W m) here
        combine = tensors("decoder.attention.output_proj.weight")
        renamed["attention.weight"] = np.ascontiguousarray(tensors("decoder.attention.input_proj.weight").T)
        renamed["attention.combine.weight"] = combine
        renamed["attention.combine.bias"] = np.zeros(len(combine), np.float32)
    renamed |= _output(tensors, renamed["decoder.embedding.weight"])
    config = RecurrentSeq2SeqConfig(
        source_vocab_size=len(renamed["encoder.embedding.weight"]),
        target_vocab_size=len(renamed["decoder.embedding.weight"]),
        pad_token_id=_PADDING,
        bos_token_id=_END,
        eos_token_id=_END,
        cell="lstm",
        source_embedding_size=renamed["encoder.embedding.weight"].shape[-1],
        target_embedding_size=renamed["decoder.embedding.weight"].shape[-1],
        encoder_hidden_size=tensors("encoder.lstm.weight_hh_l0").shape[-1],
        encoder_num_layers=max(1, encoder_layers),
        encoder_bidirectional=bidirectional,
        decoder_hidden_size=tensors("decoder.layers.0.weight_hh").shape[-1],
        decoder_num_layers=max(1, layers),
        bridge="linear" if projected else "copy",
        attention="general" if attends else "none",
        input_feeding=True,
    )
    return config, renamed


def _output(tensors: NamedTensors, embedding: NDArray[np.float32]) -> _Tensors:
    """The last layers as one: `fc_out` or the embedding, after `additional_fc` where it is there."""
    if "decoder.fc_out.weight" in tensors.tensors:
        weight, bias = tensors("decoder.fc_out.weight"), tensors("decoder.fc_out.bias")
    else:
        weight, bias = embedding, np.zeros(len(embedding), np.float32)
    if "decoder.additional_fc.weight" in tensors.tensors:
        inner, inner_bias = (tensors(f"decoder.additional_fc.{kind}").astype(np.float64) for kind in ("weight", "bias"))
        if inner.shape[:1] != weight.shape[1:] or inner_bias.shape != inner.shape[:1]:
            raise ValueError(f"additional_fc has shape {inner.shape}; the layer behind it {weight.shape}")
        bias = (weight @ inner_bias + bias).astype(np.float32)
        weight = (weight @ inner).astype(np.float32)
    return {"output.weight": weight, "output.bias": bias}


def _vocabulary(folder: Path, options: Mapping[str, Any], sizes: tuple[int, int]) -> Vocabulary | None:
    languages = [options.get(f"{side}_lang") for side in ("source", "target")]
    if not all(isinstance(language, str) and language.isidentifier() for language in languages):
        return None
    paths = [folder / f"dict.{language}.txt" for language in languages]
    if not all(path.is_file() for path in paths):
        return None
    sides = []
    for path, size in zip(paths, sizes, strict=True):
        lines = path.read_text(encoding="utf-8").splitlines()
        tokens = _SPECIAL + [line.removesuffix(" #fairseq:overwrite").rpartition(" ")[0] for line in lines]
        if len(tokens) != size or len(set(tokens)) != size:
            raise ValueError(f"{path} has {len(set(tokens))} tokens with the four special ones; expected {size}")
        sides.append(tokens)
    return Vocabulary(sides[0], sides[1], unit="token")
