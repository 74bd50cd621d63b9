"""BERT, DistilBERT, ELECTRA and MPNet without a `tokenizer.json`: words cut by the list in `vocab.txt`."""

from __future__ import annotations

from fastseq.text.extras import require
from fastseq.text.fast import FastTokenizer, add_tokens
from fastseq.text.settings import AddedToken, Settings

__all__ = ["build", "build_mpnet"]


def build(settings: Settings) -> FastTokenizer:
    """Return the tokenizer of a BERT folder."""
    return _build(
        settings,
        {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"},
        "{cls}:0 $A:0 {sep}:0",
        "{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
    )


def build_mpnet(settings: Settings) -> FastTokenizer:
    """Return the tokenizer of an MPNet folder: BERT's words between RoBERTa's special tokens."""
    return _build(
        settings,
        {"unk": "[UNK]", "sep": "</s>", "pad": "<pad>", "cls": "<s>", "mask": "<mask>", "bos": "<s>", "eos": "</s>"},
        "{cls} $A {sep}",
        "{cls} $A {sep} {sep} $B:0 {sep}",
    )


def _build(settings: Settings, defaults: dict[str, str], single: str, pair: str) -> FastTokenizer:
    path = settings.file("vocab.txt")
    if path is None:
        raise FileNotFoundError(f"model folder {str(settings.folder)!r} has no vocab.txt")
    tokenizers = require("tokenizers", f"{path}")
    names = {name: settings.token(f"{name}_token", default) for name, default in defaults.items()}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8: {error}") from None
    vocabulary = {line.rstrip("\r"): i for i, line in enumerate(lines[:-1] if lines[-1] == "" else lines)}
    missing = [token for token in names.values() if token not in vocabulary]
    if missing:
        raise ValueError(f"{path} lacks the special tokens {', '.join(dict.fromkeys(missing))}")
    engine = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token=names["unk"]))
    accents = settings.values.get("strip_accents")
    engine.normalizer = tokenizers.normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.flag("tokenize_chinese_chars", True),
        strip_accents=accents if isinstance(accents, bool) else None,
        lowercase=settings.flag("do_lower_case", True),
    )
    engine.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    engine.decoder = tokenizers.decoders.WordPiece(prefix="##")
    special = [AddedToken(token, lstrip=token == "<mask>") for token in names.values()]
    add_tokens(engine, [*settings.added_tokens(), *special])
    engine.post_processor = tokenizers.processors.TemplateProcessing(
        single=single.format(**names),
        pair=pair.format(**names),
        special_tokens=[(names[name], vocabulary[names[name]]) for name in ("cls", "sep")],
    )
    return FastTokenizer(settings, engine)
