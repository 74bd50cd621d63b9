"""Encoder-decoder models: their configurations, their folders, and one class that runs them on either backend."""

from fastseq.models.config import Seq2SeqConfig
from fastseq.models.ensemble import Ensemble
from fastseq.models.folder import load_model, save_model
from fastseq.models.recurrent import RecurrentSeq2SeqConfig
from fastseq.models.seq2seq import Seq2SeqModel
from fastseq.models.transformer import TransformerSeq2SeqConfig

__all__ = [
    "Ensemble",
    "RecurrentSeq2SeqConfig",
    "Seq2SeqConfig",
    "Seq2SeqModel",
    "TransformerSeq2SeqConfig",
    "load_model",
    "save_model",
]
