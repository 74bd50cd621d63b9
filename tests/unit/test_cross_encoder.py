"""CrossEncoder: habits of sentence-transformers, what folders name, errors, and the way from an index to a rank."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")

import fastseq
from conftest import needs_native
from fastseq import functional
from small_models import bert_folder
from tokenizer_folders import SENTENCES

DOCS = Path(__file__).resolve().parents[2] / "docs"
QUERY = "When does the ship leave?"
PAIRS = [(QUERY, text) for text in [*SENTENCES, "", "a"]]
IDENTITY = {"activation_fn": "torch.nn.modules.linear.Identity"}
SIGMOID = {"activation_fn": "torch.nn.modules.activation.Sigmoid"}


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert_folder(tmp_path_factory.mktemp("single"), "text-classification", ("relevance",))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert_folder(tmp_path_factory.mktemp("several"), "text-classification", ("no", "perhaps", "yes"))


@pytest.fixture
def writable(single: Path, tmp_path: Path) -> Path:
    for path in single.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def logits_of(folder: Path, pairs: list[tuple[str, str]]) -> Any:
    classify = fastseq.pipeline("text-classification", folder, function_to_apply="none", return_all_scores=True)
    scores = classify([{"text": first, "text_pair": second} for first, second in pairs])
    return np.array([[one["score"] for one in row] for row in scores], np.float32)


def test_one_label_gives_a_number_of_each_pair(single: Path, backend: str) -> None:
    encoder, logits = fastseq.CrossEncoder(single), logits_of(single, PAIRS)[:, 0]
    assert (encoder.num_labels, encoder.activation_fn) == (1, "sigmoid")
    assert repr(encoder) == f"CrossEncoder({str(single)!r}, num_labels=1)"
    scores = encoder.predict(PAIRS)
    assert (scores.shape, scores.dtype) == ((len(PAIRS),), np.float32)
    np.testing.assert_allclose(scores, functional.sigmoid(logits), rtol=1e-5)
    np.testing.assert_allclose(encoder.predict(PAIRS, activation_fn="identity"), logits, rtol=1e-4, atol=1e-5)
    assert encoder.predict([]).shape == (0,)
    alone = encoder.predict(list(PAIRS[0]))
    assert np.ndim(alone) == 0
    assert alone == pytest.approx(scores[0])


def test_several_labels_give_their_logits(several: Path, backend: str) -> None:
    encoder, logits = fastseq.CrossEncoder(several), logits_of(several, PAIRS)
    assert encoder.activation_fn == "identity"
    np.testing.assert_allclose(encoder.predict(PAIRS), logits, rtol=1e-4, atol=1e-5)
    scores = fastseq.CrossEncoder(several, activation_fn="softmax").predict(PAIRS)
    np.testing.assert_allclose(scores, functional.softmax(logits), atol=1e-5)
    assert encoder.predict([]).shape == (0, 3)
    assert encoder.predict(PAIRS[0]).shape == (3,)
    with pytest.raises(ValueError, match="rank: the model has 3 labels; expected one, the relevance"):
        encoder.rank(QUERY, SENTENCES)


@needs_native
@pytest.mark.parametrize("compute_type", ["float32", "int8"])
@pytest.mark.parametrize("activation", ["identity", "sigmoid", "softmax"])
def test_a_score_does_not_depend_on_company(activation: str, compute_type: str, several: Path) -> None:
    options = {"backend": "native", "compute_type": compute_type, "activation_fn": activation}
    encoder = fastseq.CrossEncoder(several, **options)
    together = encoder.predict(PAIRS)
    for size in (1, 5):
        assert np.array_equal(encoder.predict(PAIRS, batch_size=size), together)
    assert np.array_equal(encoder.predict(PAIRS[::-1])[::-1], together)
    assert np.array_equal(np.stack([encoder.predict(pair) for pair in PAIRS]), together)


def test_rank_is_the_order_of_the_scores(single: Path, backend: str) -> None:
    encoder = fastseq.CrossEncoder(single)
    ranked = encoder.rank(QUERY, SENTENCES)
    scores = encoder.predict([(QUERY, text) for text in SENTENCES])
    assert [one["corpus_id"] for one in ranked] == np.argsort(-scores, kind="stable").tolist()
    assert [one["score"] for one in ranked] == np.sort(scores)[::-1].tolist()
    assert encoder.rank(QUERY, SENTENCES, top_k=3) == ranked[:3]
    assert encoder.rank(QUERY, SENTENCES, top_k=99) == ranked
    [best] = encoder.rank(QUERY, SENTENCES, top_k=1, return_documents=True)
    assert best == ranked[0] | {"text": SENTENCES[ranked[0]["corpus_id"]]}
    assert encoder.rank(QUERY, []) == []
    twice = encoder.rank(QUERY, [SENTENCES[0], "a", SENTENCES[0], SENTENCES[0]], batch_size=1)
    assert [one["corpus_id"] for one in twice if one["corpus_id"] != 1] == [0, 2, 3]


@pytest.mark.parametrize(
    ("general", "config", "expected"),
    [
        ({}, {}, "sigmoid"),
        ({}, {"sentence_transformers": IDENTITY | {"version": "4.0.1"}}, "identity"),
        ({}, {"sentence_transformers": {"version": "4.0.1"}}, "sigmoid"),
        ({}, {"sbert_ce_default_activation_function": IDENTITY["activation_fn"]}, "identity"),
        ({}, {"sentence_transformers": SIGMOID, "sbert_ce_default_activation_function": "a.b"}, "sigmoid"),
        (IDENTITY | {"default_prompt_name": None, "prompts": {}}, {"sentence_transformers": SIGMOID}, "identity"),
        ({"activation_fn": None}, {"sentence_transformers": {"activation_fn": "torch.nn.Identity"}}, "identity"),
    ],
)
def test_the_folder_names_the_activation(general: Any, config: Any, expected: str, writable: Path) -> None:
    values = json.loads((writable / "config.json").read_text())
    (writable / "config.json").write_text(json.dumps(values | config))
    if general:
        (writable / "config_sentence_transformers.json").write_text(json.dumps(general))
    encoder = fastseq.CrossEncoder(writable, backend="numpy")
    assert encoder.activation_fn == expected
    assert fastseq.CrossEncoder(encoder.model).activation_fn == expected
    assert fastseq.CrossEncoder(encoder.model, activation_fn="sigmoid").activation_fn == "sigmoid"


@pytest.mark.parametrize("name", ["torch.nn.modules.activation.Tanh", "evil.Sigmoid", "Sigmoid", 5])
def test_what_a_folder_names_and_is_not_known_is_refused_by_name(name: Any, writable: Path) -> None:
    values = json.loads((writable / "config.json").read_text())
    (writable / "config.json").write_text(json.dumps(values | {"sentence_transformers": {"activation_fn": name}}))
    message = f"config.json: sentence_transformers.activation_fn is {name!r}; expected Identity or Sigmoid of torch, or"
    with pytest.raises(ValueError, match=re.escape(message)):
        fastseq.CrossEncoder(writable)
    assert fastseq.CrossEncoder(writable, activation_fn="identity").activation_fn == "identity"
    (writable / "config_sentence_transformers.json").write_text('{"default_prompt_name": "query"}')
    with pytest.raises(ValueError, match="default_prompt_name is 'query'; expected none"):
        fastseq.CrossEncoder(writable, activation_fn="identity")


@needs_native
def test_what_is_saved_scores_the_same(writable: Path, tmp_path: Path) -> None:
    values = json.loads((writable / "config.json").read_text())
    (writable / "config.json").write_text(json.dumps(values | {"sentence_transformers": IDENTITY}))
    encoder = fastseq.CrossEncoder(writable, backend="native", compute_type="int8")
    encoder.model.save_pretrained(tmp_path / "packed")
    again = fastseq.CrossEncoder(tmp_path / "packed", backend="native")
    assert again.activation_fn == "identity"
    assert np.array_equal(again.predict(PAIRS), encoder.predict(PAIRS))


def test_long_pairs_are_cut_off_with_a_warning(single: Path) -> None:
    encoder = fastseq.CrossEncoder(single)
    long = " ".join(SENTENCES[:4])
    with pytest.warns(UserWarning, match="pair 1 is longer than 64 tokens, which the model reads at most"):
        scores = encoder.predict([PAIRS[0], (QUERY, long)])
    assert scores[0] == pytest.approx(encoder.predict(PAIRS[0]))
    with pytest.warns(UserWarning, match="line 7 is longer than 64 tokens"):
        encoder.rank(QUERY, ["a", long], name="line", numbers=[3, 7])
    short = fastseq.CrossEncoder(single, max_length=12)
    with pytest.warns(UserWarning, match="the rest is left out"):
        assert short.predict(("a", "b " * 20)) == short.predict(("a", "b " * 8))


def test_an_index_finds_and_a_cross_encoder_ranks(single: Path, tmp_path: Path) -> None:
    """The pages' example runs as it stands there, with small models in place of those it names."""
    page = (DOCS / "semantic-search.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "fastseq.CrossEncoder(" in blocks[1]
    bert_folder(tmp_path / "encoder", "feature-extraction")
    names = {"sentence-transformers/all-MiniLM-L6-v2": tmp_path / "encoder", "my-index": tmp_path / "index"}
    names["cross-encoder/ms-marco-MiniLM-L6-v2"] = single
    code = "".join(blocks)
    for name, path in names.items():
        assert name in code
        code = code.replace(f'"{name}"', repr(str(path)))
    found: dict[str, Any] = {}
    exec(compile(code, "semantic-search.md", "exec"), found)
    texts = [text for _, text in found["best"]]
    assert sorted(texts) == sorted(hit["text"] for hit in found["hits"])
    expected = found["reranker"].predict([(found["query"], text) for text in texts])
    assert [score for score, _ in found["best"]] == pytest.approx(expected.tolist())
    assert expected.tolist() == sorted(expected, reverse=True)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: e.predict("ab"), TypeError, r"pairs is str; expected a sequence of \(str, str\)"),
        (lambda e: e.predict(iter(PAIRS)), TypeError, "pairs is .*iterator; expected a sequence"),
        (lambda e: e.predict([("a", "b"), 5]), TypeError, "pair 1 is int; expected two str"),
        (lambda e: e.predict([("a", 5)]), TypeError, r"pair 0 is \(str, int\); expected two str"),
        (lambda e: e.predict(("a", "b", "c")), TypeError, r"pair 0 is \(str, str, str\); expected two str"),
        (lambda e: e.predict(PAIRS, batch_size=0), ValueError, "batch_size is 0"),
        (lambda e: e.predict(PAIRS, activation_fn="tanh"), ValueError, "activation_fn is 'tanh'; expected 'identity'"),
        (lambda e: e.predict(PAIRS, activation_fn="softmax"), ValueError, "with one label every score would be 1"),
        (lambda e: e.rank(5, ["a"]), TypeError, "query is int; expected a str"),
        (lambda e: e.rank("a", "b"), TypeError, "documents is str; expected a sequence of str"),
        (lambda e: e.rank("a", ["b", 5]), TypeError, r"document 1 is \(str, int\)"),
        (lambda e: e.rank("a", ["b"], top_k=0), ValueError, "top_k is 0"),
        (lambda e: fastseq.CrossEncoder(e.model, max_length=65), ValueError, "max_length is 65; expected 1 to 64"),
        (lambda e: fastseq.CrossEncoder(e.model, activation_fn="x"), ValueError, "activation_fn is 'x'"),
    ],
)
def test_wrong_arguments(call: Any, error: type[Exception], message: str, single: Path) -> None:
    with pytest.raises(error, match=message):
        call(fastseq.CrossEncoder(single, backend="numpy"))


def test_models_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is for feature-extraction; expected one for text-classification"):
        fastseq.CrossEncoder(bert_folder(tmp_path, "feature-extraction"))
    with pytest.raises(FileNotFoundError, match="no model folder"):
        fastseq.CrossEncoder(tmp_path / "no")
