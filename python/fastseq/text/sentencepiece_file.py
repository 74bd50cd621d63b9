"""Reader of SentencePiece model files: a protocol buffer, of which a tokenizer needs a few fields.

Message ModelProto (sentencepiece_model.proto): 1 pieces {1 piece, 2 score, 3 type}; 2 trainer_spec {3 model_type,
40 unk_id}; 3 normalizer_spec {2 precompiled_charsmap}.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PieceModel", "read_piece_model"]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4
UNIGRAM, BPE = 1, 2


@dataclass(frozen=True)
class PieceModel:
    """What a SentencePiece file holds.

    Attributes
    ----------
    kind : int
        UNIGRAM or BPE.
    pieces : list of (str, float, int)
        Text, score and type, by id.
    unk_id : int
    charsmap : bytes
        The compiled normalisation; empty for none.
    """

    kind: int
    pieces: list[tuple[str, float, int]]
    unk_id: int
    charsmap: bytes

    @property
    def scores(self) -> list[tuple[str, float]]:
        """Text and score of every piece."""
        return [(piece, score) for piece, score, _ in self.pieces]

    def merges(self) -> list[tuple[str, str]]:
        """Return the merges of a BPE model, first merges first: a piece of a better score is made earlier."""
        normal = {piece: score for piece, score, kind in self.pieces if kind == NORMAL}
        rank = {piece: i for i, piece in enumerate(normal)}
        found = [
            (-score, rank[piece], split)
            for piece, score in normal.items()
            for split in range(1, len(piece))
            if piece[:split] in normal and piece[split:] in normal
        ]
        order = list(normal)
        return [(order[i][:split], order[i][split:]) for _, i, split in sorted(found)]


def read_piece_model(path: Path) -> PieceModel:
    """Read a SentencePiece file.

    Parameters
    ----------
    path : path

    Returns
    -------
    PieceModel

    Raises
    ------
    ValueError
        If it is no such file, or of a kind that is neither unigram nor BPE.
    """
    try:
        model = _model(path.read_bytes())
    except (IndexError, UnicodeDecodeError, struct.error, TypeError) as error:
        raise ValueError(f"{path} is no SentencePiece model: {error}") from None
    if not model.pieces or model.kind not in (UNIGRAM, BPE) or not 0 <= model.unk_id < len(model.pieces):
        raise ValueError(f"{path} is no SentencePiece model of kind unigram or BPE")
    return model


def _model(content: bytes) -> PieceModel:
    pieces: list[tuple[str, float, int]] = []
    kind, unk_id, charsmap = UNIGRAM, 0, b""
    for number, value in _fields(content):
        if number == 1:
            pieces.append(_piece(_bytes(value)))
        elif number == 2:
            for inner, setting in _fields(_bytes(value)):
                if inner == 3 and isinstance(setting, int):
                    kind = setting
                elif inner == 40 and isinstance(setting, int):
                    unk_id = setting
        elif number == 3:
            for inner, setting in _fields(_bytes(value)):
                if inner == 2:
                    charsmap = _bytes(setting)
    return PieceModel(kind, pieces, unk_id, charsmap)


def _piece(content: bytes) -> tuple[str, float, int]:
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(content):
        if number == 1:
            text = _bytes(value).decode("utf-8")
        elif number == 2:
            score = struct.unpack("<f", _bytes(value))[0]
        elif number == 3 and isinstance(value, int):
            kind = value
    return text, score, kind


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("a number where text or a message is expected")
    return value


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: their numbers, and a number (wire type 0) or bytes (1, 2, 5)."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        wire = key & 7
        if wire == 0:
            value, place = _varint(content, place)
            yield key >> 3, value
            continue
        if wire == 2:
            size, place = _varint(content, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise IndexError(f"wire type {wire} at byte {place}")
        if place + size > len(content):
            raise IndexError(f"a field of {size} bytes at byte {place} of {len(content)}")
        yield key >> 3, content[place : place + size]
        place += size


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise IndexError(f"a number of more than ten bytes at byte {place}")
