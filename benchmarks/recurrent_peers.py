"""The same LSTM in fastseq, PyTorch, ONNX Runtime and OpenVINO, as functions without arguments; those installed."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openvino_peer import compiled

import fastseq

Floats = NDArray[np.float32]
Run = Callable[[], Floats]

__all__ = ["Lstm", "medians"]


def _has(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def medians(runs: dict[str, Callable[[], object]], seconds: float = 1.0, least: int = 7) -> dict[str, float]:
    """Median time of each, in microseconds, taken in turn until `seconds` have passed for each of them."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
        run()
    end = time.perf_counter() + seconds * len(runs)
    while time.perf_counter() < end or min(map(len, times.values())) < least:
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) * 1e6 for name, values in times.items()}


class Lstm:
    """One layer of H units for inputs (T, B, I = H), in every library."""

    def __init__(self, hidden_size: int, bidirectional: bool, threads: int) -> None:
        import torch

        torch.manual_seed(0)
        torch.set_grad_enabled(False)
        torch.set_num_threads(threads)
        fastseq.set_num_threads(threads)
        self.threads = threads
        self.module = torch.nn.LSTM(hidden_size, hidden_size, bidirectional=bidirectional).eval()
        self.layer = fastseq.nn.LSTM.from_torch(self.module)

    def inputs(self, steps: int, batch: int) -> Floats:
        """Random (T, B, I)."""
        generator = np.random.default_rng(0)
        return generator.standard_normal((steps, batch, self.module.input_size), np.float32)

    def runs(self, x: Floats, lengths: list[int] | None = None) -> dict[str, Run]:
        """Outputs (T, B, D H) of each library; with lengths, of sequences that end at them."""
        import torch
        from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

        tensor = torch.from_numpy(x)
        runs: dict[str, Run] = {"fastseq": lambda: self.layer(x, lengths=lengths)[0]}
        if lengths is None:
            runs["torch"] = lambda: self.module(tensor)[0].numpy()
        else:
            counts = torch.tensor(lengths)

            def packed() -> Floats:
                output = self.module(pack_padded_sequence(tensor, counts, enforce_sorted=False))[0]
                return pad_packed_sequence(output, total_length=len(x))[0].numpy()

            runs["torch packed"] = packed
            runs["torch padded"] = lambda: self.module(tensor)[0].numpy()
        if _has("onnxruntime") and _has("onnx"):
            runs["onnxruntime"] = self._onnxruntime(x, lengths)
        if _has("openvino") and _has("onnx"):
            runs["openvino"] = self._openvino(x, lengths)
        return runs

    def _onnx(self, x: Floats, lengths: list[int] | None) -> bytes:
        from onnx import TensorProto, helper, numpy_helper

        hidden = self.module.hidden_size
        state = {name: value.numpy() for name, value in self.module.state_dict().items()}
        suffixes = ["l0", "l0_reverse"][: 2 if self.module.bidirectional else 1]

        def gates(kind: str) -> Floats:  # i f g o to i o f c
            blocks = [np.split(state[f"{kind}_{suffix}"], 4) for suffix in suffixes]
            return np.stack([np.concatenate([b[0], b[3], b[1], b[2]]) for b in blocks])

        weights = {
            "W": gates("weight_ih"),
            "R": gates("weight_hh"),
            "B": np.concatenate([gates("bias_ih"), gates("bias_hh")], axis=1),
        }
        direction = "bidirectional" if self.module.bidirectional else "forward"
        inputs = ["X", "W", "R", "B", *(["lengths"] if lengths else [])]
        node = helper.make_node("LSTM", inputs, ["Y"], hidden_size=hidden, direction=direction)
        # (T, D, B, H) to (T, B, D * H)
        outputs = [
            helper.make_node("Transpose", ["Y"], ["swapped"], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", ["swapped", "shape"], ["output"]),
        ]
        weights["shape"] = np.array([len(x), x.shape[1], len(suffixes) * hidden], np.int64)
        graph = helper.make_graph(
            [node, *outputs],
            "lstm",
            [
                helper.make_tensor_value_info("X", TensorProto.FLOAT, x.shape),
                *([helper.make_tensor_value_info("lengths", TensorProto.INT32, [x.shape[1]])] if lengths else []),
            ],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        return bytes(model.SerializeToString())

    def _onnxruntime(self, x: Floats, lengths: list[int] | None) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        session = onnxruntime.InferenceSession(self._onnx(x, lengths), options, providers=["CPUExecutionProvider"])
        given: dict[str, Any] = {"X": x}
        if lengths:
            given["lengths"] = np.array(lengths, np.int32)
        return lambda: session.run(None, given)[0]

    def _openvino(self, x: Floats, lengths: list[int] | None) -> Run:
        run = compiled(self._onnx(x, lengths), self.threads)
        given = [x, *([np.array(lengths, np.int32)] if lengths else [])]
        return lambda: run(*given)
