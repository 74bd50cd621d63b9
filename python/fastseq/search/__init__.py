"""Greedy and beam search for any model, their options and their results."""

from fastseq.search.config import GenerationConfig
from fastseq.search.driver import beam_search, greedy_search, stream_search
from fastseq.search.ensemble import ensemble_step
from fastseq.search.outputs import Outputs
from fastseq.search.rerank import rerank
from fastseq.search.result import Generation, Hypotheses, Hypothesis
from fastseq.search.scores import TargetScores
from fastseq.search.state import Ancestors
from fastseq.search.stream import SearchStream, StreamedTokens
from fastseq.search.trace import SearchTrace, TraceEnding, TraceStep

__all__ = [
    "Ancestors",
    "Generation",
    "GenerationConfig",
    "Hypotheses",
    "Hypothesis",
    "Outputs",
    "SearchStream",
    "SearchTrace",
    "StreamedTokens",
    "TargetScores",
    "TraceEnding",
    "TraceStep",
    "beam_search",
    "ensemble_step",
    "greedy_search",
    "rerank",
    "stream_search",
]
