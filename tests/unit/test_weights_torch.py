"""Files of the real `torch.save`, read without PyTorch: every number as PyTorch has it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseq.weights import read_torch

torch = pytest.importorskip("torch")

FORMATS = {
    "zip": {},
    "zip, protocol 3": {"pickle_protocol": 3},
    "zip, protocol 4": {"pickle_protocol": 4},
    "zip, protocol 5": {"pickle_protocol": 5},
    "stream": {"_use_new_zipfile_serialization": False},
    "stream, protocol 4": {"_use_new_zipfile_serialization": False, "pickle_protocol": 4},
}
FLOATS = [torch.float32, torch.float16, torch.bfloat16, torch.float64]
INTEGERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]


def expected(tensor: Any) -> Any:
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def check(tensors: Any, path: Path) -> None:
    arrays = read_torch(path)
    assert list(arrays) == list(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(arrays[name], expected(tensor), strict=True)
        assert arrays[name].flags.c_contiguous and arrays[name].flags.writeable


@pytest.fixture(params=FORMATS)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    def save(value: Any) -> Path:
        path = tmp_path / "pytorch_model.bin"
        torch.save(value, path, **FORMATS[request.param])
        return path

    return save


def test_state_dictionaries_of_modules(saved: Any) -> None:
    torch.manual_seed(0)
    for module in (
        torch.nn.LSTM(5, 7, num_layers=2, bidirectional=True),
        torch.nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        torch.nn.Sequential(torch.nn.Embedding(11, 4, padding_idx=0), torch.nn.BatchNorm1d(4)),
        torch.nn.LSTM(3, 4).half(),
        torch.nn.GRU(3, 4).bfloat16(),
        torch.nn.Linear(3, 4).double(),
        torch.nn.Identity(),
    ):
        check(module.state_dict(), saved(module.state_dict()))


def test_plain_dictionaries_and_parameters(saved: Any) -> None:
    parameters = dict(torch.nn.Linear(3, 4).named_parameters())
    check(parameters, saved(parameters))


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS, ids=str)
def test_numbers_of_every_type(dtype: Any, saved: Any) -> None:
    values = [0.0, 1.0, -1.0, 127.0, 1.5, -0.0]
    if dtype.is_floating_point:
        values += [math.inf, -math.inf, math.nan, torch.finfo(dtype).tiny, torch.finfo(dtype).max, 5e-8]
    tensor = torch.tensor([v for v in values if v >= 0 or dtype not in (torch.uint8, torch.bool)]).to(dtype)
    check({"values": tensor, "scalar": tensor[1].clone()}, saved({"values": tensor, "scalar": tensor[1].clone()}))


def test_views_of_one_storage(saved: Any) -> None:
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    check(
        views := {
            "base": base,
            "transposed": base.permute(2, 0, 1),
            "row": base[1],
            "column": base[:, :, 2],
            "every other": base[::2, 1::2, ::3],
            "last": base[2, 3, 4],
            "expanded": base[0, 0, :1].expand(6, 5),
            "diagonal": base[0].diagonal(),
            "windows": base.flatten().unfold(0, 8, 3),
            "nothing": base[3:],
            "nothing in the middle": base[:, 2:2],
        },
        saved(views),
    )


def test_tensors_without_elements(saved: Any) -> None:
    check(
        empty := {"a": torch.zeros(0), "b": torch.zeros(0, 3).half(), "c": torch.zeros(2, 0, 5, dtype=torch.int64)},
        saved(empty),
    )
    assert read_torch(saved({})) == {}


def test_tied_weights_are_one_array(saved: Any) -> None:
    weight = torch.rand(4, 3)
    arrays = read_torch(saved({"embedding": weight, "head": weight, "transposed": weight.T, "copy": weight.clone()}))
    assert arrays["embedding"] is arrays["head"]
    assert not any(np.shares_memory(arrays["embedding"], arrays[name]) for name in ("transposed", "copy"))


@given(data=st.data())
def test_any_view_of_any_type(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    dtype = data.draw(st.sampled_from(FLOATS + INTEGERS))
    shape = data.draw(st.lists(st.integers(0, 4), max_size=5))
    strides = [data.draw(st.integers(0, 9)) for _ in shape]
    offset = data.draw(st.integers(0, 5))
    size = offset + 1 + sum(max(n - 1, 0) * stride for n, stride in zip(shape, strides, strict=True))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    base = torch.randint(0, 100, (size,), generator=generator).to(dtype)
    tensors = {"view": base.as_strided(shape, strides, offset), "base": base}
    path = tmp_path_factory.mktemp("any") / "x.bin"
    torch.save(tensors, path, **FORMATS[data.draw(st.sampled_from(sorted(FORMATS)))])
    check(tensors, path)


def test_what_is_no_dictionary_of_tensors_is_named(saved: Any) -> None:
    weight = torch.rand(2)
    for value, message in {
        "a tensor": (weight, "holds a TorchTensor; expected a dictionary of tensors"),
        "a list": ([weight], "holds a list; expected a dictionary of tensors"),
        "a checkpoint": (
            {"state_dict": {"w": weight}, "epoch": 3},
            "entry 'state_dict' is a dict, entry 'epoch' is a int",
        ),
        "sizes": ({"w": weight, "size": weight.shape}, "entry 'size' is a tuple; expected tensors"),
        "a device": ({"device": weight.device}, "entry 'device' is a str; expected tensors"),
        "numbered": ({0: weight}, "a int is a key; expected text"),
        "a module": (torch.nn.Linear(2, 2), "global 'torch.nn.modules.linear.Linear' is refused"),
        "complex": ({"w": weight.to(torch.complex64)}, "global 'torch.ComplexFloatStorage' is refused"),
        "sparse": ({"w": torch.eye(2).to_sparse()}, "global 'torch._utils._rebuild_sparse_tensor' is refused"),
        "unsigned": ({"w": weight.to(torch.uint16)}, "global 'torch._utils._rebuild_tensor_v3' is refused"),
        "an array": ({"w": np.ones(2)}, "is refused"),
        "negated": ({"w": torch.view_as_complex(torch.rand(1, 2)).conj().imag}, "is stored as conjugated or negated"),
    }.values():
        with pytest.raises(ValueError) as caught:
            read_torch(saved(value))
        assert message in str(caught.value) and "pytorch_model.bin" in str(caught.value)


def test_a_parameter_with_attributes_has_its_numbers(saved: Any) -> None:
    parameter = torch.nn.Parameter(torch.rand(3))
    parameter.origin = "somewhere"
    check({"w": parameter}, saved({"w": parameter}))
