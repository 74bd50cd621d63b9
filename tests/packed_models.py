"""Models of every kind that are saved in the form they compute with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from fastseq.models import DeepRecurrentSeq2SeqConfig, Seq2SeqModel
from small_models import bert_folder, deberta_folder, marian_folder
from text_models import classifier, language_model, tensors_of
from tiny_models import COMMON, classifier_config, random_model, random_tensors, recurrent_config, transformer_config

TYPES = ["float32", "bfloat16", "int8"]
BATCH = [[3, 4, 5, 6], [7], [4, 4, 3]]
DEEP = {
    "embedding_size": 9,
    "hidden_size": 10,
    "encoder_type": "alternating",
    "encoder_num_layers": 2,
    "encoder_depth": 2,
    "decoder_num_layers": 2,
    "decoder_base_depth": 3,
    "decoder_high_depth": 2,
}
Make = Callable[[Path, str], Any]


def own(config: Any) -> Make:
    return lambda _, compute_type: Seq2SeqModel(
        config, random_tensors(config), random_model(config, "native")._vocabulary, "native", compute_type=compute_type
    )


def answerer(_: Path, compute_type: str) -> Any:
    config = classifier_config(task="question-answering", id2label={0: "start", 1: "end"})
    return fastseq.models.Seq2SeqClassifier(config, random_tensors(config), "native", compute_type=compute_type)


def folder_of(write: Callable[..., Path], *arguments: Any) -> Make:
    def build(path: Path, compute_type: str) -> Any:
        pytest.importorskip("tokenizers")  # the folder has the tokenizer of its kind
        pytest.importorskip("sentencepiece")
        return fastseq.load_model(write(path / "published", *arguments), compute_type)

    return build


def text_model(make: Callable[..., Any], **changes: Any) -> Make:
    def build(_: Path, compute_type: str) -> Any:
        model = make("native", **changes)
        return type(model)(model.config, tensors_of(model.config), model.tokenizer, "native", compute_type=compute_type)

    return build


MODELS: dict[str, Make] = {
    "recurrent": own(recurrent_config()),
    "recurrent additive": own(recurrent_config(attention="additive", attention_size=5, bridge="dense", cell="gru")),
    "recurrent tanh": own(recurrent_config(cell="rnn_tanh", attention="none", bridge="zero", input_feeding=False)),
    "recurrent of few tokens": own(
        recurrent_config(source_embedding_size=16, target_embedding_size=14, input_feeding=False)
    ),
    "deep recurrent": own(DeepRecurrentSeq2SeqConfig.from_dict(COMMON | DEEP)),
    "deep with norms": own(DeepRecurrentSeq2SeqConfig.from_dict(COMMON | DEEP | {"layer_norm": True})),
    "transformer": own(transformer_config()),
    "transformer untied": own(transformer_config(tie_output=False, positions="learned", max_positions=30)),
    "ssru": own(transformer_config(decoder_history="ssru")),
    "encoder-decoder answers": answerer,
    "marian": folder_of(marian_folder),
    "bert": folder_of(bert_folder, "feature-extraction"),
    "bert classifier": folder_of(bert_folder, "text-classification"),
    "bert tokens": folder_of(bert_folder, "token-classification"),
    "deberta": folder_of(deberta_folder),
    "classifier": text_model(classifier),
    "attention classifier": text_model(classifier, pooling="attention", attention_size=5),
    "language model": text_model(language_model),
    "tied language model": text_model(language_model, tie_output=True, embedding_size=9),
}


def answers(model: Any) -> list[Any]:
    """Numbers that all weights have a part in."""
    if hasattr(model, "decode"):
        arrays = model.decode(BATCH, [[1, 3, 4], [1], [1, 5]])
        tokens = [generation.tokens for generation in model.generate(BATCH, num_beams=2, max_length=9)]
        return [*arrays, *model.encode(BATCH), *map(np.array, tokens)]
    if model.task == "feature-extraction":
        return list(model.encode(BATCH))
    return list(model.logits(BATCH))


def saved(model: Any, path: Path) -> Path:
    model.save_pretrained(path)
    return path
