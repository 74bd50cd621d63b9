"""GPT-2, BART and RoBERTa without a `tokenizer.json`: bytes merged as `merges.txt` says, ids in `vocab.json`."""

from __future__ import annotations

from typing import Any

from fastseq.text.extras import require
from fastseq.text.fast import FastTokenizer, add_tokens
from fastseq.text.settings import AddedToken, Settings, read_json

__all__ = ["build_gpt2", "build_roberta"]


def build_gpt2(settings: Settings) -> FastTokenizer:
    """Return the tokenizer of a GPT-2 folder: no special tokens around a text."""
    engine = _engine(settings)
    end = "<|endoftext|>"
    names = [settings.token(f"{name}_token", end) for name in ("unk", "bos", "eos")]
    pad = settings.named_token("pad_token")
    add_tokens(engine, [*settings.added_tokens(), *map(AddedToken, names), *([] if pad is None else [pad])])
    return FastTokenizer(settings, engine)


def build_roberta(settings: Settings) -> FastTokenizer:
    """Return the tokenizer of a RoBERTa or BART folder: ``<s> A </s>`` and ``<s> A </s></s> B </s>``."""
    engine = _engine(settings)
    defaults = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>", "pad": "<pad>"}
    names = {name: settings.token(f"{name}_token", default) for name, default in defaults.items()}
    mask = settings.named_token("mask_token") or AddedToken("<mask>", lstrip=True)
    add_tokens(engine, [*settings.added_tokens(), *map(AddedToken, names.values()), mask])
    processors = require("tokenizers", "a RoBERTa tokenizer").processors
    sep, cls = ((names[name], engine.token_to_id(names[name])) for name in ("sep", "cls"))
    engine.post_processor = processors.RobertaProcessing(
        sep, cls, settings.flag("trim_offsets", True), settings.flag("add_prefix_space", False)
    )
    return FastTokenizer(settings, engine)


def _engine(settings: Settings) -> Any:
    vocabulary, merges = settings.file("vocab.json"), settings.file("merges.txt")
    if vocabulary is None or merges is None:
        missing = [name for name in ("vocab.json", "merges.txt") if settings.file(name) is None]
        raise FileNotFoundError(f"model folder {str(settings.folder)!r} has no {' and no '.join(missing)}")
    tokenizers = require("tokenizers", f"{vocabulary}")
    try:
        pairs = [
            tuple(line.split(" "))
            for line in merges.read_text(encoding="utf-8").split("\n")
            if line and not line.startswith("#version")
        ]
        bpe = tokenizers.models.BPE(vocab=read_json(vocabulary), merges=pairs, fuse_unk=False)
    except ValueError as error:
        raise ValueError(f"{merges}: {error}") from None
    except Exception as error:  # the package raises a bare Exception
        raise ValueError(f"{vocabulary} and {merges} are no vocabulary: {error}") from None
    engine = tokenizers.Tokenizer(bpe)
    prefix = settings.flag("add_prefix_space", False)
    engine.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    engine.decoder = tokenizers.decoders.ByteLevel()
    return engine
