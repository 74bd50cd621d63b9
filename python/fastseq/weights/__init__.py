"""Readers and writers of weight files."""

from fastseq.weights.safetensors import read_safetensors, write_safetensors

__all__ = ["read_safetensors", "write_safetensors"]
