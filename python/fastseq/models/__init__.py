"""Models: their configurations, their folders, and the classes that run them on either backend."""

from fastseq.models.classifier import RecurrentClassifier, RecurrentClassifierConfig
from fastseq.models.classifier_kind import Seq2SeqClassifierConfig
from fastseq.models.config import ModelConfig, Seq2SeqConfig
from fastseq.models.decoder import DecoderModel
from fastseq.models.deep_recurrent import DeepRecurrentSeq2SeqConfig
from fastseq.models.encoder import EncoderModel
from fastseq.models.ensemble import Ensemble
from fastseq.models.folder import load_model, save_model
from fastseq.models.joint_ngram import JointNgram, JointNgramConfig
from fastseq.models.kinds import DecoderConfig, EncoderConfig, EncoderDecoderConfig
from fastseq.models.language_model import RecurrentLanguageModel, RecurrentLanguageModelConfig
from fastseq.models.recurrent import RecurrentSeq2SeqConfig
from fastseq.models.seq2seq import Seq2SeqModel
from fastseq.models.seq2seq_classifier import Seq2SeqClassifier
from fastseq.models.stack import StackConfig
from fastseq.models.transformer import TransformerSeq2SeqConfig

__all__ = [
    "DecoderConfig",
    "DecoderModel",
    "DeepRecurrentSeq2SeqConfig",
    "EncoderConfig",
    "EncoderDecoderConfig",
    "EncoderModel",
    "Ensemble",
    "JointNgram",
    "JointNgramConfig",
    "ModelConfig",
    "RecurrentClassifier",
    "RecurrentClassifierConfig",
    "RecurrentLanguageModel",
    "RecurrentLanguageModelConfig",
    "RecurrentSeq2SeqConfig",
    "Seq2SeqClassifier",
    "Seq2SeqClassifierConfig",
    "Seq2SeqConfig",
    "Seq2SeqModel",
    "StackConfig",
    "TransformerSeq2SeqConfig",
    "load_model",
    "save_model",
]
