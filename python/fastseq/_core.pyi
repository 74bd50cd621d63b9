"""The compiled backend. Arrays are C-contiguous and of exactly the given dtype; anything else is refused."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

_Floats: TypeAlias = NDArray[np.float32]
_Answers: TypeAlias = list[list[tuple[Any, ...]]]  # of each sentence: tokens, score, finished, outputs if wanted
_News: TypeAlias = list[tuple[int, list[int], bool]]  # sentence, tokens, done
_Trace: TypeAlias = tuple[list[Any], list[Any]]  # steps, endings
_Weights: TypeAlias = tuple[_Floats, _Floats, _Floats | None, _Floats | None]

def set_num_threads(num_threads: int) -> None: ...
def get_num_threads() -> int: ...
def config() -> dict[str, Any]: ...
def use_isa(isa: str) -> None: ...
def packing() -> dict[str, Any]: ...
def checksum(bytes: Any) -> int: ...
def all_finite(numbers: _Floats) -> bool: ...
def linear(input: _Floats, weight: _Floats, bias: _Floats | None, compute_type: str = "float32") -> _Floats: ...
def quantize_rows(input: _Floats) -> tuple[NDArray[np.int8], _Floats]: ...
def rnn_cell(
    input: _Floats,
    hx: _Floats,
    weight_ih: _Floats,
    weight_hh: _Floats,
    bias_ih: _Floats | None,
    bias_hh: _Floats | None,
    nonlinearity: str = "tanh",
) -> _Floats: ...
def lstm_cell(
    input: _Floats,
    hx: _Floats,
    cx: _Floats,
    weight_ih: _Floats,
    weight_hh: _Floats,
    bias_ih: _Floats | None,
    bias_hh: _Floats | None,
) -> tuple[_Floats, _Floats]: ...
def gru_cell(
    input: _Floats,
    hx: _Floats,
    weight_ih: _Floats,
    weight_hh: _Floats,
    bias_ih: _Floats | None,
    bias_hh: _Floats | None,
) -> _Floats: ...
def embedding(ids: NDArray[np.int64], weight: _Floats) -> _Floats: ...
def layer_norm(input: _Floats, weight: _Floats | None, bias: _Floats | None, eps: float) -> _Floats: ...
def rms_norm(input: _Floats, weight: _Floats | None, eps: float) -> _Floats: ...
def softmax(input: _Floats) -> _Floats: ...
def log_softmax(input: _Floats) -> _Floats: ...
def log_softmax_topk(logits: _Floats, k: int, add: _Floats | None) -> tuple[_Floats, NDArray[np.int64]]: ...
def relu(input: _Floats) -> _Floats: ...
def tanh(input: _Floats) -> _Floats: ...
def sigmoid(input: _Floats) -> _Floats: ...
def silu(input: _Floats) -> _Floats: ...
def exp(input: _Floats) -> _Floats: ...
def gelu(input: _Floats, approximate: str = "none") -> _Floats: ...
def scaled_dot_product_attention(
    query: _Floats,
    key: _Floats,
    value: _Floats,
    attn_mask: NDArray[np.bool_] | _Floats | None,
    is_causal: bool,
    scale: float,
) -> _Floats: ...
def additive_attention(
    query: _Floats,
    key: _Floats,
    value: _Floats,
    weight_query: _Floats,
    weight_key: _Floats,
    weight_score: _Floats,
    bias: _Floats | None,
    lengths: NDArray[np.int64] | None,
) -> tuple[_Floats, _Floats]: ...
def multiplicative_attention(
    query: _Floats,
    key: _Floats,
    value: _Floats,
    weight: _Floats | None,
    lengths: NDArray[np.int64] | None,
) -> tuple[_Floats, _Floats]: ...

class Linear:
    def __init__(self, weight: _Floats, bias: _Floats | None, compute_type: str = "float32") -> None: ...
    @staticmethod
    def of(
        tensors: Mapping[str, Any], weight: str, bias: str, out_features: int, in_features: int, compute_type: str
    ) -> Linear: ...
    def weights(self) -> dict[str, Any]: ...
    def forward(self, input: _Floats) -> _Floats: ...

class Recurrent:
    def __init__(
        self,
        cell: str,
        weights: list[_Weights],
        bidirectional: bool,
        residual: bool = False,
        compute_type: str = "float32",
    ) -> None: ...
    @staticmethod
    def of(
        tensors: Mapping[str, Any],
        prefix: str,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        compute_type: str,
    ) -> Recurrent: ...
    def weights(self) -> dict[str, Any]: ...
    def forward(
        self,
        input: _Floats,
        offsets: NDArray[np.int64],
        h0: _Floats | None,
        c0: _Floats | None,
    ) -> tuple[_Floats, _Floats, _Floats | None]: ...
    def step(
        self, input: _Floats, h0: _Floats | None, c0: _Floats | None
    ) -> tuple[_Floats, _Floats, _Floats | None]: ...
    def one_step(self, input: Any, hx: Any, batch_first: bool) -> tuple[Any, Any] | None: ...

class VariantRecurrent:
    def __init__(
        self,
        cell: str,
        weights: list[dict[str, _Floats]],
        activations: list[list[tuple[str, float, float]]],
        options: dict[str, Any],
        hidden_size: int,
        bidirectional: bool,
        residual: bool,
        compute_type: str = "float32",
    ) -> None: ...
    def forward(
        self,
        input: _Floats,
        offsets: NDArray[np.int64],
        h0: _Floats | None,
        c0: _Floats | None,
    ) -> tuple[_Floats, _Floats | None, _Floats | None]: ...

class _Search:
    def __init__(
        self, batch_size: int, options: dict[str, Any], outputs: dict[str, Any] | None = None, trace: bool = False
    ) -> None: ...
    @property
    def ids(self) -> NDArray[np.int32]: ...
    @property
    def parents(self) -> NDArray[np.int64]: ...
    @property
    def sentences(self) -> NDArray[np.int64]: ...
    @property
    def done(self) -> bool: ...
    def advance(self, logits: _Floats, attention: _Floats | None = None) -> None: ...
    def stop(self) -> None: ...
    def news(self) -> _News: ...
    def trace(self) -> _Trace: ...
    def result(self) -> _Answers: ...

class GreedySearch(_Search): ...
class SampleSearch(_Search): ...
class BeamSearch(_Search): ...
class ConstrainedBeamSearch(_Search): ...

class Seq2Seq:
    def __init__(self, config: dict[str, Any], tensors: Mapping[str, Any], compute_type: str = "float32") -> None: ...
    def weights(self) -> dict[str, Any]: ...
    def encode(self, ids: NDArray[np.int32], offsets: NDArray[np.int64]) -> _Floats: ...
    def decode(
        self,
        ids: NDArray[np.int32],
        offsets: NDArray[np.int64],
        target_ids: NDArray[np.int32],
        target_offsets: NDArray[np.int64],
        return_attention: bool = False,
    ) -> tuple[_Floats, list[_Floats] | None]: ...
    def score(
        self,
        ids: NDArray[np.int32],
        offsets: NDArray[np.int64],
        target_ids: NDArray[np.int32],
        target_offsets: NDArray[np.int64],
        following: NDArray[np.int32],
    ) -> _Floats: ...
    def generate(
        self,
        ids: NDArray[np.int32],
        offsets: NDArray[np.int64],
        options: dict[str, Any],
        outputs: dict[str, Any] | None = None,
    ) -> _Answers: ...

class RecurrentSeq2Seq(Seq2Seq): ...
class DeepRecurrentSeq2Seq(Seq2Seq): ...
class TransformerSeq2Seq(Seq2Seq): ...

class TransformerLanguageModel(Seq2Seq):
    def logits(self, ids: NDArray[np.int32], offsets: NDArray[np.int64]) -> _Floats: ...

class TransformerClassifier:
    def __init__(self, config: dict[str, Any], tensors: Mapping[str, Any], compute_type: str = "float32") -> None: ...
    def weights(self) -> dict[str, Any]: ...
    def logits(
        self,
        ids: NDArray[np.int32],
        offsets: NDArray[np.int64],
        decoder_ids: NDArray[np.int32],
        places: NDArray[np.int64] | None,
    ) -> _Floats: ...

class TransformerEncoder:
    def __init__(self, config: dict[str, Any], tensors: Mapping[str, Any], compute_type: str = "float32") -> None: ...
    def weights(self) -> dict[str, Any]: ...
    def encode(
        self, ids: NDArray[np.int32], offsets: NDArray[np.int64], token_types: NDArray[np.int32] | None
    ) -> _Floats: ...
    def logits(
        self, ids: NDArray[np.int32], offsets: NDArray[np.int64], token_types: NDArray[np.int32] | None
    ) -> _Floats: ...

class Ensemble(Seq2Seq):
    def __init__(self, models: tuple[Seq2Seq, ...], weights: list[float], average: str) -> None: ...

class JointNgram:
    def __init__(
        self,
        source_vocab_size: int,
        target_vocab_size: int,
        unit_sources: NDArray[np.int32],
        unit_targets: NDArray[np.int32],
        units: NDArray[np.int32],
        num_children: NDArray[np.int32],
        log_probs: NDArray[np.float32],
        backoffs: NDArray[np.float32],
    ) -> None: ...
    def score(
        self,
        ids: NDArray[np.int32],
        offsets: NDArray[np.int64],
        target_ids: NDArray[np.int32],
        target_offsets: NDArray[np.int64],
    ) -> NDArray[np.float32]: ...

class Decoding:
    def __init__(
        self,
        model: Seq2Seq,
        ids: NDArray[np.int32],
        offsets: NDArray[np.int64],
        options: dict[str, Any],
        outputs: dict[str, Any] | None = None,
    ) -> None: ...
    @property
    def done(self) -> bool: ...
    def step(self) -> None: ...
    def stop(self) -> None: ...
    def news(self) -> _News: ...
    def result(self) -> _Answers: ...
    def trace(self) -> _Trace: ...
