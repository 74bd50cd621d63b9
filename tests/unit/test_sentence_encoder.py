"""SentenceEncoder: what `modules.json` says is done, habits of sentence-transformers, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece")

import fastseq
from fastseq.weights import read_weights, write_safetensors
from small_models import WIDTH, bert_folder
from tokenizer_folders import SENTENCES

POOL, NORM = "sentence_transformers.models.Pooling", "sentence_transformers.models.Normalize"
DENSE = "sentence_transformers.models.Dense"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bert_folder(tmp_path, "feature-extraction")


def modules(folder: Path, *kinds: str, pooling: dict[str, Any] | None = None, settings: Any = None) -> Path:
    entries = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for i, kind in enumerate(kinds, 1):
        path = f"{i}_{kind.rpartition('.')[2]}"
        (folder / path).mkdir(exist_ok=True)
        if kind == POOL:
            (folder / path / "config.json").write_text(json.dumps(pooling or {"pooling_mode_mean_tokens": True}))
        entries.append({"idx": i, "name": str(i), "path": path, "type": kind})
    (folder / "modules.json").write_text(json.dumps(entries))
    if settings is not None:
        (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    return folder


def tokens_of(folder: Path, text: str) -> Any:
    return fastseq.pipeline("feature-extraction", folder)(text, return_tensors=True)[0]


def test_without_modules_tokens_are_averaged(folder: Path) -> None:
    encoder = fastseq.SentenceEncoder(folder)
    assert encoder.dimension == WIDTH
    vector = encoder.encode(SENTENCES[0])
    assert vector.shape == (WIDTH,)
    np.testing.assert_allclose(vector, tokens_of(folder, SENTENCES[0]).mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("config", "pool"),
    [
        ({"pooling_mode_cls_token": True}, lambda x: x[0]),
        ({"pooling_mode_max_tokens": True}, lambda x: x.max(axis=0)),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, lambda x: x.sum(axis=0) / np.sqrt(len(x))),
        ({"pooling_mode": "mean_sqrt_len_tokens"}, lambda x: x.sum(axis=0) / np.sqrt(len(x))),
        ({"pooling_mode": "lasttoken"}, lambda x: x[-1]),
        (
            {"pooling_mode_weightedmean_tokens": True},
            lambda x: np.average(x, axis=0, weights=np.arange(1, len(x) + 1)),
        ),
        (
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
            lambda x: np.concatenate([x[0], x.mean(axis=0)]),
        ),
    ],
)
def test_pooling(config: dict[str, Any], pool: Any, folder: Path) -> None:
    encoder = fastseq.SentenceEncoder(modules(folder, POOL, pooling=config))
    expected = pool(tokens_of(folder, SENTENCES[1]))
    assert encoder.dimension == len(expected)
    np.testing.assert_allclose(encoder.encode(SENTENCES[1]), expected, atol=1e-5)


def test_normalising_and_a_dense_layer(folder: Path) -> None:
    plain = fastseq.SentenceEncoder(modules(folder, POOL)).encode(SENTENCES[:3])
    normed = fastseq.SentenceEncoder(modules(folder, POOL, NORM)).encode(SENTENCES[:3])
    np.testing.assert_allclose(normed, plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-6)
    encoder = fastseq.SentenceEncoder(modules(folder, POOL))
    np.testing.assert_allclose(encoder.encode(SENTENCES[:3], normalize_embeddings=True), normed, atol=1e-6)
    modules(folder, POOL, DENSE)
    weight = np.random.default_rng(0).normal(0, 0.1, (5, WIDTH)).astype(np.float32)
    write_safetensors(folder / "2_Dense" / "model.safetensors", {"linear.weight": weight})
    for activation, function in (("activation.Tanh", np.tanh), ("linear.Identity", lambda x: x)):
        config = {"activation_function": f"torch.nn.modules.{activation}", "bias": False}
        (folder / "2_Dense" / "config.json").write_text(json.dumps(config))
        dense = fastseq.SentenceEncoder(folder)
        assert dense.dimension == 5
        np.testing.assert_allclose(dense.encode(SENTENCES[:3]), function(plain @ weight.T), atol=1e-5)


def dense(folder: Path, *kinds: str, tensors: dict[str, Any] | None = None, **config: Any) -> Path:
    """Write a folder with a dense layer behind the first of the kinds."""
    modules(folder, *kinds)
    place = next(folder.glob("*_Dense"))
    weight = np.random.default_rng(0).normal(0, 0.1, (5, WIDTH)).astype(np.float32)
    write_safetensors(place / "model.safetensors", {"linear.weight": weight} if tensors is None else tensors)
    (place / "config.json").write_text(json.dumps(config))
    return folder


def test_a_dense_layer_before_pooling(folder: Path) -> None:
    states = tokens_of(folder, SENTENCES[0])
    dense(folder, DENSE, POOL, module_input_name="token_embeddings", module_output_name="token_embeddings")
    weight = read_weights(folder / "1_Dense")["linear.weight"]
    encoder = fastseq.SentenceEncoder(folder)
    assert encoder.dimension == 5
    np.testing.assert_allclose(encoder.encode(SENTENCES[0]), np.tanh(states @ weight.T).mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("config", "tensors", "message"),
    [
        ({"bias": True}, None, "bias is True; expected False"),
        ({"bias": False}, {"linear.weight": (5, WIDTH), "linear.bias": (5,)}, "bias is False; expected True"),
        ({"in_features": 6}, None, f"in_features is 6; expected {WIDTH}"),
        ({"out_features": 6}, None, "out_features is 6; expected 5"),
        ({"use_residual": True}, None, "use_residual is True; expected False"),
        ({"module_input_name": "token_embeddings"}, None, "module_input_name is token_embeddings; expected sentence"),
        ({"module_output_name": "other"}, None, "module_output_name is other; expected sentence_embedding"),
        ({"activation_function": "torch.nn.modules.activation.GELU"}, None, "activation_function is GELU; known are"),
        ({}, {"linear.bias": (5,)}, r"expected linear\.weight \(O, I\)"),
        ({}, {"linear.weight": (5, WIDTH), "linear.bias": (4,)}, r"perhaps linear\.bias \(O,\)"),
        ({}, {"linear.weight": (5, WIDTH), "residual.weight": (5, WIDTH)}, "and no other tensor"),
        ({}, {"linear.weight": (5, 7)}, rf"modules\.json: a Dense of 7 inputs gets vectors of {WIDTH}"),
    ],
)
def test_what_a_dense_layer_cannot_be(config: dict[str, Any], tensors: Any, message: str, folder: Path) -> None:
    zeros = None if tensors is None else {name: np.zeros(shape, np.float32) for name, shape in tensors.items()}
    with pytest.raises(ValueError, match=message):
        fastseq.SentenceEncoder(dense(folder, POOL, DENSE, tensors=zeros, **config))


@pytest.mark.parametrize(
    ("mode", "pool"),
    [
        ("cls", lambda x, first: x[first]),
        ("mean", lambda x, first: x[first:].mean(axis=0)),
        ("max", lambda x, first: x[first:].max(axis=0)),
        # Those that follow weigh what they would with the prompt.
        ("weightedmean", lambda x, first: np.average(x[first:], axis=0, weights=np.arange(first + 1, len(x) + 1))),
        ("lasttoken", lambda x, first: x[-1]),
    ],
)
def test_pooling_without_the_prompt(mode: str, pool: Any, folder: Path) -> None:
    modules(folder, POOL, pooling={"pooling_mode": mode, "include_prompt": False})
    encoder = fastseq.SentenceEncoder(folder)
    prompt, text = "The ship: ", SENTENCES[1]
    first = len(encoder.tokenizer.encode(prompt)) - 1  # without what ends every sentence
    expected = pool(tokens_of(folder, prompt + text), first)
    np.testing.assert_allclose(encoder.encode(text, prompt=prompt), expected, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(text), pool(tokens_of(folder, text), 0), atol=1e-5)
    assert np.isfinite(encoder.encode("", prompt=prompt)).all()
    modules(folder, POOL, pooling={"pooling_mode": mode, "include_prompt": True})
    whole = fastseq.SentenceEncoder(folder).encode(text, prompt=prompt)
    np.testing.assert_allclose(whole, pool(tokens_of(folder, prompt + text), 0), atol=1e-5)


@pytest.mark.filterwarnings("ignore:feature-extraction")
def test_a_prompt_that_leaves_no_room(folder: Path) -> None:
    modules(folder, POOL, pooling={"pooling_mode": ["cls", "mean"], "include_prompt": False})
    encoder = fastseq.SentenceEncoder(folder)
    last = tokens_of(folder, SENTENCES[0] * 9)[-1]  # what ends a sentence, where it is cut off
    np.testing.assert_allclose(encoder.encode("a", prompt=SENTENCES[0] * 9), np.concatenate([last, last]), atol=1e-5)


def test_a_vector_does_not_depend_on_company(folder: Path) -> None:
    encoder = fastseq.SentenceEncoder(folder, backend="native")
    texts = [*SENTENCES, "", "a"]
    together = encoder.encode(texts)
    for size in (1, 5):
        assert np.array_equal(encoder.encode(texts, batch_size=size), together)
    assert np.array_equal(np.stack([encoder.encode(text) for text in texts]), together)
    assert encoder.encode([]).shape == (0, WIDTH)


def test_limits_prompts_and_lower_case(folder: Path) -> None:
    modules(folder, POOL, settings={"max_seq_length": 12, "do_lower_case": True})
    prompts = {"prompts": {"query": "the query: "}, "default_prompt_name": None}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    encoder = fastseq.SentenceEncoder(folder)
    assert encoder.max_seq_length == 12
    with pytest.warns(UserWarning, match="sentence 1 is longer than 12 tokens"):
        encoder.encode(["a", SENTENCES[0]])
    assert np.array_equal(encoder.encode("A B"), encoder.encode("a b"))
    assert np.array_equal(encoder.encode("a", prompt_name="query"), encoder.encode("the query: a"))
    assert np.array_equal(encoder.encode("a", prompt="the query: "), encoder.encode("the query: a"))
    with pytest.raises(ValueError, match="prompt_name is 'x'; the model has query"):
        encoder.encode("a", prompt_name="x")


def test_similarity_and_index(folder: Path) -> None:
    compare = fastseq.pipeline("sentence-similarity", folder)
    scores = compare({"source_sentence": SENTENCES[0], "sentences": [SENTENCES[0], SENTENCES[1]]})
    assert scores[0] == pytest.approx(1) and scores[1] < 1
    assert compare(source_sentence=SENTENCES[0], sentences=SENTENCES[:2]) == scores
    with pytest.raises(ValueError, match="nothing given; expected source_sentence and sentences"):
        compare()
    with pytest.raises(TypeError, match="sentences a list of str"):
        compare(source_sentence="a", sentences="b")
    index = fastseq.SemanticIndex(compare.encoder)
    index.add(SENTENCES)
    assert index.search(SENTENCES[4], top_k=1)[0]["text"] == SENTENCES[4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "modules.json holds a dict"),
        ('[{"type": 5}]', "module 0 has no type or no path"),
        ('[{"type": "a.Transformer", "path": "../.."}]', "no path inside the folder"),
        ('[{"type": "a.Transformer", "path": ""}]', "has no Pooling"),
        (
            '[{"type": "a.Transformer", "path": ""}, {"type": "a.CNN", "path": "1"}]',
            r"module 1 is a a\.CNN; Transformer",
        ),
    ],
)
def test_damaged_modules_are_named(content: str, message: str, folder: Path) -> None:
    (folder / "modules.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        fastseq.SentenceEncoder(folder)


def test_wrong_arguments(folder: Path) -> None:
    encoder = fastseq.SentenceEncoder(folder)
    with pytest.raises(TypeError, match="sentences is int"):
        encoder.encode(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="sentence 1 is int; expected a str"):
        encoder.encode(["a", 5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="batch_size is 0"):
        encoder.encode("a", batch_size=0)
    with pytest.raises(ValueError, match="pooling is none"):
        fastseq.SentenceEncoder(modules(folder, POOL, pooling={"word_embedding_dimension": 3}))
