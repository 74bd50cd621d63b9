"""The kernels, layers and models in NumPy: plain code to read beside a paper, and the backend "numpy".

Same names and arguments as the extension. Arguments are expected to be checked already. The result has the dtype of
the arguments: float64 arrays give the numbers that tests hold the float32 kernels to.
"""

from fastseq.reference.activations import exp, gelu, relu, sigmoid, silu, tanh
from fastseq.reference.attention import additive_attention, multiplicative_attention, scaled_dot_product_attention
from fastseq.reference.integrity import all_finite, checksum
from fastseq.reference.linear import Linear, embedding, linear
from fastseq.reference.models import (
    Decoding,
    DeepRecurrentSeq2Seq,
    Ensemble,
    JointNgram,
    RecurrentSeq2Seq,
    TransformerClassifier,
    TransformerEncoder,
    TransformerLanguageModel,
    TransformerSeq2Seq,
)
from fastseq.reference.norm import layer_norm, rms_norm
from fastseq.reference.quantize import quantize_rows
from fastseq.reference.recurrent import Recurrent, gru_cell, lstm_cell, rnn_cell
from fastseq.reference.search import BeamSearch, ConstrainedBeamSearch, GreedySearch, SampleSearch
from fastseq.reference.softmax import log_softmax, log_softmax_topk, softmax
from fastseq.reference.variants import VariantRecurrent

__all__ = [
    "BeamSearch",
    "ConstrainedBeamSearch",
    "Decoding",
    "DeepRecurrentSeq2Seq",
    "Ensemble",
    "GreedySearch",
    "JointNgram",
    "Linear",
    "Recurrent",
    "RecurrentSeq2Seq",
    "SampleSearch",
    "TransformerClassifier",
    "TransformerEncoder",
    "TransformerLanguageModel",
    "TransformerSeq2Seq",
    "VariantRecurrent",
    "additive_attention",
    "all_finite",
    "checksum",
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
