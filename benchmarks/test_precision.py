"""Dense and recurrent layers in int8 and bfloat16 beside PyTorch's dynamic int8 and ONNX Runtime's, one thread each.

pytest benchmarks/test_precision.py --benchmark-json=out.json
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import fastseq
from fastseq import nn

Run = Callable[[], Any]
OUT, IN, STEPS = 2048, 512, 64


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def ours_linear(rows: int, compute_type: str) -> Run:
    layer = nn.Linear(IN, OUT, compute_type=compute_type, seed=0)
    x = normal(rows, IN)
    return lambda: layer(x)


def ours_lstm(size: int, compute_type: str) -> Run:
    layer = nn.LSTM(size, size, compute_type=compute_type, seed=0)
    x = normal(STEPS, 1, size)
    return lambda: layer(x)[0]


def torch_module(module: Any, x: np.ndarray, int8: bool) -> Run:
    import torch

    torch.set_num_threads(1)
    if int8:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.ao.quantization.quantize_dynamic(module, dtype=torch.qint8)
    tensor = torch.from_numpy(x)

    def run() -> Any:
        with torch.inference_mode():
            result = module(tensor)
        return (result[0] if isinstance(result, tuple) else result).numpy()

    return run


def torch_linear(rows: int, int8: bool) -> Run:
    import torch

    module = torch.nn.Linear(IN, OUT)
    module.load_state_dict({k: torch.tensor(v) for k, v in nn.Linear(IN, OUT, seed=0).state_dict().items()})
    return torch_module(module, normal(rows, IN), int8)


def torch_lstm(size: int, int8: bool) -> Run:
    import torch

    module = torch.nn.LSTM(size, size)
    module.load_state_dict({k: torch.tensor(v) for k, v in nn.LSTM(size, size, seed=0).state_dict().items()})
    return torch_module(module, normal(STEPS, 1, size), int8)


def onnxruntime_linear(rows: int) -> Run:
    """Dynamic int8: DynamicQuantizeLinear, MatMulInteger, scales and bias, which the session fuses."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    layer = nn.Linear(IN, OUT, seed=0)
    scale = np.abs(layer.weight).max() / np.float32(127)
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
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    x = normal(rows, IN)
    return lambda: session.run(None, {"x": x})[0]


CASES: dict[str, dict[str, Callable[[], Run]]] = {}
for _rows in (4, 128):
    CASES[f"linear int8 {_rows}x{OUT}x{IN}"] = {
        "fastseq": partial(ours_linear, _rows, "int8"),
        "torch": partial(torch_linear, _rows, True),
        "onnxruntime": partial(onnxruntime_linear, _rows),
        "fastseq float32": partial(ours_linear, _rows, "float32"),
    }
CASES[f"lstm T={STEPS} B=1 H=512"] = {
    "fastseq": lambda: ours_lstm(512, "int8"),
    "torch": lambda: torch_lstm(512, True),
    "fastseq bfloat16": lambda: ours_lstm(512, "bfloat16"),
    "fastseq float32": lambda: ours_lstm(512, "float32"),
    "torch float32": lambda: torch_lstm(512, False),
}


@pytest.mark.parametrize(("case", "peer"), [(case, peer) for case, peers in CASES.items() for peer in peers])
def test_case(benchmark: BenchmarkFixture, case: str, peer: str) -> None:
    module = peer.split()[0]
    if importlib.util.find_spec(module) is None or (
        module == "onnxruntime" and importlib.util.find_spec("onnx") is None
    ):
        pytest.skip(f"{module} is not installed")
    fastseq.set_num_threads(1)
    benchmark.group = case
    exact = CASES[case]["fastseq float32"]()()
    run = CASES[case][peer]()
    error = np.abs(run() - exact).max() / np.abs(exact).max()
    assert error < 0.05, "it computes something else"
    benchmark.extra_info["error"] = float(error)
    benchmark(run)
