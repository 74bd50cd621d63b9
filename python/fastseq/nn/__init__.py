"""Layers as classes: torch.nn's names, arguments and state dictionaries, NumPy arrays in and out.

Weights are rearranged for the processor when a layer first runs. `X.from_torch(module)` takes over a module of torch,
`load_state_dict` any mapping of names to arrays; `from_keras(source)` runs layers and models of Keras.
"""

from fastseq.nn.attention import MultiheadAttention
from fastseq.nn.dense import Embedding, Linear
from fastseq.nn.keras import KerasModel, from_keras
from fastseq.nn.module import Module
from fastseq.nn.norm import LayerNorm, RMSNorm
from fastseq.nn.recurrent import GRU, LSTM, RNN
from fastseq.nn.stack import TransformerDecoder, TransformerEncoder
from fastseq.nn.transformer import TransformerDecoderLayer, TransformerEncoderLayer

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Embedding",
    "KerasModel",
    "LayerNorm",
    "Linear",
    "Module",
    "MultiheadAttention",
    "RMSNorm",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "from_keras",
]
