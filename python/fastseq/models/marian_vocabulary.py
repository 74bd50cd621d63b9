"""Vocabularies that stand beside an `.npz` file of Marian: `.yml` files of `token: id`."""

from __future__ import annotations

from pathlib import Path

from fastseq.text import Vocabulary
from fastseq.weights.flat_yaml import read_flat_yaml

__all__ = ["read_vocabularies"]

_START = "<start>"  # stands for the embedding of zeros that the decoder starts from


def read_vocabularies(model: Path) -> Vocabulary | None:
    """Read what the decoder's configuration beside a model names.

    Parameters
    ----------
    model : path
        The `.npz` file; Marian writes `model.npz.decoder.yml` beside it, and models are published with `decoder.yml`.

    Returns
    -------
    Vocabulary or None
        None if there is no such file, or its vocabularies are others than two `.yml` files (of SentencePiece).

    Raises
    ------
    ValueError
        If a file is damaged, or is outside the folder; the message names it.
    """
    beside = [model.with_name(f"{model.name}.decoder.yml"), model.with_name("decoder.yml")]
    found = next((path for path in beside if path.is_file()), None)
    if found is None:
        return None
    try:
        named = read_flat_yaml(found.read_text(encoding="utf-8")).get("vocabs")
        if not isinstance(named, list) or len(named) != 2 or not all(isinstance(name, str) for name in named):
            raise ValueError("vocabs is no list of two files")
        paths = [found.parent / Path(name).name for name in named]  # published models keep them beside
    except ValueError as error:
        raise ValueError(f"{found}: {error}") from None
    if any(path.suffix not in (".yml", ".yaml") or not path.is_file() for path in paths):
        return None
    source, target = (_read(path) for path in paths)
    if _START in target:
        raise ValueError(f"{paths[1]}: has a token {_START}, which stands for the start of a target here")
    return Vocabulary(source, [*target, _START], unit="token")


def _read(path: Path) -> list[str]:
    try:
        ids = read_flat_yaml(path.read_text(encoding="utf-8"))
        if not all(type(i) is int for i in ids.values()) or sorted(ids.values()) != list(range(len(ids))):
            raise ValueError(f"its ids are not the numbers from 0 to {len(ids) - 1}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return sorted(ids, key=lambda token: int(ids[token]))
