"""Which kind of tokenizer a folder has."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path

from fastseq.text.settings import Settings
from fastseq.text.tokenizer import Tokenizer

__all__ = ["load_tokenizer"]

# The kind of a `tokenizer_class` in tokenizer_config.json, without "Fast" at its end: module and function here.
_KINDS = {
    "marian": ("marian", "build"),
    "t5": ("t5", "build"),
    "mbart": ("mbart", "build"),
    "mbart50": ("mbart", "build_50"),
    "nllb": ("nllb", "build"),
    "m2m100": ("m2m100", "build"),
    "pegasus": ("pegasus", "build"),
    "xlm_roberta": ("xlm_roberta", "build"),
    "albert": ("albert", "build"),
    "deberta": ("deberta", "build"),
    "bert": ("wordpiece", "build"),
    "mpnet": ("wordpiece", "build_mpnet"),
    "gpt2": ("byte_bpe", "build_gpt2"),
    "roberta": ("byte_bpe", "build_roberta"),
    "words": ("word_folder", "build"),
}
_CLASSES = {
    "MarianTokenizer": "marian",
    "T5Tokenizer": "t5",
    "MT5Tokenizer": "t5",
    "MBartTokenizer": "mbart",
    "MBart50Tokenizer": "mbart50",
    "NllbTokenizer": "nllb",
    "M2M100Tokenizer": "m2m100",
    "PegasusTokenizer": "pegasus",
    "XLMRobertaTokenizer": "xlm_roberta",
    "AlbertTokenizer": "albert",
    "DebertaV2Tokenizer": "deberta",
    "BertTokenizer": "bert",
    "DistilBertTokenizer": "bert",
    "ElectraTokenizer": "bert",
    "MPNetTokenizer": "mpnet",
    "GPT2Tokenizer": "gpt2",
    "RobertaTokenizer": "roberta",
    "BartTokenizer": "roberta",
}
# The kind of a `model_type` in config.json, where no class is named.
_MODEL_TYPES = {
    "marian": "marian",
    "t5": "t5",
    "mt5": "t5",
    "umt5": "t5",
    "mbart": "mbart",
    "m2m_100": "m2m100",
    "pegasus": "pegasus",
    "xlm-roberta": "xlm_roberta",
    "xlm-roberta-xl": "xlm_roberta",
    "albert": "albert",
    "deberta-v2": "deberta",
    "bert": "bert",
    "distilbert": "bert",
    "electra": "bert",
    "mpnet": "mpnet",
    "gpt2": "gpt2",
    "roberta": "roberta",
    "bart": "roberta",
    "recurrent_classifier": "words",
    "recurrent_language_model": "words",
}
# These read more than `tokenizer.json` says, or something in its place.
_ALWAYS_OWN = ("mbart", "mbart50", "nllb")


def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """Read the tokenizer of a model folder as Hugging Face publishes it.

    `tokenizer.json` if there is one, else the files of its kind: SentencePiece models, `vocab.txt`, or `vocab.json`
    with `merges.txt`. Marian and M2M100 always use their SentencePiece models.

    Parameters
    ----------
    path : str or path
        The folder.

    Returns
    -------
    Tokenizer

    Raises
    ------
    FileNotFoundError
        If the folder or the files are missing; the message says which.
    ImportError
        If a package of the extra `text` is not installed.
    ValueError
        If a file is damaged.

    Examples
    --------
    >>> load_tokenizer("no-such-folder")
    Traceback (most recent call last):
    FileNotFoundError: no model folder 'no-such-folder'
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"no model folder {str(folder)!r}")
    settings = Settings(folder)
    kind = _kind(settings)
    has_json = settings.file("tokenizer.json") is not None
    own_files = kind not in ("marian", "m2m100") or settings.file("source.spm", "sentencepiece.bpe.model") is None
    if has_json and kind not in _ALWAYS_OWN and own_files:
        from fastseq.text.fast import FastTokenizer, read_tokenizer_json

        return FastTokenizer(settings, read_tokenizer_json(settings))
    if kind is None:
        raise FileNotFoundError(
            f"model folder {str(folder)!r} has no tokenizer that is known: no tokenizer.json, and "
            f"{_named(settings)}; without it these are read: {', '.join(sorted(_CLASSES))}"
        )
    module, function = _KINDS[kind]
    build: Callable[[Settings], Tokenizer] = getattr(importlib.import_module(f"fastseq.text.{module}"), function)
    return build(settings)


def _kind(settings: Settings) -> str | None:
    if settings.tokenizer_class in _CLASSES:
        return _CLASSES[settings.tokenizer_class]
    encoder = settings.model_config.get("encoder")  # of an encoder-decoder that is made of two models
    kind = _MODEL_TYPES.get(str(encoder.get("model_type")) if isinstance(encoder, dict) else settings.model_type)
    if kind == "m2m100" and settings.file("vocab.json") is None:
        return "nllb"  # the same model with another tokenizer
    if kind is not None:
        return kind
    if settings.file("source.spm") is not None:
        return "marian"
    if settings.file("vocab.txt") is not None:
        return "bert"
    return None


def _named(settings: Settings) -> str:
    if settings.tokenizer_class:
        return f"tokenizer_class {settings.tokenizer_class!r} in tokenizer_config.json is none of ours"
    if settings.model_type:
        return f"model_type {settings.model_type!r} in config.json is none of ours"
    return "neither tokenizer_config.json nor config.json says which kind it is"
