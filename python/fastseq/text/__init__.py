"""Text to ids and back."""

from fastseq.text.vocabulary import UnknownTokenError, Vocabulary
from fastseq.text.words import WordTokenizer

__all__ = ["UnknownTokenError", "Vocabulary", "WordTokenizer"]
