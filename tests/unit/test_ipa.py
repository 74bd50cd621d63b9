"""ARPABET to IPA: every phoneme, and stress marks at the beginning of the syllable."""

from __future__ import annotations

import json

import pytest

from fastseq.pipelines.ipa import to_ipa
from fastseq.pipelines.pronounce import BUNDLED_MODELS


@pytest.mark.parametrize(
    ("phonemes", "ipa"),
    [
        ("HH AH0 L OW1", "həˈloʊ"),
        ("W ER1 L D", "ˈwɝld"),
        ("B AH1 T ER0", "ˈbʌtɚ"),
        ("AH0 S T R AA1 N AH0 M IY0", "əˈstɹɑnəmi"),  # s t r may begin a syllable
        ("IH0 N S T R AH1 K SH AH0 N", "ɪnˈstɹʌkʃən"),  # n s t r may not
        ("AE2 D V EH1 N CH ER0", "ˌædˈvɛntʃɚ"),  # d v may not
        ("S IH1 NG IH0 NG", "ˈsɪŋɪŋ"),
        ("L AO1 NG AY2 L AH0 N D", "ˈlɔŋˌaɪlənd"),  # ng never begins one
        ("M Y UW2 Z IY1 AH0 M", "ˌmjuˈziəm"),
        ("K R IY0 EY1 T", "kɹiˈeɪt"),  # nothing between the vowels
        ("R IY0 K W EH1 S T", "ɹiˈkwɛst"),
        ("EH0 K S K Y UW1 Z", "ɛkˈskjuz"),
        ("AY1", "ˈaɪ"),
        ("AH N D", "ʌnd"),  # no stress given
        ("ER", "ɝ"),
        ("P S T", "pst"),
        ("", ""),
        ("P S AY1 K", "ˈpsaɪk"),  # a word's own beginning is always an onset
    ],
)
def test_words(phonemes: str, ipa: str) -> None:
    assert to_ipa(phonemes.split()) == ipa


@pytest.mark.parametrize("model", BUNDLED_MODELS)
def test_every_phoneme_of_the_bundled_models_has_a_symbol(model: str) -> None:
    content = json.loads((BUNDLED_MODELS[model] / "vocab.json").read_text(encoding="utf-8"))
    symbols = [to_ipa([phoneme]) for phoneme in content["target"]["tokens"][3:]]
    assert all(symbols)
    # AH and ER aside, stress changes the mark only; every other phoneme has a symbol of its own.
    assert len(set(symbols)) == len(symbols)


@pytest.mark.parametrize("phoneme", ["XX", "AH3", "K1", "<eos>", "", "ah0", "AH01"])
def test_anything_else_is_an_error(phoneme: str) -> None:
    with pytest.raises(ValueError, match=f"'{phoneme}' is no ARPABET phoneme"):
        to_ipa(["K", phoneme])
