"""What BART's descendants share: names of tensors and of configuration fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastseq.models.classifier_kind import Seq2SeqClassifierConfig
from fastseq.models.families.bart_head import ClassifierStart, head_sources, read_task
from fastseq.models.families.bert_layout import head_labels, read_problem_type
from fastseq.models.families.blueprint import Blueprint
from fastseq.models.families.fields import Fields
from fastseq.models.families.positions import marian_sinusoids, tensor2tensor_sinusoids
from fastseq.models.families.sources import Computed, Source, Sources, Stored, attention, is_copy, linear, norm
from fastseq.models.kinds import EncoderDecoderConfig
from fastseq.models.stack import StackConfig
from fastseq.weights import StoredTensor

__all__ = ["read_bart_layout"]

Positions = Literal["learned", "marian", "tensor2tensor"]


def read_bart_layout(
    fields: Fields,
    stored: Mapping[str, StoredTensor],
    model_type: str,
    *,
    norm_first: bool,
    embedding_norm: bool,
    positions: Positions,
    activation: str,
    eos_token_id: int,
    pad_token_id: int,
    decoder_start_token_id: int,
    separate_embeddings: bool = False,
    position_offset: int = 2,
    scale_embedding: bool = False,
    vocab_sizes: tuple[str, str] = ("vocab_size", "decoder_vocab_size"),
    output: str = "lm_head.weight",
    classifier_start: ClassifierStart | None = None,
) -> Blueprint:
    """Return the blueprint of a family.

    Parameters
    ----------
    fields, stored
        See `Family`.
    model_type : str
    norm_first : bool
        Pre-norm layers and a norm at the end.
    embedding_norm : bool
    positions : {"learned", "marian", "tensor2tensor"}
        A table in the folder, or one of two kinds of sinusoids, which may be stored.
    activation : str
        The default of `activation_function`, as the following are of theirs.
    eos_token_id, pad_token_id, decoder_start_token_id : int
    separate_embeddings : bool, default False
        Whether encoder and decoder have one each, also where their numbers are the same.
    position_offset : int, default 2
        The row that a table of positions begins with.
    scale_embedding : bool, default False
        The default of the field of this name.
    vocab_sizes : pair of str
        Fields of the source's and the target's vocabulary size; the second may be missing.
    output : str
        Name of the output layer's weight.
    classifier_start : {"start_token", "last_token"}, optional
        What the decoder of a classifier reads first; None: the family has no classifiers.
    """
    task = read_task(fields, classifiers=classifier_start is not None)
    vocab_size, pad = fields.size(vocab_sizes[0]), fields.token("pad_token_id", pad_token_id)
    source, target = _embedding_name(stored, "encoder"), _embedding_name(stored, "decoder")
    separate = separate_embeddings or (source != target and not is_copy(stored, source, target))
    tied = is_copy(stored, output, target)
    if output not in stored:
        tied = fields.flag("tie_word_embeddings", True)

    # Of fairseq's sinusoids those behind the padding id are used.
    offset = {"learned": position_offset, "marian": 0, "tensor2tensor": pad + 1}[positions]

    def stack(part: str) -> StackConfig:
        hidden, heads = fields.size("d_model"), fields.size(f"{part}_attention_heads")
        head_size = fields.head_size(hidden, heads)
        return StackConfig(
            vocab_size=fields.size(vocab_sizes[1], vocab_size) if part == "decoder" else vocab_size,
            hidden_size=hidden,
            layers=fields.layers(f"{part}_layers"),
            num_heads=heads,
            head_size=head_size,
            intermediate_size=fields.size(f"{part}_ffn_dim"),
            activation=fields.activation("activation_function", activation),
            norm="layer",
            norm_eps=1e-5,
            norm_first=norm_first,
            final_norm=norm_first,
            embedding_norm=embedding_norm,
            embedding_scale=float(np.sqrt(hidden)) if fields.flag("scale_embedding", scale_embedding) else 1.0,
            positions="table",
            max_positions=fields.positions("max_position_embeddings"),
            position_offset=offset if f"{part}.embed_positions.weight" in stored or positions == "learned" else 0,
            attention_scale=head_size**-0.5,
            cross_attention=part == "decoder",
        )

    encoder, decoder = stack("encoder"), stack("decoder")
    start = fields.token("decoder_start_token_id", decoder_start_token_id)
    end = fields.first_token("eos_token_id", eos_token_id)
    if encoder.vocab_size != decoder.vocab_size and not separate:
        fields.problem("decoder_vocab_size differs from vocab_size, but one embedding is shared")
    if positions == "tensor2tensor" and start == pad:
        fields.problem("decoder_start_token_id is pad_token_id, which has no position")
    if positions == "tensor2tensor" and encoder.hidden_size < 4:
        fields.problem(f"d_model is {encoder.hidden_size}; expected at least 4 for sines and cosines")
    sources = _stack_sources("encoder", encoder) | _stack_sources("decoder", decoder)
    sinusoids = cache(marian_sinusoids)  # often the same for both parts, and slow
    for part, description in (("encoder", encoder), ("decoder", decoder)):
        sources[f"{part}.positions.weight"] = _positions(stored, part, description, positions, pad, sinusoids)
    sources["decoder.embedding.weight"] = Stored(target)
    if separate:
        sources["encoder.embedding.weight"] = Stored(source)
    ignored: tuple[str, ...] = (
        r"(encoder|decoder)\.embed_(tokens|positions)\.weights?",
        r"shared\.weight",
        re.escape(output),
    )
    if task is not None:
        classifier = Seq2SeqClassifierConfig(
            model_type=model_type,
            encoder=encoder,
            decoder=decoder,
            shared_embedding=not separate,
            task=task,
            id2label=head_labels(fields, task),
            problem_type=read_problem_type(fields),
            decoder_start_token_id=start if classifier_start == "start_token" else None,
            pad_token_id=pad,
            eos_token_id=end,
        )
        ignored += ("final_logits_bias",)
        return Blueprint(config=classifier, sources=sources | head_sources(task), ignored=ignored)
    config = EncoderDecoderConfig(
        model_type=model_type,
        encoder=encoder,
        decoder=decoder,
        shared_embedding=not separate,
        tie_output=tied,
        output_bias="final_logits_bias" in stored,
        pad_token_id=pad,
        bos_token_id=start,
        eos_token_id=end,
    )
    if not config.tie_output:
        sources["output.weight"] = Stored(output)
    if config.output_bias:
        bias_shape = {"final_logits_bias": (1, decoder.vocab_size)}
        sources["output.bias"] = Computed(np.ravel, bias_shape)
    return Blueprint(config=config, sources=sources, ignored=ignored, infinite=("output.bias",))


def _embedding_name(stored: Mapping[str, StoredTensor], part: str) -> str:
    """Name of what a part reads: weights that are tied are stored under one name of several, or under all."""
    other = "encoder" if part == "decoder" else "decoder"
    names = (f"{part}.embed_tokens.weight", "shared.weight", f"{other}.embed_tokens.weight", "lm_head.weight")
    return next((name for name in names if name in stored), "shared.weight")


def _positions(
    stored: Mapping[str, StoredTensor],
    part: str,
    stack: StackConfig,
    kind: Positions,
    pad: int,
    sinusoids: Callable[[int, int], NDArray[Any]],
) -> Source:
    name, rows, size = f"{part}.embed_positions.weight", stack.max_positions, stack.hidden_size
    if kind == "learned" or name in stored:
        return Stored(name)
    if kind == "marian":
        return Computed(partial(sinusoids, rows, size))
    return Computed(partial(tensor2tensor_sinusoids, pad + 1, rows, size))


def _stack_sources(part: str, stack: StackConfig) -> Sources:
    sources: Sources = {}
    if stack.embedding_norm:
        sources |= norm(f"{part}.embedding_norm", f"{part}.layernorm_embedding")
    if stack.final_norm:
        sources |= norm(f"{part}.norm", f"{part}.layer_norm")
    for i in stack.layers:
        name = f"{part}.layers.{i}"
        theirs = {"self_attn": "self_attn", "multihead_attn": "encoder_attn"}
        for number, ours in enumerate(stack.attentions, 1):
            projections = [f"{name}.{theirs[ours]}.{which}_proj" for which in ("q", "k", "v", "out")]
            sources |= attention(f"{name}.{ours}", projections)
            sources |= norm(f"{name}.norm{number}", f"{name}.{theirs[ours]}_layer_norm")
        sources |= linear(f"{name}.linear1", f"{name}.fc1") | linear(f"{name}.linear2", f"{name}.fc2")
        sources |= norm(f"{name}.norm{len(stack.attentions) + 1}", f"{name}.final_layer_norm")
    return sources
