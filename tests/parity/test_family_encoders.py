"""Encoder families against transformers: outputs, and the heads of every task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from tiny_models import BACKENDS

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import torch  # noqa: E402
from torch_families import TASKS, assert_close, batches, padded, randomise, save  # noqa: E402

BERT: dict[str, Any] = {
    "vocab_size": 71,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", BERT),
    "roberta": ("Roberta", BERT | {"pad_token_id": 1, "type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", BERT | {"pad_token_id": 1, "type_vocab_size": 1, "hidden_act": "gelu_new"}),
    "xlm-roberta-xl": ("XLMRobertaXL", BERT | {"pad_token_id": 1, "type_vocab_size": 1}),
    "camembert": ("Camembert", BERT | {"pad_token_id": 1, "type_vocab_size": 1}),
    "distilbert": (
        "DistilBert",
        {"vocab_size": 71, "dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 37, "max_position_embeddings": 40},
    ),
    "electra": ("Electra", BERT | {"embedding_size": 10}),
    "electra-wide": ("Electra", BERT | {"embedding_size": 24, "num_hidden_layers": 1}),
    "mpnet": ("MPNet", {name: value for name, value in BERT.items() if name != "type_vocab_size"}),
    "albert": ("Albert", BERT | {"embedding_size": 10, "num_hidden_layers": 3}),
    "albert-groups": (
        "Albert",
        BERT | {"embedding_size": 24, "num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2},
    ),
    "bert-relu": ("Bert", BERT | {"hidden_act": "relu", "num_attention_heads": 4, "layer_norm_eps": 1e-5}),
}
LENGTHS = [9, 1, 31, 4, 17]
LABELS = {0: "bad", 1: "good", 2: "neither", 3: "both", 4: "other"}


def make(case: str, suffix: str, folder: Path) -> Any:
    name, values = CASES[case]
    values = values if suffix == "ForQuestionAnswering" else values | {"id2label": LABELS}
    torch.manual_seed(0)
    model = getattr(transformers, name + suffix)(getattr(transformers, f"{name}Config")(**values))
    randomise(model, seed=len(case))
    save(model, folder)
    return model


@pytest.mark.parametrize("suffix", TASKS)
@pytest.mark.parametrize("case", CASES)
def test_encoder_and_head(case: str, suffix: str, tmp_path: Path) -> None:
    hf = make(case, suffix, tmp_path)
    rows = batches(70, LENGTHS, 1)
    types = None
    if hf.config.to_dict().get("type_vocab_size", 0) == 2:
        types = [[int(i > len(row) // 2) for i in range(len(row))] for row in rows]
    ids, mask = padded(rows, hf.config.pad_token_id)
    inputs = {"input_ids": ids, "attention_mask": mask}
    if types is not None:
        inputs["token_type_ids"] = padded(types, 0)[0]
    with torch.no_grad():
        output = hf(**inputs, output_hidden_states=True)
    hidden = output.hidden_states[-1]
    for backend in BACKENDS:
        model = fastseq.load_model(tmp_path, backend=backend)
        assert model.task == TASKS[suffix]
        assert model.model_type == hf.config.model_type
        assert model.vocab_size == hf.config.vocab_size
        for b, encoded in enumerate(model.encode(rows, types)):
            assert_close(encoded, hidden[b, : len(rows[b])])
        if suffix in ("Model", "ForMaskedLM"):
            with pytest.raises(ValueError, match="no head"):
                model.logits(rows)
            continue
        for b, logits in enumerate(model.logits(rows, types)):
            if suffix == "ForQuestionAnswering":
                expected = torch.stack((output.start_logits[b], output.end_logits[b]), dim=1)[: len(rows[b])]
            else:
                assert model.config.id2label == LABELS
                expected = (
                    output.logits[b] if suffix == "ForSequenceClassification" else output.logits[b, : len(rows[b])]
                )
            assert_close(logits, expected)


def test_an_encoder_that_has_no_heads(tmp_path: Path) -> None:
    values = {name: value for name, value in BERT.items() if name != "type_vocab_size"}
    config = transformers.BertGenerationConfig(**values, hidden_act="silu", layer_norm_eps=0.01)
    hf = randomise(transformers.BertGenerationEncoder(config), seed=4)
    save(hf, tmp_path)
    rows = batches(70, LENGTHS, 1)
    ids, mask = padded(rows, 0)
    with torch.no_grad():
        hidden = hf(input_ids=ids, attention_mask=mask).last_hidden_state
    for backend in BACKENDS:
        model = fastseq.load_model(tmp_path, backend=backend)
        assert (model.task, model.model_type) == ("feature-extraction", "bert-generation")
        for encoded, expected in zip(model.encode(rows), hidden, strict=True):
            assert_close(encoded, expected[: len(encoded)])


@pytest.mark.parametrize("case", ["bert", "xlm-roberta-xl"])
def test_alone_in_a_batch_and_with_more_threads_the_bits_are_the_same(case: str, tmp_path: Path) -> None:
    make(case, "ForTokenClassification", tmp_path)
    model = fastseq.load_model(tmp_path, backend="native")
    rows = batches(70, [int(n) for n in np.random.default_rng(3).integers(1, 40, 60)], 4)
    together, outputs = model.encode(rows), model.logits(rows)
    threads = fastseq.get_num_threads()
    try:
        for count in (1, 2):
            fastseq.set_num_threads(count)
            for b in range(0, len(rows), 9):
                np.testing.assert_array_equal(model.encode([rows[b]])[0], together[b], strict=True)
            for alone, expected in zip(model.logits(rows[::-1]), outputs[::-1], strict=True):
                np.testing.assert_array_equal(alone, expected, strict=True)
    finally:
        fastseq.set_num_threads(threads)
