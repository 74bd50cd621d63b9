"""Recurrent classifiers and language models: folders, batches, prompts, wrong input."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseq
from conftest import needs_native
from fastseq.cli import main
from fastseq.models import RecurrentClassifier, load_model, save_model
from fastseq.text import Vocabulary
from text_models import TOKENIZER, classifier, classifier_config, language_config, language_model, sentences, tensors_of
from tiny_models import BACKENDS, VOCABULARY

POOLINGS = {"attention": {"attention_size": 5}, "max": {}, "mean": {}, "last": {}}
CONFIGS = {"classifier": classifier_config(), "language model": language_config()}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_saved_is_loaded(name: str, backend: str, tmp_path: Path) -> None:
    config = CONFIGS[name]
    save_model(tmp_path, config, tensors_of(config), TOKENIZER)
    model = load_model(tmp_path, backend=backend)
    assert model.config == config
    assert model.backend == backend
    assert model.tokenizer.tokens == TOKENIZER.tokens
    given = type(model)(config, tensors_of(config), backend=backend)
    for mine, theirs in zip(model.logits([[3, 4]]), given.logits([[3, 4]]), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@needs_native
@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_logits_of_a_sentence_do_not_depend_on_its_batch(pooling: str) -> None:
    model, batch = classifier("native", pooling=pooling, **POOLINGS[pooling]), sentences(13)
    together = model.logits(batch)
    for b in np.random.default_rng(0).permutation(len(batch)):
        np.testing.assert_array_equal(model.logits([batch[b]])[0], together[b], strict=True)


@needs_native
def test_the_score_of_a_text_does_not_depend_on_its_batch() -> None:
    model, batch = language_model("native"), sentences(40)
    for text, together in zip(batch, model.score(batch).token_log_probs, strict=True):
        np.testing.assert_array_equal(model.score([text]).token_log_probs[0], together, strict=True)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_sentence_without_tokens_has_the_logits_of_zeros(pooling: str, backend: str) -> None:
    model = classifier(pooling=pooling, **POOLINGS[pooling])
    [logits] = model.logits([[]])
    np.testing.assert_array_equal(logits, tensors_of(model.config)["output.bias"])
    assert model.logits([]) == []


def test_padded_rows_with_lengths_are_the_same_sentences(backend: str) -> None:
    model = classifier()
    padded = np.array([[3, 4, 5], [6, 0, 0]])
    for mine, theirs in zip(model.logits(padded, [3, 1]), model.logits([[3, 4, 5], [6]]), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_attention_weights_sum_to_one_and_other_poolings_have_none(backend: str) -> None:
    weights = classifier(pooling="attention", attention_size=5).attention([[3, 4, 5], []])
    assert [len(row) for row in weights] == [3, 0]
    assert weights[0].sum() == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="pooling is 'max'; only 'attention' has weights"):
        classifier().attention([[3]])


def test_a_score_is_the_chain_of_next_token_probabilities(backend: str) -> None:
    model, text = language_model(), [4, 5, 8, 6]
    [logits] = model.logits([[1, *text]])
    log_probs = fastseq.functional.log_softmax(logits)
    scores = model.score([text], length_penalty=0.0)
    np.testing.assert_array_equal(scores.token_log_probs[0], log_probs[np.arange(5), [*text, 2]])
    assert scores[0] == math.fsum(scores.token_log_probs[0])
    assert scores.perplexity[0] == pytest.approx(math.exp(-scores[0] / 5))
    assert [len(nothing) for nothing in model.score([[]]).token_log_probs] == [1]
    assert len(model.score([])) == 0


def test_probabilities_of_all_next_tokens_sum_to_one(backend: str) -> None:
    model = language_model()
    scores = model.score([[token] for token in range(model.config.vocab_size)])
    first = [row[0] for row in scores.token_log_probs]
    assert sum(map(math.exp, first)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_greedy_writing_takes_the_most_probable_token_after_the_prompt(cell: str, backend: str) -> None:
    model, prompts = language_model(cell=cell), [[4, 5], [], [6, 7, 8, 3, 4]]
    found = model.generate(prompts, max_new_tokens=6)
    for prompt, generation in zip(prompts, found, strict=True):
        text = [1, *prompt]
        while len(text) < 1 + len(prompt) + 6:
            token = int(model.logits([text])[0][-1].argmax())
            if token == model.config.eos_token_id:
                break
            text.append(token)
        assert generation.tokens == text[1 + len(prompt) :]


def test_beam_search_finds_at_least_as_probable_texts(backend: str) -> None:
    model = language_model()
    options: dict[str, Any] = {"max_new_tokens": 5, "min_new_tokens": 5, "length_penalty": 0.0}
    [greedy], [beams] = model.generate([[3]], **options), model.generate([[3]], num_beams=6, **options)
    assert beams.score >= greedy.score - 1e-5
    [log_probs] = model.score([[3, *beams.tokens]]).token_log_probs
    assert beams.score == pytest.approx(math.fsum(log_probs[1:-1]), abs=1e-4)


@pytest.mark.parametrize("num_beams", [1, 4])
def test_streamed_tokens_are_those_of_generate(num_beams: int, backend: str) -> None:
    model, prompts = language_model(), [[4, 5], [], [6, 7, 8]]
    options = {"num_beams": num_beams, "max_new_tokens": 7}
    tokens: list[list[int]] = [[] for _ in prompts]
    stream = model.stream(prompts, **options)
    for news in stream:
        tokens[news.sentence] += news.tokens
    expected = model.generate(prompts, **options)
    assert tokens == [generation.tokens for generation in expected]
    assert [generation.score for generation in stream.generations] == [generation.score for generation in expected]


def test_a_stream_that_is_left_computes_no_further_step() -> None:
    model = language_model()
    with model.stream([[4, 5]], max_new_tokens=50, min_new_tokens=50) as stream:
        first = next(stream)
    assert len(first.tokens) == 1
    assert stream.generations[0].tokens == first.tokens
    with pytest.raises(TypeError, match="prompt"):
        model.stream([[4]], prompt=[[1]])


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (classifier_config, {"pooling": "attention"}, "attention_size is None; pooling 'attention' needs a size"),
        (classifier_config, {"attention_size": 3}, "attention_size is 3; pooling 'max' needs none"),
        (classifier_config, {"labels": []}, r"labels is \[\]; expected a list of different texts"),
        (classifier_config, {"labels": ["a", "a"]}, "expected a list of different texts"),
        (classifier_config, {"labels": "no"}, "labels is 'no'; expected a list of different texts"),
        (classifier_config, {"cell": "gnu", "hidden_size": 0}, "cell is 'gnu'.*hidden_size is 0"),
        (language_config, {"eos_token_id": 11}, "eos_token_id is 11; expected an id below vocab_size = 11"),
        (language_config, {"tie_output": True}, "embedding_size is 7; tie_output needs hidden_size = 9"),
        (language_config, {"labels": ["a"]}, "unknown field 'labels'"),
    ],
)
def test_wrong_fields_are_named(make: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize("make", [classifier, language_model])
def test_wrong_ids_are_named(make: Any) -> None:
    with pytest.raises(ValueError, match=r"input_ids\[1\]"):
        make().logits([[3], [11]])
    with pytest.raises(TypeError, match="input_ids"):
        make().logits([[0.5]])
    with pytest.raises(ValueError, match="has no vocabulary"):
        _ = type(make())(make().config, tensors_of(make().config)).tokenizer


def test_missing_and_foreign_tensors_are_named() -> None:
    config = classifier_config()
    tensors = tensors_of(config) | {"extra": np.zeros(1)}
    del tensors["output.bias"]
    with pytest.raises(ValueError, match=r"output.bias is missing; tensor extra is not expected"):
        RecurrentClassifier(config, tensors)


def test_a_vocabulary_must_be_of_the_models_kind_and_size(tmp_path: Path) -> None:
    config = classifier_config(vocab_size=12)
    with pytest.raises(ValueError, match="11 tokens; expected vocab_size = 12"):
        save_model(tmp_path, config, tensors_of(config), TOKENIZER)
    with pytest.raises(ValueError, match="vocabulary is a Vocabulary, which RecurrentClassifierConfig does not take"):
        save_model(tmp_path, classifier_config(), tensors_of(classifier_config()), VOCABULARY)
    save_model(tmp_path, classifier_config(), tensors_of(classifier_config()))
    Vocabulary(["a"], ["b"]).save(tmp_path / "vocab.json")
    with pytest.raises(ValueError, match=r"vocab.json: expected \{\"tokens\""):
        load_model(tmp_path)
    (tmp_path / "vocab.json").write_text(
        json.dumps({"tokens": ["a"], "unknown": "b", "lowercase": True, "unit": "word"})
    )
    with pytest.raises(ValueError, match="unknown is 'b'; expected one of the tokens"):
        load_model(tmp_path)


def test_a_folder_is_classified_by_the_pipeline_and_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = classifier_config()
    save_model(tmp_path, config, tensors_of(config), TOKENIZER)
    texts = ["The film is good.", "not bad", "never heard of"]
    results = fastseq.pipeline("text-classification", str(tmp_path), progress=False)(texts)
    model = load_model(tmp_path)
    for text, result in zip(texts, results, strict=True):
        [logits] = model.logits([TOKENIZER.encode(text)])
        assert result["label"] == config.labels[int(logits.argmax())]
        assert result["score"] == pytest.approx(float(fastseq.functional.softmax(logits).max()), abs=1e-6)
    assert main(["classify", "--model", str(tmp_path), "--text", texts[0]]) == 0
    assert capsys.readouterr().out == f"{results[0]['label']}\t{results[0]['score']:.4f}\n"
