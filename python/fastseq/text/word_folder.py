"""Folders of our recurrent classifiers and language models: words or characters listed in `vocab.json`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastseq.text.encoding import Pieces, Template
from fastseq.text.settings import Settings
from fastseq.text.tokenizer import Tokenizer
from fastseq.text.words import WordTokenizer

__all__ = ["WordFolderTokenizer", "build"]


class WordFolderTokenizer(Tokenizer):
    """Words or characters without special tokens around them; a pair is one text behind the other."""

    def __init__(self, settings: Settings, words: WordTokenizer) -> None:
        super().__init__(settings)
        self.words = words
        self._known = set(words.tokens)

    def pieces(self, text: str, details: bool = False) -> Pieces:
        """Return the ids of a text; where they stand in it is not known, as lower case may change its length."""
        return Pieces(self.words.encode(text))

    def template(self, pair: bool, src_lang: str | None = None) -> Template:
        """Return no special tokens."""
        return Template([("A", 0), ("B", 0)] if pair else [("A", 0)])

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the token of each id."""
        return [self.words.decode([i]) for i in ids]

    def token_id(self, token: str) -> int | None:
        """Return the id of a token, or None if there is none."""
        return self.words.token_id(token) if token in self._known else None

    def join(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        """Return the text of ids."""
        return self.words.decode(ids)

    def join_tokens(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens: words with spaces between them, characters without."""
        return ("" if self.words.unit == "character" else " ").join(tokens)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return len(self.words)


def build(settings: Settings) -> WordFolderTokenizer:
    """Return the tokenizer of a folder."""
    path = settings.file("vocab.json")
    if path is None:
        raise FileNotFoundError(f"model folder {str(settings.folder)!r} has no vocab.json")
    return WordFolderTokenizer(settings, WordTokenizer.read(path))
