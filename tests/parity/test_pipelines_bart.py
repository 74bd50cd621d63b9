"""Pipelines of classifiers of BART's kind: what Hugging Face's say, for texts, pairs, and questions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")

from test_pipelines_encoders import SHORT, answers, close, theirs  # noqa: E402
from torch_pipeline_models import CLASSIFIER, LABELS, bart, save  # noqa: E402

import fastseq  # noqa: E402
from fastseq.text import load_tokenizer  # noqa: E402
from tokenizer_folders import SENTENCES, fairseq  # noqa: E402

POSITIONS = CLASSIFIER["max_position_embeddings"]
LONG = " ".join(SENTENCES * 3)
NAMED = {"id2label": dict(enumerate(LABELS))}


def mbart(folder: Path, head: str) -> Path:
    """The language is behind the end token of a text."""
    fairseq("MBartTokenizer", "unigram")(folder)
    size = load_tokenizer(folder).vocab_size
    return save(folder, f"MBartFor{head}", transformers.MBartConfig(vocab_size=size, **CLASSIFIER, **NAMED))


@pytest.mark.parametrize("build", [bart, mbart])
def test_texts_and_pairs(build: Callable[[Path, str], Path], tmp_path: Path) -> None:
    path = build(tmp_path, "SequenceClassification")
    ours, hf = fastseq.pipeline("text-classification", path), theirs("text-classification", path)
    pairs = [{"text": one, "text_pair": other} for one, other in zip(SHORT, SHORT[::-1], strict=True)]
    for inputs in (SHORT[0], SHORT, pairs[0], pairs):
        for options in ({}, {"top_k": None}, {"function_to_apply": "sigmoid"}):
            close(ours(inputs, **options), hf(inputs, **options))
    scores = [answer["score"] for answer in ours([*SHORT, *pairs])]
    assert len({round(score, 3) for score in scores}) > 1  # the head sees what was read


def test_a_long_text_keeps_its_end_token(tmp_path: Path) -> None:
    ours = fastseq.pipeline("text-classification", bart(tmp_path, "SequenceClassification"))
    with pytest.warns(UserWarning, match=f"the input is longer than {POSITIONS} tokens"):
        cut = ours(LONG)
    close(cut, theirs("text-classification", tmp_path)(LONG, truncation=True))


def test_questions(tmp_path: Path) -> None:
    path = bart(tmp_path, "QuestionAnswering")
    ours: Any = fastseq.pipeline("question-answering", path, max_seq_len=90, doc_stride=10)
    for question, context in (("Who waves?", SHORT[0]), ("What leaves?", SHORT[1])):
        close(ours(question=question, context=context), answers(path, question, context, 90, 10, 15)[0])
