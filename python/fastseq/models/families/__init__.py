"""Published models of Hugging Face's families: one file says how a family's folder becomes a model of ours."""

from fastseq.models.families import bert, marian, t5
from fastseq.models.families.blueprint import Blueprint, Family

__all__ = ["FAMILIES", "Blueprint", "Family"]

FAMILIES: dict[str, Family] = {
    "bert": bert.FAMILY,
    "marian": marian.FAMILY,
    "mt5": t5.MT5,
    "t5": t5.FAMILY,
}
