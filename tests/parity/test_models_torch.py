"""Whole models against PyTorch: every cell, attention and bridge, every kind of Transformer.

PyTorch computes each sentence alone in float64. In float64 the reference must agree to 1e-10. In float32 a logit is
the end of a chain of a few hundred roundings of values of at most the size of the largest, each within
2 ** -24 = 6e-8 of it: 1e-5 of the largest value, the sum of 170 worst cases, covers them.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import fastseq
from fastseq import reference
from fastseq.models import Seq2SeqConfig, Seq2SeqModel
from tiny_models import BACKENDS, random_model, random_tensors, recurrent_config, transformer_config

pytest.importorskip("torch")

from torch_models import TorchModel

FLOAT32, FLOAT64 = 1e-5, 1e-10


def recurrent_configs() -> list[Any]:
    cases = itertools.product(
        ["rnn_tanh", "rnn_relu", "lstm", "gru"],
        ["none", "additive", "dot", "general"],
        ["copy", "dense", "zero"],
        [False, True],
        [False, True],
    )
    params = []
    for i, (cell, attention, bridge, bidirectional, feeding) in enumerate(cases):
        if feeding and attention == "none":
            continue
        encoder_size = 4 + i % 3
        memory = encoder_size * (2 if bidirectional else 1)
        layers = 1 + i % 2
        wide = i // 3 % 2 == 1  # embeddings that are wider than their vocabularies are large
        config = recurrent_config(
            cell=cell,
            source_embedding_size=16 if wide else 5,
            target_embedding_size=14 if wide else 7,
            attention=attention,
            bridge=bridge,
            encoder_bidirectional=bidirectional,
            input_feeding=feeding,
            encoder_hidden_size=encoder_size,
            decoder_hidden_size=memory if "copy" in bridge or attention == "dot" else 9,
            encoder_num_layers=layers,
            decoder_num_layers=3 if bridge == "zero" else layers,
            attention_size=5 if attention == "additive" else None,
        )
        name = f"{cell}-{attention}-{bridge}{'-bidirectional' * bidirectional}{'-feeding' * feeding}"
        params.append(pytest.param(config, id=name))
    return params


def transformer_configs() -> list[Any]:
    cases = itertools.product(
        [False, True], ["relu", "gelu", "silu"], ["sinusoidal", "learned"], [False, True], [False, True]
    )
    return [
        pytest.param(
            transformer_config(
                norm_first=norm_first,
                activation=activation,
                positions=positions,
                max_positions=32 if positions == "learned" else None,
                scale_embedding=scale,
                tie_output=tie,
                num_heads=1 + 2 * (i % 2),
                encoder_num_layers=1 + i % 3,
            ),
            id=f"{'pre' if norm_first else 'post'}-{activation}-{positions}{'-scaled' * scale}{'-tied' * tie}",
        )
        for i, (norm_first, activation, positions, scale, tie) in enumerate(cases)
    ]


CONFIGS = recurrent_configs() + transformer_configs()


def sentences(config: Seq2SeqConfig, seed: int) -> tuple[list[list[int]], list[list[int]]]:
    """Sources and targets of ragged lengths; two sources of one length."""
    generator = np.random.default_rng(seed)
    sources = [generator.integers(1, config.source_vocab_size, n).tolist() for n in (3, 9, 1, 3, 6)]
    targets = [[1, *generator.integers(3, config.target_vocab_size, n).tolist()] for n in (4, 2, 7, 0, 5)]
    return sources, targets


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max(initial=0) <= tolerance * np.abs(expected).max(initial=0)


def differs(actual: Any, expected: Any, tolerance: float) -> bool:
    try:
        assert_close(actual, expected, tolerance)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("config", CONFIGS)
def test_reference_in_float64_equals_torch(config: Seq2SeqConfig) -> None:
    tensors = {name: array.astype(np.float64) for name, array in random_tensors(config).items()}
    torch_model = TorchModel(config, tensors)
    model = getattr(reference, config.backend_class)(config.backend_options(), tensors)
    sources, targets = sentences(config, 1)
    offsets, target_offsets = (np.cumsum([0, *map(len, rows)]) for rows in (sources, targets))
    ids, target_ids = (np.concatenate(rows).astype(np.int32) for rows in (sources, targets))
    memory = model.encode(ids, offsets)
    logits, attention = model.decode(ids, offsets, target_ids, target_offsets, True)
    assert memory.dtype == logits.dtype == np.float64
    for b, (source, target) in enumerate(zip(sources, targets, strict=True)):
        expected_logits, expected_attention = torch_model.decode(source, target)
        assert_close(memory[offsets[b] : offsets[b + 1]], torch_model.encode(source), FLOAT64)
        assert_close(logits[target_offsets[b] : target_offsets[b + 1]], expected_logits, FLOAT64)
        assert (attention is None) == (expected_attention is None)
        if attention is not None:
            assert_close(attention[b], expected_attention, FLOAT64)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("config", CONFIGS)
def test_model_equals_torch(config: Seq2SeqConfig, backend: str) -> None:
    torch_model = TorchModel(config, random_tensors(config))
    model = random_model(config, backend)
    sources, targets = sentences(config, 2)
    memory, logits = model.encode(sources), model.decode(sources, targets)
    attention = model.attention(sources, [row[1:] for row in targets]) if config.attends else None
    for b, (source, target) in enumerate(zip(sources, targets, strict=True)):
        expected_logits, expected_attention = torch_model.decode(source, target)
        assert memory[b].dtype == logits[b].dtype == np.float32
        assert_close(memory[b], torch_model.encode(source), FLOAT32)
        assert_close(logits[b], expected_logits, FLOAT32)
        if attention is not None:
            assert_close(attention[b], expected_attention, FLOAT32)


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("config", CONFIGS[::16])
def test_generation_equals_a_search_that_recomputes_everything(config: Seq2SeqConfig, num_beams: int) -> None:
    """No cache, no reordered state: the prefix of each row goes through PyTorch from the beginning."""
    torch_model = TorchModel(config, random_tensors(config))
    sources = sentences(config, 3)[0][:3]
    options: dict[str, Any] = {"num_beams": num_beams, "num_return_sequences": num_beams, "max_new_tokens": 5}
    generations = [random_model(config, backend).generate(sources, **options) for backend in BACKENDS]
    for source, *generated in zip(sources, *generations, strict=True):

        def step(ids: Any, prefix: Any, source: list[int] = source) -> tuple[Any, Any]:
            prefix = np.concatenate((prefix, ids[:, None]), axis=1)
            return np.stack([torch_model.decode(source, row.tolist())[0][-1] for row in prefix]), prefix

        prefix = np.empty((1, 0), np.int64)
        [expected] = fastseq.beam_search(step, prefix, batch_size=1, start_id=1, eos_id=2, **options)
        for generation in generated:
            assert [h.tokens for h in generation.hypotheses] == [h.tokens for h in expected.hypotheses]
            assert [h.finished for h in generation.hypotheses] == [h.finished for h in expected.hypotheses]
            scores = np.array([h.score for h in generation.hypotheses])
            assert_close(scores, np.array([h.score for h in expected.hypotheses]), FLOAT32)


EVERYTHING = [p for p in CONFIGS if p.id in ("lstm-additive-dense-bidirectional-feeding", "pre-silu-learned-scaled")]


@pytest.mark.parametrize("config", EVERYTHING)
def test_the_comparison_notices_each_perturbed_tensor(config: Seq2SeqConfig) -> None:
    tensors = random_tensors(config)
    torch_model = TorchModel(config, tensors)
    sources, targets = sentences(config, 4)
    expected = [torch_model.decode(*pair)[0] for pair in zip(sources, targets, strict=True)]
    used = {"encoder.embedding.weight": sources[0][0], "decoder.embedding.weight": targets[0][0]}
    for name, tensor in tensors.items():
        perturbed = tensor.copy()
        row = perturbed[used.get(name, 0)] if perturbed.ndim > 1 else perturbed
        row += np.float32(0.5) * np.sign(np.sin(np.arange(1, row.size + 1))).astype(np.float32)
        logits = Seq2SeqModel(config, tensors | {name: perturbed}, backend="numpy").decode(sources, targets)
        assert any(differs(a, e, FLOAT32) for a, e in zip(logits, expected, strict=True)), name
