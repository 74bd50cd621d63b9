"""Rows of dense and recurrent layers in int8 and bfloat16: PyTorch's dynamic int8 and bfloat16, ONNX Runtime's int8."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from peers import Floats, Row, Run, has

from fastseq import nn

__all__ = ["IN", "OUT", "STEPS", "onnxruntime_linear", "ours_linear", "ours_lstm", "rows", "torch_linear", "torch_lstm"]

OUT, IN, STEPS = 2048, 512, 64


def _normal(*shape: int) -> Floats:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def ours_linear(rows: int, compute_type: str) -> Run:
    layer = nn.Linear(IN, OUT, compute_type=compute_type, seed=0)
    x = _normal(rows, IN)
    return lambda: layer(x)


def ours_lstm(size: int, compute_type: str) -> Run:
    layer = nn.LSTM(size, size, compute_type=compute_type, seed=0)
    x = _normal(STEPS, 1, size)
    return lambda: layer(x)[0]


def _torch_module(module: Any, x: Floats, compute_type: str) -> Run:
    import torch

    tensor = torch.from_numpy(x)
    if compute_type == "int8":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.ao.quantization.quantize_dynamic(module, dtype=torch.qint8)
    elif compute_type == "bfloat16":
        module, tensor = module.bfloat16(), tensor.bfloat16()

    def run() -> Any:
        with torch.inference_mode():
            result = module(tensor)
            return (result[0] if isinstance(result, tuple) else result).float().numpy()

    return run


def torch_linear(rows: int, compute_type: str) -> Run:
    import torch

    module = torch.nn.Linear(IN, OUT)
    module.load_state_dict({k: torch.tensor(v) for k, v in nn.Linear(IN, OUT, seed=0).state_dict().items()})
    return _torch_module(module, _normal(rows, IN), compute_type)


def torch_lstm(size: int, compute_type: str) -> Run:
    import torch

    module = torch.nn.LSTM(size, size)
    module.load_state_dict({k: torch.tensor(v) for k, v in nn.LSTM(size, size, seed=0).state_dict().items()})
    return _torch_module(module, _normal(STEPS, 1, size), compute_type)


def onnxruntime_linear(rows: int, threads: int = 1) -> Run:
    """Dynamic int8: DynamicQuantizeLinear, MatMulInteger, scales and bias, which the session fuses.

    Weights of seven bits, as its `reduce_range` makes them: without VNNI it adds two products in 16 bits, and
    2 * 255 * 127 does not fit: with all eight, the numbers below are wrong by up to 0.17 of the largest.
    """
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    layer = nn.Linear(IN, OUT, seed=0)
    scale = np.abs(layer.weight).max() / np.float32(64)
    weight = np.rint(layer.weight / scale).astype(np.int8).T
    constants = {"w": np.ascontiguousarray(weight), "ws": scale, "wz": np.int8(0), "b": layer.bias}
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]),
        helper.make_node("MatMulInteger", ["q", "w", "qz", "wz"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["qs", "ws"], ["s"]),
        helper.make_node("Mul", ["whole", "s"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, IN])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, OUT])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    x = _normal(rows, IN)
    return lambda: session.run(None, {"x": x})[0]


def _linear(count: int) -> Row:
    def runs(threads: int) -> dict[str, Run]:
        result = {"fastseq": ours_linear(count, "int8")}
        if has("torch"):
            result["torch"] = torch_linear(count, "int8")
        if has("onnxruntime") and has("onnx"):
            result["onnxruntime"] = onnxruntime_linear(count, threads)
        return result

    # Every library rounds in its own way: float32's results are up to 0.05 away from each of them.
    # Few rows are bound by reading the weight; what the processor's int8 products could reach is not measured.
    return Row(f"linear int8 {count}x{OUT}x{IN}", runs, bytes=1.0 * OUT * IN if count < 8 else 0.0, tolerance=0.05)


def _lstm(compute_type: str, size: int = 512) -> Row:
    def runs(threads: int) -> dict[str, Run]:
        del threads
        result = {"fastseq": ours_lstm(size, compute_type)}
        if has("torch"):
            result["torch"] = torch_lstm(size, compute_type)
        return result

    number = 1 if compute_type == "int8" else 2
    return Row(
        f"LSTM {compute_type} T={STEPS} B=1 H={size}", runs, bytes=8.0 * number * size * size * STEPS, tolerance=0.05
    )


def rows() -> list[Row]:
    """In the order of the table."""
    return [_linear(4), _linear(128), _lstm("int8"), _lstm("bfloat16")]
