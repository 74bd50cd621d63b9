"""Whole models in NumPy, to be read beside the papers they come from."""

from fastseq.reference.models.classifier import TransformerClassifier
from fastseq.reference.models.decoding import Decoding
from fastseq.reference.models.deep_recurrent import DeepRecurrentSeq2Seq
from fastseq.reference.models.ensemble import Ensemble
from fastseq.reference.models.joint_ngram import JointNgram
from fastseq.reference.models.recurrent import RecurrentSeq2Seq
from fastseq.reference.models.transformer import TransformerEncoder, TransformerLanguageModel, TransformerSeq2Seq

__all__ = [
    "Decoding",
    "DeepRecurrentSeq2Seq",
    "Ensemble",
    "JointNgram",
    "RecurrentSeq2Seq",
    "TransformerClassifier",
    "TransformerEncoder",
    "TransformerLanguageModel",
    "TransformerSeq2Seq",
]
