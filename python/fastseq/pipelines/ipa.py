"""ARPABET, as CMUdict writes it, to the International Phonetic Alphabet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["to_ipa"]

# Syllable nuclei. A stressed and an unstressed symbol differ for two of them only.
_VOWELS = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AX": "ə", "AXR": "ɚ", "AY": "aɪ", "EH": "ɛ", "EL": "l̩",
    "EM": "m̩", "EN": "n̩", "ER": "ɝ", "EY": "eɪ", "IH": "ɪ", "IX": "ɨ", "IY": "i", "OW": "oʊ", "OY": "ɔɪ", "UH": "ʊ",
    "UW": "u", "UX": "ʉ",
}  # fmt: skip
_UNSTRESSED = {"AH": "ə", "ER": "ɚ"}
_CONSONANTS = {
    "B": "b", "CH": "tʃ", "D": "d", "DH": "ð", "DX": "ɾ", "F": "f", "G": "ɡ", "HH": "h", "JH": "dʒ", "K": "k", "L": "l",
    "M": "m", "N": "n", "NG": "ŋ", "NX": "ɾ̃", "P": "p", "Q": "ʔ", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ",
    "V": "v", "W": "w", "WH": "ʍ", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
_STRESS = {"": "", "0": "", "1": "ˈ", "2": "ˌ"}

# What an English syllable may begin with, besides any one consonant but NG.
_CLUSTERS = {
    *(f"{c} L" for c in ("P", "B", "K", "G", "F", "S", "S P", "S K")),
    *(f"{c} R" for c in ("P", "B", "T", "D", "K", "G", "F", "TH", "SH", "S P", "S T", "S K")),
    *(f"{c} W" for c in ("T", "D", "K", "G", "S", "TH", "HH", "S K")),
    *(f"{c} Y" for c in ("P", "B", "T", "D", "K", "G", "F", "V", "TH", "HH", "M", "N", "L", "S", "S P", "S T", "S K")),
    *(f"S {c}" for c in ("P", "T", "K", "M", "N", "F")),
}


def to_ipa(phonemes: Iterable[str]) -> str:
    """Write phonemes in the International Phonetic Alphabet.

    Stress marks stand before the syllable, which begins as early as English allows (the maximal onset rule): ``ˈ`` for
    stress 1, ``ˌ`` for stress 2. Unstressed AH and ER are ``ə`` and ``ɚ``; without a stress digit they are written as
    the stressed vowels, ``ʌ`` and ``ɝ``.

    Parameters
    ----------
    phonemes : iterable of str
        ARPABET, vowels with or without a stress digit.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If something is no ARPABET phoneme.

    Examples
    --------
    >>> to_ipa("AH0 S T R AA1 N AH0 M IY0".split())
    'əˈstɹɑnəmi'
    >>> to_ipa("HH AH0 L OW1".split())
    'həˈloʊ'
    """
    names, symbols, marks = [], [], []
    for phoneme in phonemes:
        name = phoneme.rstrip("012")
        stress = phoneme[len(name) :]
        if name in _VOWELS and stress in _STRESS:
            symbols.append(_UNSTRESSED.get(name, _VOWELS[name]) if stress == "0" else _VOWELS[name])
        elif name in _CONSONANTS and not stress:
            symbols.append(_CONSONANTS[name])
        else:
            raise ValueError(f"{phoneme!r} is no ARPABET phoneme")
        names.append(name)
        marks.append(_STRESS[stress])
    previous = -1  # the nucleus before
    for position, name in enumerate(names):
        if name in _VOWELS:
            begin = _onset(names, previous, position)
            symbols[begin] = marks[position] + symbols[begin]
            previous = position
    return "".join(symbols)


def _onset(names: Sequence[str], previous: int, nucleus: int) -> int:
    """Where the syllable of a nucleus begins: after the nucleus before it, and as early as may be."""
    begin = previous + 1
    while previous >= 0 and begin < nucleus:
        onset = names[begin:nucleus]
        if " ".join(onset) in _CLUSTERS or (len(onset) == 1 and onset != ["NG"]):
            break
        begin += 1
    return begin
