"""The kernels as functions: names and conventions of torch.nn.functional, NumPy arrays in and out.

Arguments may be anything that speaks the array protocol (NumPy arrays, torch CPU tensors) or nested lists; they are
computed in float32. What comes out for one row does not depend on the other rows.
"""

from fastseq.functional.activations import exp, gelu, relu, sigmoid, silu, tanh
from fastseq.functional.attention import (
    additive_attention,
    multiplicative_attention,
    scaled_dot_product_attention,
)
from fastseq.functional.cells import gru_cell, lstm_cell, rnn_cell
from fastseq.functional.dense import embedding, linear
from fastseq.functional.norm import layer_norm, rms_norm
from fastseq.functional.quantize import quantize_rows
from fastseq.functional.softmax import log_softmax, log_softmax_topk, softmax

__all__ = [
    "additive_attention",
    "embedding",
    "exp",
    "gelu",
    "gru_cell",
    "layer_norm",
    "linear",
    "log_softmax",
    "log_softmax_topk",
    "lstm_cell",
    "multiplicative_attention",
    "quantize_rows",
    "relu",
    "rms_norm",
    "rnn_cell",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "softmax",
    "tanh",
]
