"""The words of an English text, as a pronunciation dictionary writes them."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["split_words"]

# Typographic apostrophes and hyphens, as dictionaries write them.
_PLAIN = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u2010": "-", "\u2011": "-"})
_BETWEEN = re.compile(r"[\s\u2012-\u2015\u2026/]+")  # white space, dashes, ellipsis, slash


def split_words(text: str) -> list[str]:
    r"""Split a text into words.

    Words are what stands between white space, dashes and slashes, in lower case. Punctuation at their edges falls away,
    inside it stays: ``"U.S.-based,"`` is ``u.s.-based``. An apostrophe at one edge belongs to the word (``'tis``,
    ``dogs'``), at both edges they are quotation marks. Digits and other symbols stay: no model knows them, and an error
    is better than a wrong pronunciation.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> split_words("'Tis a test -- it\u2019s \"quoted\" (twice), isn't it?")
    ["'tis", 'a', 'test', "it's", 'quoted', 'twice', "isn't", 'it']
    """
    plain = unicodedata.normalize("NFC", text).translate(_PLAIN).lower()
    words = (_strip(piece) for piece in _BETWEEN.split(plain))
    return [word for word in words if word]


def _strip(piece: str) -> str:
    begin, end = 0, len(piece)
    while begin < end and _is_punctuation(piece[begin]):
        begin += 1
    while end > begin and _is_punctuation(piece[end - 1]):
        end -= 1
    word = piece[begin:end]
    left, right = word.startswith("'"), word.endswith("'")
    if left and right:
        return _strip(word.strip("'"))
    return word if any(character.isalnum() for character in word) or not (left or right) else ""


def _is_punctuation(character: str) -> bool:
    return character != "'" and unicodedata.category(character)[0] == "P"
