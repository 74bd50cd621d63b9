"""Greedy and beam search for any model, their options and their results."""

from fastseq.search.config import GenerationConfig
from fastseq.search.driver import beam_search, greedy_search
from fastseq.search.result import Generation, Hypothesis

__all__ = ["Generation", "GenerationConfig", "Hypothesis", "beam_search", "greedy_search"]
