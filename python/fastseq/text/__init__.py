"""Text to ids and back."""

from fastseq.text.vocabulary import UnknownTokenError, Vocabulary

__all__ = ["UnknownTokenError", "Vocabulary"]
