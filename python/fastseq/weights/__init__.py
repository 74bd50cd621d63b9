"""Readers and writers of weight files. Nothing in a file is ever run, and NumPy is all that reading needs."""

from fastseq.weights.folder import WEIGHT_FILES, find_weights, open_weights, read_weights
from fastseq.weights.keras_file import KerasFile, read_keras
from fastseq.weights.safetensors import read_safetensors, write_safetensors
from fastseq.weights.stored import StoredTensor, read_floats
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
