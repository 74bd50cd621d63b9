"""Readers and writers of weight files. Nothing in a file is ever run, and NumPy is all that reading needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastseq.weights.folder import WEIGHT_FILES, find_weights, open_weights, read_weights
from fastseq.weights.safetensors import read_safetensors, write_safetensors
from fastseq.weights.stored import StoredTensor, read_floats

if TYPE_CHECKING:
    from fastseq.weights.keras_file import KerasFile, read_keras
    from fastseq.weights.torch_file import read_torch

__all__ = [
    "WEIGHT_FILES",
    "KerasFile",
    "StoredTensor",
    "find_weights",
    "open_weights",
    "read_floats",
    "read_keras",
    "read_safetensors",
    "read_torch",
    "read_weights",
    "write_safetensors",
]


def __getattr__(name: str) -> Any:
    # Most models are stored as safetensors, which need neither the unpickler nor the reader of HDF5.
    if name == "read_torch":
        from fastseq.weights.torch_file import read_torch

        return read_torch
    if name in ("KerasFile", "read_keras"):
        from fastseq.weights import keras_file

        return keras_file.KerasFile if name == "KerasFile" else keras_file.read_keras
    raise AttributeError(f"module 'fastseq.weights' has no attribute {name!r}")
