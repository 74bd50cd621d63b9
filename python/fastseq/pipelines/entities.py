"""Labels of tokens to entities, as Hugging Face's pipeline joins them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastseq.text import Tokenizer

__all__ = ["Token", "aggregate", "without_overlaps"]

Entity: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Token:
    """A token with the probabilities of its labels.

    Attributes
    ----------
    word : str
    scores : (labels,) array
    start, end : int or None
        Its place in the text.
    index : int
        Its place among the tokens of its window.
    is_subword : bool
        Whether it continues a word.
    """

    word: str
    scores: NDArray[np.float32]
    start: int | None
    end: int | None
    index: int
    is_subword: bool


def aggregate(tokenizer: Tokenizer, tokens: list[Token], names: Mapping[int, str], strategy: str) -> list[Entity]:
    """Return entities of tokens.

    Parameters
    ----------
    tokenizer : Tokenizer
        Writes words of their tokens.
    tokens : list of Token
    names : mapping of int to str
        The labels.
    strategy : {"none", "simple", "first", "average", "max"}

    Returns
    -------
    list of dict
    """
    if strategy in ("none", "simple"):
        single = [_token(token, names) for token in tokens]
        return single if strategy == "none" else _groups(tokenizer, single)
    words: list[list[Token]] = []
    for token in tokens:
        if words and token.is_subword:
            words[-1].append(token)
        else:
            words.append([token])
    return _groups(tokenizer, [_word(tokenizer, word, names, strategy) for word in words])


def _token(token: Token, names: Mapping[int, str]) -> Entity:
    best = int(token.scores.argmax())
    place = {"index": token.index, "word": token.word, "start": token.start, "end": token.end}
    return {"entity": names[best], "score": float(token.scores[best]), **place}


def _word(tokenizer: Tokenizer, tokens: list[Token], names: Mapping[int, str], strategy: str) -> Entity:
    if strategy == "first":
        scores = tokens[0].scores
    elif strategy == "max":
        scores = max(tokens, key=lambda token: float(token.scores.max())).scores
    else:
        scores = np.mean([token.scores for token in tokens], axis=0)
    best = int(scores.argmax())
    word = tokenizer.join_tokens([token.word for token in tokens])
    place = {"word": word, "start": tokens[0].start, "end": tokens[-1].end}
    return {"entity": names[best], "score": float(scores[best]), **place}


def _groups(tokenizer: Tokenizer, entities: list[Entity]) -> list[Entity]:
    """Neighbours of one entity; a label B-X begins a new one."""
    groups: list[list[Entity]] = []
    for entity in entities:
        beginning, name = _tag(entity["entity"])
        if groups and name == _tag(groups[-1][-1]["entity"])[1] and not beginning:
            groups[-1].append(entity)
        else:
            groups.append([entity])
    return [
        {
            "entity_group": group[0]["entity"].split("-", 1)[-1],
            "score": float(np.mean([entity["score"] for entity in group])),
            "word": tokenizer.join_tokens([entity["word"] for entity in group]),
            "start": group[0]["start"],
            "end": group[-1]["end"],
        }
        for group in groups
    ]


def _tag(label: str) -> tuple[bool, str]:
    """Whether a label begins an entity, and the entity; without B- or I- it is the label."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label


def without_overlaps(entities: list[Entity]) -> list[Entity]:
    """Return entities of overlapping windows, where two overlap the longer or, of equal length, the more probable.

    Parameters
    ----------
    entities : list of dict
        With `start` and `end`.

    Returns
    -------
    list of dict
        In the order of the text.
    """
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda entity: int(entity["start"])):
        if kept and kept[-1]["start"] <= entity["start"] < kept[-1]["end"]:
            if _rank(entity) > _rank(kept[-1]):
                kept[-1] = entity
        else:
            kept.append(entity)
    return kept


def _rank(entity: Entity) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]
