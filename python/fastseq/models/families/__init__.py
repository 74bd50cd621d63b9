"""Published models of Hugging Face's families: one file says how a family's folder becomes a model of ours."""

from fastseq.models.families import (
    albert,
    bart,
    bert,
    blenderbot,
    blenderbot_small,
    distilbert,
    electra,
    fsmt,
    gpt2,
    m2m_100,
    marian,
    mbart,
    mpnet,
    pegasus,
    roberta,
    t5,
)
from fastseq.models.families.blueprint import Blueprint, Family

__all__ = ["FAMILIES", "Blueprint", "Family"]

FAMILIES: dict[str, Family] = {
    "albert": albert.FAMILY,
    "bart": bart.FAMILY,
    "bert": bert.FAMILY,
    "blenderbot": blenderbot.FAMILY,
    "blenderbot-small": blenderbot_small.FAMILY,
    "camembert": roberta.CAMEMBERT,
    "distilbert": distilbert.FAMILY,
    "electra": electra.FAMILY,
    "fsmt": fsmt.FAMILY,
    "gpt2": gpt2.FAMILY,
    "m2m_100": m2m_100.FAMILY,
    "marian": marian.FAMILY,
    "mbart": mbart.FAMILY,
    "mpnet": mpnet.FAMILY,
    "mt5": t5.MT5,
    "pegasus": pegasus.FAMILY,
    "roberta": roberta.FAMILY,
    "t5": t5.FAMILY,
    "xlm-roberta": roberta.XLM_ROBERTA,
}
