"""Tokenizers that SentencePiece itself runs, with ids from a `vocab.json`: Marian and M2M100."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fastseq.text.encoding import Pieces
from fastseq.text.extras import require
from fastseq.text.settings import AddedToken, Settings, read_json
from fastseq.text.tokenizer import Tokenizer

__all__ = ["PieceTokenizer", "load_processor", "read_ids"]


class PieceTokenizer(Tokenizer):
    """SentencePiece cuts, a dictionary numbers.

    Parameters
    ----------
    settings : Settings
    processor : sentencepiece.SentencePieceProcessor
        Of the source.
    ids : dict
        Token to id, added tokens included.
    target_ids : dict
        Of the target.
    special : list of str
        Tokens that are found in text as they stand and that decoding may leave out; those that the settings add come
        behind the vocabulary.
    """

    def __init__(
        self, settings: Settings, processor: Any, ids: dict[str, int], target_ids: dict[str, int], special: list[str]
    ) -> None:
        super().__init__(settings)
        added = {token.content: token for token in map(AddedToken, special)}
        for token in [*settings.additional_tokens(), *settings.added_tokens()]:
            added[token.content] = dataclasses.replace(token, special=token.special or token.content in special)
        self._processor = processor
        self._ids = with_added(ids, added.values())
        self._contents = {i: token for token, i in (self._ids if target_ids is ids else target_ids).items()}
        self._special = {token.content for token in added.values() if token.special}
        longest_first = sorted(added.values(), key=lambda token: len(token.content), reverse=True)
        self._split = re.compile("|".join(map(_pattern, longest_first)))
        self.unk_token, self.eos_token = settings.token("unk_token", "<unk>"), settings.token("eos_token", "</s>")
        missing = [token for token in (self.unk_token, self.eos_token) if token not in ids or token not in target_ids]
        if missing:
            raise ValueError(f"the vocabulary of {str(settings.folder)!r} lacks {' and '.join(missing)}")

    def pieces(self, text: str, details: bool = False) -> Pieces:
        """Return a text without special tokens around it; offsets and words are not known."""
        unk = self._ids[self.unk_token]
        return Pieces([self._ids.get(token, unk) for token in self._tokens(text)])

    def _tokens(self, text: str) -> list[str]:
        tokens: list[str] = []
        begin = 0
        for match in self._split.finditer(text):
            tokens += self.cut(text[begin : match.start()])
            found = match.group()
            tokens.append(found if found in self._ids else found.strip())
            begin = match.end()
        return tokens + self.cut(text[begin:])

    def cut(self, text: str) -> list[str]:
        """Return the pieces of a text that has no special tokens."""
        return list(self._processor.encode(text, out_type=str)) if text else []

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the target token of each id."""
        return [self._contents.get(i, self.unk_token) for i in ids]

    def token_id(self, token: str) -> int | None:
        """Return the source id of a token, or None."""
        return self._ids.get(token)

    def join(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        """Return the text of target ids."""
        text, waiting = "", []
        for token in self.tokens(ids):
            if token not in self._special:
                waiting.append(token)
            elif not skip_special_tokens:
                text += self.unite(waiting) + self.written(token)
                waiting = []
        return (text + self.unite(waiting)).strip()

    def join_tokens(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens."""
        return self.unite(list(tokens))

    def unite(self, tokens: list[str]) -> str:
        """Return the text of pieces."""
        return str(self._processor.decode_pieces(tokens)) if tokens else ""

    def written(self, special: str) -> str:
        """Return how a special token is written in decoded text."""
        return special

    @property
    def vocab_size(self) -> int:
        """Number of source tokens, added ones included."""
        return len(self._ids)


def with_added(ids: dict[str, int], tokens: Iterable[AddedToken]) -> dict[str, int]:
    """Return a vocabulary with added tokens behind it.

    Raises
    ------
    ValueError
        If the id of one is that of another token, or not the one that the vocabulary gives it.
    """
    every = dict(ids)
    taken = {i: token for token, i in ids.items()}
    for token in sorted(tokens, key=lambda token: (token.id is None, token.id)):
        index = every.get(token.content, max(taken, default=-1) + 1 if token.id is None else token.id)
        if index != (index if token.id is None else token.id) or taken.get(index, token.content) != token.content:
            raise ValueError(f"added token {token.content!r} has id {token.id}; in this vocabulary it gets {index}")
        every[token.content], taken[index] = index, token.content
    return every


def _pattern(token: AddedToken) -> str:
    """Where a token is found in text: with the white space that it swallows, or between spaces only."""
    left, right = (r"\s*" if swallows else "" for swallows in (token.lstrip, token.rstrip))
    pattern = left + re.escape(token.content) + right
    return f"(?<![^ ]){pattern}(?![^ ])" if token.single_word else pattern


def load_processor(path: Path) -> Any:
    """Return the SentencePiece processor of a file.

    Raises
    ------
    ImportError
        Without the package `sentencepiece`.
    ValueError
        If the file is damaged.
    """
    sentencepiece = require("sentencepiece", f"{path}")
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    except (RuntimeError, OSError, TypeError) as error:
        raise ValueError(f"{path} is no SentencePiece model: {error}") from None


def read_ids(path: Path) -> dict[str, int]:
    """Return a vocabulary that maps tokens to ids.

    Raises
    ------
    ValueError
        If it holds anything else.
    """
    ids: dict[str, int] = read_json(path)
    for token, i in ids.items():
        if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < 2**31:
            raise ValueError(f"{path}: the id of {token!r} is {i!r}; expected a whole number from 0")
    return ids
