"""Transformers in `.npz` files of Marian as Transformer encoder-decoders.

Definition: `src/models/transformer.h` and `src/layers/generic.h` of Marian. Matrices are (in, out), vectors (1, n),
layers count from 1. The decoder starts from an embedding of zeros, for which the target vocabulary gets one more token
that has no probability. Positions have their sines in the first half and their cosines in the second, at frequencies
10000 ** (-i / (d/2 - 1)): they are read as a table.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseq.models.config import Seq2SeqConfig
from fastseq.models.marian_vocabulary import read_vocabularies
from fastseq.models.transformer import TransformerSeq2SeqConfig
from fastseq.text import Vocabulary
from fastseq.weights.flat_yaml import read_flat_yaml
from fastseq.weights.npz import read_npz

__all__ = ["read_marian"]

_Arrays = dict[str, NDArray[np.float32]]
_CONFIG = "special:model.yml"
_END = 0  # the id of </s>
_POSITIONS = 1024
_IMPOSSIBLE = -1e9  # the bias of the start token: its probability is 0 in float32
_ACTIVATIONS = {"relu": "relu", "swish": "silu"}  # what Marian calls gelu is x * sigmoid(1.702 x)
# Options that change what is computed, with the values that there is code for; the first is Marian's default.
_SUPPORTED: dict[str, tuple[Any, ...]] = {
    "transformer-decoder-autoreg": ("self-attention",),
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


def read_marian(path: str | os.PathLike[str]) -> tuple[Seq2SeqConfig, _Arrays, Vocabulary | None]:
    """Read a Transformer of Marian.

    Parameters
    ----------
    path : str or path
        The `.npz` file; its configuration is inside. Vocabularies are read if `decoder.yml` or the file's own
        `.decoder.yml` beside it names `.yml` files. Sources must end with id 0, `</s>`.

    Returns
    -------
    config, tensors, vocabulary
        What `Seq2SeqModel` takes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or something else, tensors are missing, or options are not supported; the message names
        all of them.
    """
    arrays = read_npz(path)
    try:
        config, tensors = _convert(arrays)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    return config, tensors, read_vocabularies(Path(path))


def _convert(arrays: dict[str, NDArray[Any]]) -> tuple[Seq2SeqConfig, _Arrays]:
    if _CONFIG not in arrays or arrays[_CONFIG].dtype.itemsize != 1:
        raise ValueError(f"there is no {_CONFIG}; expected a model of Marian")
    try:
        options = read_flat_yaml(arrays.pop(_CONFIG).tobytes().rstrip(b"\0").decode())
    except ValueError as error:
        raise ValueError(f"{_CONFIG}: {error}") from None
    if options.get("type") != "transformer":
        raise ValueError(f"type is {str(options.get('type'))[:60]!r}; only 'transformer' is supported")
    wrong = [
        f"{name} is {repr(options[name])[:60]}"
        for name, supported in _SUPPORTED.items()
        if name in options and not any(type(options[name]) is type(c) and options[name] == c for c in supported)
    ]
    if wrong:
        raise ValueError(f"options that are not supported: {', '.join(wrong)}")
    reader = _Reader(arrays, _size(options, "dim-emb"))
    config, tensors = _transformer(reader, options, _norm_first(options))
    reader.finish()
    return config, tensors


def _norm_first(options: Mapping[str, Any]) -> bool:
    """Whether norms come before each part and once at the end, or behind each residual sum."""
    given = {part: str(options.get(f"transformer-{part}") or "").replace("d", "") for part in _ORDERS[True]}
    for norm_first, order in _ORDERS.items():
        if given == order:
            return norm_first
    shown = ", ".join(f"transformer-{part} {order!r}" for part, order in given.items())
    raise ValueError(f"{shown}; expected '', 'an', '' or 'n', 'a', 'n' besides dropout")


_ORDERS = {
    False: {"preprocess": "", "postprocess": "an", "postprocess-top": ""},
    True: {"preprocess": "n", "postprocess": "a", "postprocess-top": "n"},
}


def _size(options: Mapping[str, Any], name: str) -> int:
    value = options.get(name)
    if type(value) is not int or not 0 < value < 1 << 20:
        raise ValueError(f"{name} is {str(value)[:60]!r}; expected a whole number above 0")
    return value


class _Reader:
    """Takes arrays by name, matrices transposed; what is missing or of another shape is named at the end."""

    def __init__(self, arrays: dict[str, NDArray[Any]], hidden: int) -> None:
        self.arrays = arrays
        self.hidden = hidden
        self.left = {name for name in arrays if not name.startswith("special:")}
        self.problems: list[str] = []

    def take(self, name: str, *shape: int | None) -> NDArray[np.float32]:
        """Return an array of a shape; None stands for any length."""
        self.left.discard(name)
        array = self.arrays.get(name)
        fits = array is not None and len(array.shape) == len(shape)
        if array is None:
            self.problems.append(f"tensor {name} is missing")
        elif not fits or any(w not in (None, n) for n, w in zip(array.shape, shape, strict=True)):
            wanted = str(shape).replace("None", "*")
            self.problems.append(f"tensor {name} has shape {array.shape}; expected {wanted}")
        elif array.dtype != np.float32:
            self.problems.append(f"tensor {name} has type {array.dtype}; expected floats")
        else:
            return array
        return np.zeros([n or 1 for n in shape], np.float32)

    def linear(self, weight: str, bias: str, columns: int, rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Weight (out, in) and bias (out,)."""
        return np.ascontiguousarray(self.take(weight, columns, rows).T), self.take(bias, 1, rows)[0]

    def norm(self, name: str, suffix: str) -> dict[str, NDArray[Any]]:
        parts = {"weight": f"{name}_ln_scale{suffix}", "bias": f"{name}_ln_bias{suffix}"}
        return {kind: self.take(found, 1, self.hidden)[0] for kind, found in parts.items()}

    def attention(self, name: str) -> dict[str, NDArray[Any]]:
        parts = [self.linear(f"{name}_W{kind}", f"{name}_b{kind}", self.hidden, self.hidden) for kind in "qkvo"]
        weights, biases = zip(*parts, strict=True)
        return {
            "in_proj_weight": np.concatenate(weights[:3]),
            "in_proj_bias": np.concatenate(biases[:3]),
            "out_proj.weight": weights[3],
            "out_proj.bias": biases[3],
        }

    def finish(self) -> None:
        problems = self.problems + [f"tensor {name} is not expected" for name in sorted(self.left)]
        if problems:
            raise ValueError("; ".join(problems[:50]))


def _transformer(
    reader: _Reader, options: Mapping[str, Any], norm_first: bool
) -> tuple[TransformerSeq2SeqConfig, _Arrays]:
    hidden = reader.hidden
    tensors: _Arrays = {}
    depth = {"encoder": _size(options, "enc-depth"), "decoder": _size(options, "dec-depth")}
    inner = {"encoder": _size(options, "transformer-dim-ffn")}
    inner["decoder"] = options.get("transformer-decoder-dim-ffn") or inner["encoder"]
    if inner["decoder"] != inner["encoder"]:
        raise ValueError(f"transformer-decoder-dim-ffn is {inner['decoder']}; only {inner['encoder']} is supported")
    suffix = "_pre" if norm_first else ""
    for part, layers in depth.items():
        for i in range(layers):
            name, to = f"{part}_l{i + 1}", f"{part}.layers.{i}"
            blocks = [("self", "self_attn")] + ([("context", "multihead_attn")] if part == "decoder" else [])
            for block, (theirs, ours) in enumerate(blocks, 1):
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
    source, target = _embeddings(reader, options)
    start = np.zeros((1, hidden), np.float32)
    tensors["encoder.embedding.weight"] = source
    tensors["decoder.embedding.weight"] = np.concatenate((target, start))
    if not tied:
        output = reader.take("decoder_ff_logit_out_W", hidden, len(target)).T
        tensors["output.weight"] = np.concatenate((output, start))
    bias = reader.take("decoder_ff_logit_out_b", 1, len(target))[0]
    tensors["output.bias"] = np.append(bias, np.float32(_IMPOSSIBLE))
    config = TransformerSeq2SeqConfig(
        source_vocab_size=len(source),
        target_vocab_size=len(target) + 1,
        pad_token_id=len(target),
        bos_token_id=len(target),
        eos_token_id=_END,
        hidden_size=hidden,
        num_heads=_size(options, "transformer-heads"),
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
    )
    return config, tensors


def _embeddings(reader: _Reader, options: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if options.get("tied-embeddings-all") or options.get("tied-embeddings-src"):
        both = reader.take("Wemb", None, reader.hidden)
        return both, both
    return reader.take("encoder_Wemb", None, reader.hidden), reader.take("decoder_Wemb", None, reader.hidden)


def _positions(hidden: int) -> NDArray[np.float32]:
    """Sines, then cosines of p * 10000 ** (-i / (d/2 - 1)), (P, d)."""
    half = hidden // 2
    frequencies = np.exp(np.arange(half) * (-np.log(10000.0) / max(1, half - 1)))
    angles = np.arange(_POSITIONS)[:, None] * frequencies
    return np.concatenate((np.sin(angles), np.cos(angles)), axis=1).astype(np.float32)
