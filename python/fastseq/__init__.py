"""Fast encoder-decoder sequence models on a CPU.

RNN, LSTM, GRU and Transformer encoders, attention decoders, greedy and beam search: C++ kernels with a
NumPy reference of each. Everything here is imported when it is first used, so `import fastseq` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastseq import functional, nn, reference, search, weights
    from fastseq._backend import get_num_threads, set_num_threads, show_config, use_backend
    from fastseq.models import Ensemble, load_model, save_model
    from fastseq.models.verify import verify
    from fastseq.pipelines import pipeline
    from fastseq.pipelines.cross_encoder import CrossEncoder
    from fastseq.pipelines.semantic_index import SemanticIndex
    from fastseq.pipelines.sentence_encoder import SentenceEncoder
    from fastseq.search import Generation, GenerationConfig, Hypothesis, beam_search, greedy_search, stream_search
    from fastseq.text import load_tokenizer

__version__ = "0.1.0"

__all__ = [
    "CrossEncoder",
    "Ensemble",
    "Generation",
    "GenerationConfig",
    "Hypothesis",
    "SemanticIndex",
    "SentenceEncoder",
    "beam_search",
    "functional",
    "get_num_threads",
    "greedy_search",
    "load_model",
    "load_tokenizer",
    "nn",
    "pipeline",
    "reference",
    "save_model",
    "search",
    "set_num_threads",
    "show_config",
    "stream_search",
    "use_backend",
    "verify",
    "weights",
]

_MODULES = {"functional", "nn", "reference", "search", "weights"}
_ORIGIN = {
    "Generation": "fastseq.search",
    "GenerationConfig": "fastseq.search",
    "Hypothesis": "fastseq.search",
    "beam_search": "fastseq.search",
    "greedy_search": "fastseq.search",
    "stream_search": "fastseq.search",
    "Ensemble": "fastseq.models",
    "verify": "fastseq.models.verify",
    "load_model": "fastseq.models",
    "save_model": "fastseq.models",
    "pipeline": "fastseq.pipelines",
    "CrossEncoder": "fastseq.pipelines.cross_encoder",
    "SemanticIndex": "fastseq.pipelines.semantic_index",
    "SentenceEncoder": "fastseq.pipelines.sentence_encoder",
    "load_tokenizer": "fastseq.text",
    "get_num_threads": "fastseq._backend",
    "set_num_threads": "fastseq._backend",
    "show_config": "fastseq._backend",
    "use_backend": "fastseq._backend",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fastseq.{name}")
    if name in _ORIGIN:
        value = getattr(importlib.import_module(_ORIGIN[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'fastseq' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
