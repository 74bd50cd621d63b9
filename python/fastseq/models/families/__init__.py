"""Published models of Hugging Face's families: one file says how a family's folder becomes a model of ours."""

from __future__ import annotations

import importlib

from fastseq.models.families.blueprint import Blueprint, Family

__all__ = ["FAMILIES", "Blueprint", "Family", "find_family"]

# The file of each `model_type`, imported when there is a folder of it, and the name of the family there.
FAMILIES = {
    "albert": "albert.FAMILY",
    "bart": "bart.FAMILY",
    "bert": "bert.FAMILY",
    "bert-generation": "bert_generation.FAMILY",
    "blenderbot": "blenderbot.FAMILY",
    "blenderbot-small": "blenderbot_small.FAMILY",
    "camembert": "roberta.CAMEMBERT",
    "deberta-v2": "deberta_v2.FAMILY",
    "distilbert": "distilbert.FAMILY",
    "electra": "electra.FAMILY",
    "encoder-decoder": "encoder_decoder.FAMILY",
    "fsmt": "fsmt.FAMILY",
    "gpt2": "gpt2.FAMILY",
    "m2m_100": "m2m_100.FAMILY",
    "marian": "marian.FAMILY",
    "mbart": "mbart.FAMILY",
    "modernbert": "modernbert.FAMILY",
    "mpnet": "mpnet.FAMILY",
    "mt5": "t5.MT5",
    "pegasus": "pegasus.FAMILY",
    "roberta": "roberta.FAMILY",
    "t5": "t5.FAMILY",
    "umt5": "t5.UMT5",
    "xlm-roberta": "roberta.XLM_ROBERTA",
    "xlm-roberta-xl": "xlm_roberta_xl.FAMILY",
}


def find_family(model_type: str) -> Family:
    """Return the family of a key of `FAMILIES`."""
    file, name = FAMILIES[model_type].split(".")
    family: Family = getattr(importlib.import_module(f"fastseq.models.families.{file}"), name)
    return family
