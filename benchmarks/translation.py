"""Rows of translation, 25 tokens in and 32 out: random weights of OPUS-MT's size; CTranslate2, transformers."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from marian_base import CONFIG, convert, write_marian_base
from peers import Row, Run, has

import fastseq

__all__ = ["rows"]

SOURCE_TOKENS, NEW_TOKENS = 25, 32


@functools.cache
def _folder() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    """Kept until the process ends."""
    place = tempfile.TemporaryDirectory(prefix="fastseq-marian-")
    return place, write_marian_base(Path(place.name) / "hub")


@functools.cache
def _fastseq(compute_type: str) -> Any:
    return fastseq.load_model(_folder()[1], compute_type=compute_type)


@functools.cache
def _transformers() -> Any:
    import transformers

    model: Any = transformers.MarianMTModel.from_pretrained(_folder()[1])
    return model.eval()


@functools.cache
def _converted() -> str:
    place, hub = _folder()
    return convert(hub, Path(place.name) / "converted")


@functools.cache
def _ctranslate2(compute_type: str, threads: int) -> Any:
    import ctranslate2

    return ctranslate2.Translator(
        _converted(), device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=threads
    )


def _translation(batch: int, beams: int, compute_type: str) -> Row:
    def runs(threads: int) -> dict[str, Run]:
        ids = np.random.default_rng(batch).integers(2, CONFIG["vocab_size"] - 1, (batch, SOURCE_TOKENS))
        ids[:, -1] = CONFIG["eos_token_id"]
        options: dict[str, Any] = {"num_beams": beams, "max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS}
        model = _fastseq(compute_type)
        # The last token is left out: transformers makes an end of it.
        kept = NEW_TOKENS - 1
        result: dict[str, Run] = {
            "fastseq": lambda: np.array([g.tokens[:kept] for g in model.generate(ids, **options)]),
        }
        if has("torch") and has("transformers") and compute_type == "float32":
            import torch

            tensor = torch.from_numpy(ids)

            def transformers_run() -> Any:
                mask = torch.ones_like(tensor)
                output = _transformers().generate(input_ids=tensor, attention_mask=mask, do_sample=False, **options)
                return output[:, 1 : 1 + kept].numpy()

            result["transformers"] = transformers_run
        if has("ctranslate2") and has("torch") and has("transformers"):
            translator = _ctranslate2(compute_type, threads)
            names = [[*(f"t{i}" for i in row[:-1]), "</s>"] for row in ids]

            def ctranslate2_run() -> Any:
                output = translator.translate_batch(
                    names,
                    beam_size=beams,
                    max_decoding_length=NEW_TOKENS,
                    min_decoding_length=NEW_TOKENS,
                    length_penalty=1.0,
                )
                return np.array([[int(token[1:]) for token in one.hypotheses[0][:kept]] for one in output])

            result["ctranslate2"] = ctranslate2_run
        return result

    search = f"beam {beams}" if beams > 1 else "greedy"
    # What CTranslate2 rounds to int8 differs a little from what fastseq does: so do the tokens of a random model.
    uncompared = frozenset({"ctranslate2"}) if compute_type == "int8" else frozenset()
    name = f"translation {compute_type} B={batch} {search}"
    work = _operations(batch, beams) if compute_type == "float32" else 0.0  # the limit is float32's
    return Row(name, runs, flops=work, tolerance=0.0, uncompared=uncompared)


def _operations(batch: int, beams: int) -> float:
    """Of the products with weights, which are nearly all there is to do."""
    d, inner, layers = CONFIG["d_model"], CONFIG["decoder_ffn_dim"], CONFIG["decoder_layers"]
    source = layers * (4 * d * d + 2 * d * inner) + layers * 2 * d * d  # encoder; keys and values for the decoder
    target = layers * (6 * d * d + 2 * d * inner) + d * CONFIG["vocab_size"]
    return float(2 * batch * (SOURCE_TOKENS * source + beams * NEW_TOKENS * target))


def rows() -> list[Row]:
    """In the order of the table."""
    return [
        _translation(batch, beams, compute_type)
        for compute_type in ("float32", "int8")
        for batch, beams in ((1, 1), (1, 4), (8, 4), (32, 4))
    ]
