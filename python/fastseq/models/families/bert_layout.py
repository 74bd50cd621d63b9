"""What BERT's descendants share: heads, and the names of tensors and of configuration fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastseq.models.families.blueprint import Blueprint
from fastseq.models.families.fields import Fields
from fastseq.models.families.sources import Sources, Stored, attention, linear, norm
from fastseq.models.kinds import EncoderConfig
from fastseq.models.stack import Activation, StackConfig

__all__ = [
    "Head",
    "bert_stack",
    "bert_stack_sources",
    "embedding_sources",
    "encoder_blueprint",
    "head_labels",
    "read_problem_type",
]

_TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "Encoder": "feature-extraction",
    "Model": "feature-extraction",
    "ForMaskedLM": "feature-extraction",
    "ForPreTraining": "feature-extraction",
}


@dataclass(frozen=True)
class Head:
    """The head of sequence classification: a layer on what the encoder gives, and a hidden one before it.

    Parameters
    ----------
    dense, output : str
        Their names.
    activation : str
        Of the hidden one.
    bias : bool, default True
        Of the hidden one.
    norm : str, optional
        Of the norm behind the hidden one, if there is one.
    pooling : {"first", "mean"}, default "first"
        Whether it sees the first token or the mean of all.
    of_tokens : bool, default False
        Whether the other tasks have all of it too, and not only an output layer.
    """

    dense: str
    output: str
    activation: Activation
    bias: bool = True
    norm: str | None = None
    pooling: Literal["first", "mean"] = "first"
    of_tokens: bool = False


def encoder_blueprint(fields: Fields, model_type: str, stack: StackConfig, sources: Sources, head: Head) -> Blueprint:
    """Return the blueprint of an encoder with the head that `architectures` names."""
    task = _TASKS[fields.architecture("Model", list(_TASKS))]
    labels = {} if task == "feature-extraction" else head_labels(fields, task)
    has_dense = task == "text-classification" or (head.of_tokens and bool(labels))
    if has_dense:
        sources |= linear("head.dense", head.dense, head.bias) | linear("head.output", head.output)
        sources |= norm("head.norm", head.norm, stack.norm_bias) if head.norm else {}
    elif labels:
        sources |= linear("head.output", "qa_outputs" if task == "question-answering" else "classifier")
    fields.require("is_decoder", [False])  # attention to what came before only
    config = EncoderConfig(
        model_type=model_type,
        encoder=stack,
        task=task,
        id2label=labels,
        problem_type=read_problem_type(fields),
        head_dense=has_dense,
        head_activation=head.activation if has_dense else "none",
        head_bias=head.bias,
        head_norm=has_dense and head.norm is not None,
        pooling=head.pooling,
        pad_token_id=None if fields.get("pad_token_id") is None else fields.token("pad_token_id"),
    )
    ignored: tuple[str, ...] = (r"(.*\.)?position_ids", r"(.*\.)?token_type_ids", r"pooler\..*")
    if task == "feature-extraction":
        ignored += (r"(cls|lm_head|vocab_\w+|generator_\w+|discriminator_\w+|predictions|sop_classifier)\..*",)
    return Blueprint(config=config, sources=sources, ignored=ignored)


def read_problem_type(fields: Fields) -> str | None:
    """Return what kind of labels a head gives, if the folder says it."""
    fields.require("problem_type", ["single_label_classification", "multi_label_classification", "regression"])
    kind: str | None = fields.get("problem_type")
    return kind


def head_labels(fields: Fields, task: str) -> dict[int, str]:
    """Return the names of the outputs of a head; `id2label` has numbers as text."""
    given = fields.get("id2label")
    if task == "question-answering":
        return {0: "start", 1: "end"}
    if given is None:
        return {i: f"LABEL_{i}" for i in range(min(fields.size("num_labels", 2), 1 << 20))}
    if isinstance(given, dict):
        try:
            labels = {int(key): str(value) for key, value in given.items()}
        except ValueError:
            labels = {}
        if labels and sorted(labels) == list(range(len(labels))):
            return dict(sorted(labels.items()))
    fields.problem("id2label is wrong; expected a name for each of 0, 1, 2, ...")
    return {0: "LABEL_0"}


def bert_stack(
    fields: Fields,
    *,
    position_offset: int = 0,
    token_types: int = 2,
    activation: str = "gelu",
    norm_eps: float = 1e-12,
) -> StackConfig:
    """Return the description of an encoder by the field names that BERT has."""
    hidden, heads = fields.size("hidden_size"), fields.size("num_attention_heads")
    head_size = fields.head_size(hidden, heads)
    fields.require("position_embedding_type", ["absolute"])
    positions = fields.positions("max_position_embeddings", 512)
    if positions <= position_offset:
        fields.problem(f"max_position_embeddings is {positions}; expected more than {position_offset}")
    return StackConfig(
        vocab_size=fields.size("vocab_size"),
        hidden_size=hidden,
        layers=fields.layers("num_hidden_layers"),
        num_heads=heads,
        head_size=head_size,
        intermediate_size=fields.size("intermediate_size"),
        activation=fields.activation("hidden_act", activation),
        norm="layer",
        norm_eps=fields.number("layer_norm_eps", norm_eps),
        norm_first=False,
        final_norm=False,
        embedding_norm=True,
        positions="table",
        max_positions=max(1, positions - position_offset),
        position_offset=position_offset,
        token_types=fields.size("type_vocab_size", token_types) if token_types else 0,
        attention_scale=head_size**-0.5,
    )


def bert_stack_sources(
    stack: StackConfig,
    part: str = "encoder",
    prefix: str = "",
    norms: tuple[str, str] = ("output.LayerNorm", "output.LayerNorm"),
) -> Sources:
    """Return the sources of an encoder or decoder by the tensor names that BERT has, behind a prefix.

    `norms`: the names of the norm inside each attention, and of the last one of a layer.
    """
    sources = embedding_sources(stack, part, prefix)
    for i in stack.layers:
        ours, theirs = f"{part}.layers.{i}", f"{prefix}encoder.layer.{i}"
        for number, name in enumerate(stack.attentions, 1):
            on = f"{theirs}.{'attention' if name == 'self_attn' else 'crossattention'}"
            inside = [f"{on}.{layer}" for layer in ("self.query", "self.key", "self.value", "output.dense")]
            sources |= attention(f"{ours}.{name}", inside)
            sources |= norm(f"{ours}.norm{number}", f"{on}.{norms[0]}")
        sources |= linear(f"{ours}.linear1", f"{theirs}.intermediate.dense")
        sources |= linear(f"{ours}.linear2", f"{theirs}.output.dense")
        sources |= norm(f"{ours}.norm{len(stack.attentions) + 1}", f"{theirs}.{norms[1]}")
    return sources


def embedding_sources(stack: StackConfig, part: str = "encoder", prefix: str = "") -> Sources:
    """Return the sources of the embeddings by the tensor names that BERT has, behind a prefix."""
    theirs = f"{prefix}embeddings"
    sources: Sources = norm(f"{part}.embedding_norm", f"{theirs}.LayerNorm") if stack.embedding_norm else {}
    sources[f"{part}.embedding.weight"] = Stored(f"{theirs}.word_embeddings.weight")
    sources[f"{part}.positions.weight"] = Stored(f"{theirs}.position_embeddings.weight")
    if stack.token_types:
        sources[f"{part}.token_types.weight"] = Stored(f"{theirs}.token_type_embeddings.weight")
    return sources
