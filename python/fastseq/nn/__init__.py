"""Layers as classes: torch.nn's names, arguments and state dictionaries, NumPy arrays in and out.

Weights are rearranged for the processor when a layer first runs. `X.from_torch(module)` takes over a module of torch,
`load_state_dict` any mapping of names to arrays; `from_keras(source)` runs layers and models of Keras.
"""

from fastseq.nn.attention import MultiheadAttention
from fastseq.nn.dense import Embedding, Linear
from fastseq.nn.keras import KerasModel, from_keras
from fastseq.nn.lstm import LSTM
from fastseq.nn.module import Module
from fastseq.nn.norm import LayerNorm, RMSNorm
from fastseq.nn.onnx import OnnxRecurrent, from_onnx
from fastseq.nn.recurrent import GRU, RNN
from fastseq.nn.recurrent_cells import GRUCell, LSTMCell, RNNCell
from fastseq.nn.recurrent_light import SRU, SSRU, MultiplicativeLSTM
from fastseq.nn.stack import TransformerDecoder, TransformerEncoder
from fastseq.nn.transformer import TransformerDecoderLayer, TransformerEncoderLayer

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "SRU",
    "SSRU",
    "Embedding",
    "GRUCell",
    "KerasModel",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "Module",
    "MultiheadAttention",
    "MultiplicativeLSTM",
    "OnnxRecurrent",
    "RMSNorm",
    "RNNCell",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "from_keras",
    "from_onnx",
]
