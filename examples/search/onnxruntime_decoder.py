"""Beam search for an ONNX Runtime encoder-decoder with past keys and values, without PyTorch.

Exported decoders take ``past`` keys and values and return ``present`` ones. That is all a step function needs: what
was `present` becomes `past`, and the search reorders it in between.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

import fastseq

VOCABULARY, HIDDEN = 12, 16
START, END = 0, 1

ENCODER = """
<ir_version: 8, opset_import: ["" : 17]>
encoder (int64[batch, length] input_ids) => (float[batch, length, H] memory)
<float[V, H] embedding, float[H, H] project>
{
    embedded = Gather (embedding, input_ids)
    projected = MatMul (embedded, project)
    memory = Tanh (projected)
}
"""

# One layer: self-attention over past and present, attention on the memory, logits of the next token.
DECODER = """
<ir_version: 8, opset_import: ["" : 17]>
decoder (int64[rows, 1] input_ids, float[rows, length, H] memory, float[rows, past, H] past_key,
         float[rows, past, H] past_value)
    => (float[rows, 1, V] logits, float[rows, all, H] present_key, float[rows, all, H] present_value,
        float[rows, 1, length] attention)
<float[V, H] embedding, float[H, H] query, float[H, H] key, float[H, H] value, float[H, H] cross, float[H, V] output,
 float scale>
{
    x = Gather (embedding, input_ids)
    new_key = MatMul (x, key)
    new_value = MatMul (x, value)
    present_key = Concat <axis = 1> (past_key, new_key)
    present_value = Concat <axis = 1> (past_value, new_value)
    q = MatMul (x, query)
    keys = Transpose <perm = [0, 2, 1]> (present_key)
    raw = MatMul (q, keys)
    scores = Mul (raw, scale)
    weights = Softmax <axis = -1> (scores)
    context = MatMul (weights, present_value)
    y = Add (x, context)
    cross_query = MatMul (y, cross)
    memory_keys = Transpose <perm = [0, 2, 1]> (memory)
    cross_raw = MatMul (cross_query, memory_keys)
    cross_scores = Mul (cross_raw, scale)
    attention = Softmax <axis = -1> (cross_scores)
    cross_context = MatMul (attention, memory)
    z = Add (y, cross_context)
    logits = MatMul (z, output)
}
"""


def build(text: str, weights: dict[str, NDArray[np.float32]]) -> onnxruntime.InferenceSession:
    """A session of a model from its text; the letters V and H become sizes."""
    sized = text.replace("V,", f"{VOCABULARY},").replace("V]", f"{VOCABULARY}]").replace("H", str(HIDDEN))
    model = onnx.parser.parse_model(sized)
    names = [value.name for value in model.graph.initializer] + [value.name for value in model.graph.value_info]
    del model.graph.value_info[:]
    model.graph.initializer.extend(onnx.numpy_helper.from_array(weights[name], name) for name in names)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Translator:
    """Encoder and decoder sessions with random weights."""

    def __init__(self, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        shapes = {"embedding": (VOCABULARY, HIDDEN), "output": (HIDDEN, VOCABULARY)}
        shapes |= dict.fromkeys(("project", "query", "key", "value", "cross"), (HIDDEN, HIDDEN))
        weights = {name: generator.standard_normal(shape).astype(np.float32) / 2 for name, shape in shapes.items()}
        weights["scale"] = np.array(HIDDEN**-0.5, np.float32)
        self.encoder, self.decoder = build(ENCODER, weights), build(DECODER, weights)

    def start(self, sources: NDArray[np.int64]) -> dict[str, Any]:
        """Encode sources (n, S): the decoder's inputs beside the ids, with an empty past."""
        [memory] = self.encoder.run(["memory"], {"input_ids": sources})
        nothing = np.empty((len(sources), 0, HIDDEN), np.float32)
        return {"memory": memory, "past_key": nothing, "past_value": nothing}

    def step(self, ids: NDArray[np.int64], state: dict[str, Any]) -> tuple[Any, dict[str, Any], Any]:
        """Run the decoder for one token of each row."""
        names = ["logits", "present_key", "present_value", "attention"]
        logits, key, value, attention = self.decoder.run(names, {"input_ids": ids[:, None], **state})
        return logits[:, 0], {"memory": state["memory"], "past_key": key, "past_value": value}, attention[:, 0]


def search(sources: list[list[int]], **options: object) -> list[fastseq.Generation]:
    """Beam search for sources of one length."""
    translator = Translator()
    return fastseq.beam_search(
        translator.step,
        translator.start(np.array(sources, np.int64)),
        batch_size=len(sources),
        start_id=START,
        eos_id=END,
        max_length=10,
        **options,
    )


def main() -> None:
    """Print the two best hypotheses of two sources."""
    for generation in search([[5, 3, 7], [4, 9, 2]], num_beams=4, num_return_sequences=2, return_attention=True):
        for h in generation.hypotheses:
            print(h.tokens, f"{h.score:.3f}", "aligned to", h.alignment)


if __name__ == "__main__":
    main()
