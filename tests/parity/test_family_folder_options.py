"""What a folder's own generation_config.json says holds without a word from the caller, as in transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fastseq
from tiny_models import BACKENDS

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch_families import assert_answers, batches, padded, randomise, save, their_answers  # noqa: E402

SIZES: dict[str, Any] = {
    "vocab_size": 83,
    "d_model": 24,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 40,
    "scale_embedding": True,
}
FORCED, PAD, LIMIT = 77, 82, 10
MARIAN = {"pad_token_id": PAD, "eos_token_id": 0, "decoder_start_token_id": PAD, "forced_eos_token_id": 0}
LANGUAGES = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
# The files as OPUS-MT, mBART-50, M2M-100 and NLLB publish them, with a shorter limit.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "marian": ("Marian", MARIAN | {"bad_words_ids": [[PAD]], "renormalize_logits": True}),
    "mbart": ("MBart", LANGUAGES | {"forced_bos_token_id": FORCED, "forced_eos_token_id": 2}),
    "m2m_100": ("M2M100", LANGUAGES | {"forced_bos_token_id": FORCED, "early_stopping": True}),
    "nllb": ("M2M100", LANGUAGES | {"forced_bos_token_id": FORCED}),
}
LENGTHS = [7, 1, 19, 4, 12, 3]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The options of a folder, and the folder with random weights that would do something else without them."""
    name, options = CASES[request.param]
    ids = {key: value for key, value in options.items() if key.endswith("token_id") and not key.startswith("forced")}
    config = getattr(transformers, f"{name}Config")(**(SIZES | ids), forced_eos_token_id=None)
    kind = "MarianMTModel" if name == "Marian" else f"{name}ForConditionalGeneration"
    model: Any = randomise(getattr(transformers, kind)(config), seed=len(request.param))
    if name == "Marian":
        model.final_logits_bias[0, PAD] = 30.0  # published weights have 0 there, and padding that would win at times
    return options, save(model, tmp_path_factory.mktemp(request.param))


def write(folder: Path, options: dict[str, Any]) -> None:
    (folder / "generation_config.json").write_text(json.dumps(options))


@pytest.mark.parametrize("num_beams", [1, 4])
def test_the_folder_decides(case: tuple[dict[str, Any], Path], num_beams: int) -> None:
    options, folder = case
    write(folder, options | {"num_beams": num_beams, "max_length": LIMIT})
    hf = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    rows = batches(80, LENGTHS, 3)
    ids, mask = padded(rows, options["pad_token_id"])
    expected = their_answers(hf, {options["eos_token_id"]}, input_ids=ids, attention_mask=mask)
    for backend in BACKENDS:
        assert_answers(fastseq.load_model(folder, backend=backend).generate(rows), expected, backend)


@pytest.mark.parametrize("num_beams", [1, 4])
def test_each_option_of_the_folder_makes_a_difference(case: tuple[dict[str, Any], Path], num_beams: int) -> None:
    options, folder = case
    write(folder, options | {"num_beams": num_beams, "max_length": LIMIT})
    model, rows = fastseq.load_model(folder), batches(80, LENGTHS, 3)
    found = model.generate(rows)
    assert all(PAD not in generation.tokens for generation in found)
    if "bad_words_ids" in options:
        assert all(PAD in generation.tokens for generation in model.generate(rows, bad_words_ids=None))
    if "forced_bos_token_id" in options:
        assert {generation.tokens[0] for generation in found} == {FORCED}
        unforced = model.generate(rows, forced_bos_token_id=None)
        assert FORCED not in {token for generation in unforced for token in generation.tokens[:1]}
    if "forced_eos_token_id" in options:
        assert all(generation.finished for generation in found)
        assert not all(generation.finished for generation in model.generate(rows, forced_eos_token_id=None))
    longest = max(generation.hypotheses[0].steps for generation in found)
    assert longest == LIMIT - 1  # the start token counts
    assert max(g.hypotheses[0].steps for g in model.generate(rows, max_length=LIMIT + 4)) == LIMIT + 3


@pytest.mark.filterwarnings("ignore:Unfeasible length constraints")
@pytest.mark.parametrize("minimum", [{"min_length": 9}, {"min_new_tokens": 9}])
@pytest.mark.parametrize("limit", [{"max_length": 5}, {"max_new_tokens": 5}])
def test_a_minimum_of_the_folder_gives_way(
    case: tuple[dict[str, Any], Path], minimum: dict[str, int], limit: dict[str, int]
) -> None:
    options, folder = case
    options = options | {"forced_eos_token_id": None}
    write(folder, options | minimum | {"num_beams": 2})
    hf = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    rows = batches(80, LENGTHS, 3)
    ids, mask = padded(rows, options["pad_token_id"])
    expected = their_answers(hf, {options["eos_token_id"]}, input_ids=ids, attention_mask=mask, **limit)
    for backend in BACKENDS:
        assert_answers(fastseq.load_model(folder, backend=backend).generate(rows, **limit), expected, backend)
