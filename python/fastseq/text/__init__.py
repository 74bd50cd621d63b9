"""Text to ids and back."""

from fastseq.text.encoding import Encoding
from fastseq.text.load import load_tokenizer
from fastseq.text.tokenizer import Tokenizer
from fastseq.text.vocabulary import UnknownTokenError, Vocabulary
from fastseq.text.words import WordTokenizer

__all__ = ["Encoding", "Tokenizer", "UnknownTokenError", "Vocabulary", "WordTokenizer", "load_tokenizer"]
