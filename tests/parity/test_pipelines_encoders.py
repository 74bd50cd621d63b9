"""Classification, entities, answers and features: what Hugging Face's pipelines say, on small random models."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")

import torch_pipeline_models as models  # noqa: E402

import fastseq  # noqa: E402
from tokenizer_folders import SENTENCES  # noqa: E402

LONG = " ".join(SENTENCES[:4])  # more tokens than the models have positions
SHORT = [SENTENCES[0], SENTENCES[1], SENTENCES[8]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[Any, Path] = {}

    def make(build: Any, head: str, **changes: Any) -> Path:
        key = (build.__name__, head, *sorted(map(str, changes.items())))
        if key not in made:
            made[key] = build(tmp_path_factory.mktemp(head or "model"), head, **changes)
        return made[key]

    return make


def theirs(task: str, folder: Path, **options: Any) -> Any:
    transformers.logging.set_verbosity_error()
    return transformers.pipeline(task, model=str(folder), device="cpu", **options)


def close(ours: Any, expected: Any) -> None:
    """Equal, numbers to 1e-4 (two float32 computations of a few layers)."""
    if isinstance(expected, dict):
        assert ours.keys() == expected.keys()
        for key in expected:
            close(ours[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(ours) == len(expected)
        for one, other in zip(ours, expected, strict=True):
            close(one, other)
    elif isinstance(expected, (float, np.floating)):
        assert isinstance(ours, float)
        assert ours == pytest.approx(float(expected), abs=1e-4)
    else:
        assert ours == expected


@pytest.mark.parametrize("build", [models.bert, models.roberta, models.deberta, models.modernbert])
def test_text_classification(build: Any, folder: Any) -> None:
    path = folder(build, "SequenceClassification")
    ours, hf = fastseq.pipeline("sentiment-analysis", path), theirs("text-classification", path)
    for inputs in (SHORT[0], SHORT, SHORT[:1], {"text": SHORT[0], "text_pair": SHORT[1]}):
        for options in ({}, {"top_k": 2}, {"top_k": None}, {"function_to_apply": "sigmoid"}):
            close(ours(inputs, **options), hf(inputs, **options))
    assert list(ours(iter(SHORT))) == ours(SHORT)


@pytest.mark.parametrize("problem", ["regression", "multi_label_classification", "single_label_classification"])
def test_the_kind_of_problem_chooses_the_function(problem: str, folder: Any) -> None:
    path = folder(models.bert, "SequenceClassification", problem_type=problem)
    close(fastseq.pipeline("text-classification", path)(SHORT), theirs("text-classification", path)(SHORT))


@pytest.mark.parametrize("build", [models.bert, models.roberta, models.deberta, models.modernbert])
@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_token_classification(build: Any, strategy: str, folder: Any) -> None:
    path = folder(build, "TokenClassification")
    options = {"aggregation_strategy": strategy}
    ours, hf = fastseq.pipeline("ner", path, **options), theirs("token-classification", path, **options)
    for inputs in (SHORT[0], SHORT):
        close(ours(inputs), hf(inputs))
    close(ours(SHORT, ignore_labels=[]), hf(SHORT, ignore_labels=[]))


def test_entities_of_a_long_text(folder: Any) -> None:
    path = folder(models.bert, "TokenClassification")
    ours, hf = fastseq.pipeline("ner", path), theirs("token-classification", path)
    options = {"aggregation_strategy": "simple", "stride": 10}
    assert len(ours.tokenizer.encode(LONG)) > 96
    close(ours(LONG, **options), hf(LONG, **options))
    with pytest.warns(UserWarning, match="the input is longer than 96 tokens"):
        cut = ours(LONG)
    close(cut, hf(LONG))  # which cuts it off without a word


@pytest.mark.parametrize("build", [models.bert, models.deberta, models.modernbert])
def test_feature_extraction(build: Any, folder: Any) -> None:
    path = folder(build, "")
    ours, hf = fastseq.pipeline("feature-extraction", path), theirs("feature-extraction", path)
    close(ours(SHORT[0]), hf(SHORT[0]))
    close(ours(SHORT), hf(SHORT))
    tensors = ours(SHORT, return_tensors=True)
    assert [t.shape for t in tensors] == [tuple(t.shape) for t in hf(SHORT, return_tensors=True)]


def test_sentence_vectors_and_a_search_among_them(folder: Any) -> None:
    path = folder(models.modernbert, "")
    encoder = fastseq.SentenceEncoder(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModel.from_pretrained(path).eval()
    with torch.no_grad():
        means = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0) for text in SHORT]
    np.testing.assert_allclose(encoder.encode(SHORT), torch.stack(means), atol=1e-4)
    index = fastseq.SemanticIndex(encoder)
    index.add(SHORT)
    assert [index.search(text, top_k=1)[0]["corpus_id"] for text in SHORT] == [0, 1, 2]


def answers(path: Path, question: str, context: str, size: int, stride: int, longest: int) -> list[dict[str, Any]]:
    """The definition: all spans of all windows, ranked by the product of probabilities over the context's tokens."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(path).eval()
    windows = tokenizer(
        question, context, truncation="only_second", max_length=size, stride=stride, return_overflowing_tokens=True
    )
    found: dict[str, dict[str, Any]] = {}
    for window in range(len(windows["input_ids"])):
        inputs = {"input_ids": torch.tensor([windows["input_ids"][window]])}
        if "token_type_ids" in windows:
            inputs["token_type_ids"] = torch.tensor([windows["token_type_ids"][window]])
        with torch.no_grad():
            output = model(**inputs)
        encoding = windows.encodings[window]
        inside = torch.tensor([sequence == 1 for sequence in encoding.sequence_ids])
        inside[0] = True
        start, end = (
            torch.where(inside, logits[0], torch.tensor(-1e4)).softmax(0)
            for logits in (output.start_logits, output.end_logits)
        )
        spans = [
            (float(start[a] * end[b]), a, b)
            for a in range(1, len(start))
            for b in range(a, min(a + longest, len(start)))
            if inside[a] and inside[b]
        ]
        for score, a, b in sorted(spans, reverse=True)[:12]:
            words = encoding.word_ids
            span = (encoding.word_to_chars(words[a], 1)[0], encoding.word_to_chars(words[b], 1)[1])
            text = context[slice(*span)]
            answer = found.setdefault(text.lower(), {"score": 0.0, "start": span[0], "end": span[1], "answer": text})
            answer["score"] += score
    return sorted(found.values(), key=lambda answer: -answer["score"])


@pytest.mark.parametrize("build", [models.bert, models.roberta, models.deberta, models.modernbert])
@pytest.mark.parametrize(("size", "stride"), [(90, 20), (40, 10), (60, 0)])
def test_question_answering(build: Any, size: int, stride: int, folder: Any) -> None:
    path = folder(build, "QuestionAnswering")
    ours = fastseq.pipeline("question-answering", path, max_seq_len=size, doc_stride=stride)
    for question, context in (("Who waves?", SHORT[0]), ("When?", LONG)):
        expected = answers(path, question, context, size, stride, 15)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the windows
            close(ours(question=question, context=context), expected[0])
            assert ours({"question": question, "context": context})["answer"] == expected[0]["answer"]
        assert context[slice(expected[0]["start"], expected[0]["end"])] == expected[0]["answer"]


def test_the_stride_follows_the_size_of_a_calls_windows(folder: Any) -> None:
    path = folder(models.bert, "QuestionAnswering")
    [expected, *_] = answers(path, "When?", LONG, 40, 20, 15)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the windows
        close(fastseq.pipeline("question-answering", path)(question="When?", context=LONG, max_seq_len=40), expected)


def test_more_questions_than_one(folder: Any) -> None:
    ours = fastseq.pipeline("question-answering", folder(models.bert, "QuestionAnswering"))
    questions = ["Who waves?", "When does it leave?", "What leaves?"]
    alone = [ours(question=question, context=SHORT[0]) for question in questions]
    assert ours(question=questions, context=SHORT[0]) == alone
    assert ours([{"question": question, "context": SHORT[0]} for question in questions]) == alone
    assert list(ours({"question": question, "context": SHORT[0]} for question in questions)) == alone
    assert len(ours(question=questions[0], context=SHORT[0], top_k=3)) == 3
    several = ours(question=questions[0], context=SHORT[0], top_k=1000, handle_impossible_answer=True)
    assert "" in [answer["answer"] for answer in several]
    with pytest.warns(UserWarning, match="longer than 96 tokens; it is read in 2 overlapping windows"):
        ours(question=questions[0], context=LONG)


@pytest.mark.parametrize("head", ["SequenceClassification", "TokenClassification"])
def test_results_do_not_depend_on_company(head: str, folder: Any) -> None:
    task = "text-classification" if head == "SequenceClassification" else "token-classification"
    ours = fastseq.pipeline(task, folder(models.bert, head), backend="native")
    texts = [*SENTENCES, "", "a"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        together = ours(texts)
        alone = [ours([text])[0] for text in texts]
        assert together == alone
        assert ours(texts, batch_size=2) == alone
