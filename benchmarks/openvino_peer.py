"""OpenVINO as a peer: in float32, for one caller that waits, on a given number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

__all__ = ["attention", "compiled", "linear"]


def compiled(model: Any, threads: int) -> Callable[..., Any]:
    """A function of arrays, of a model of `openvino` or an ONNX file or its bytes; it returns the first output."""
    import openvino

    core = openvino.Core()
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        # Two processors of a virtual machine may look like one core; and the others of this process need theirs.
        "ENABLE_HYPER_THREADING": True,
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(model if _is_model(model) else core.read_model(model), "CPU", options)

    def run(*arrays: NDArray[Any]) -> Any:
        return request(list(arrays), share_inputs=True)[0]

    return run


def _is_model(model: Any) -> bool:
    import openvino

    return isinstance(model, openvino.Model)


def linear(weight: NDArray[Any], bias: NDArray[Any], rows: int, threads: int) -> Callable[..., Any]:
    """x (rows, I) to x W^T + b."""
    import openvino
    from openvino import opset13 as ops

    x = ops.parameter([rows, weight.shape[1]], openvino.Type.f32)
    product = ops.matmul(x, ops.constant(weight), transpose_a=False, transpose_b=True)
    return compiled(openvino.Model([ops.add(product, ops.constant(bias))], [x]), threads)


def attention(query: Any, key: Any, value: Any, causal: bool, threads: int) -> Callable[..., Any]:
    """Scaled dot-product attention of arrays of these shapes."""
    import openvino
    from openvino import opset13 as ops

    parameters = [ops.parameter(list(array.shape), openvino.Type.f32) for array in (query, key, value)]
    output = ops.scaled_dot_product_attention(*parameters, causal=causal)
    return compiled(openvino.Model([output], parameters), threads)
