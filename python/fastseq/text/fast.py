"""Tokenizers that the package `tokenizers` runs: those of a `tokenizer.json`, and those built to be like one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastseq.text.encoding import Pieces, Template
from fastseq.text.extras import require
from fastseq.text.settings import AddedToken, Settings
from fastseq.text.tokenizer import Tokenizer

__all__ = ["FastTokenizer", "add_tokens", "read_tokenizer_json"]

# Classes of no model in particular take `tokenizer.json` as it is.
_ANY_MODEL = ("PreTrainedTokenizer", "TokenizersBackend")


class FastTokenizer(Tokenizer):
    """A tokenizer whose work a `tokenizers.Tokenizer` does.

    Parameters
    ----------
    settings : Settings
    engine : tokenizers.Tokenizer
        Complete: with normaliser, post-processor, decoder and added tokens.
    """

    def __init__(self, settings: Settings, engine: Any) -> None:
        super().__init__(settings)
        add_tokens(engine, settings.additional_tokens())
        if not settings.text("truncation_side") and engine.truncation is not None:
            self.truncation_side = engine.truncation["direction"]
        engine.no_truncation()  # windows and limits are the caller's, not the file's
        engine.no_padding()
        engine.encode_special_tokens = settings.flag("split_special_tokens", False)
        self.engine = engine
        self._templates = _templates(engine)

    def pieces(self, text: str, details: bool = False) -> Pieces:
        """Return a text without special tokens around it."""
        found = self.engine.encode(text, add_special_tokens=False)
        return Pieces(found.ids, found.offsets, found.word_ids) if details else Pieces(found.ids)

    def template(self, pair: bool, src_lang: str | None = None) -> Template:
        """Return where special tokens stand, as the post-processor lays them."""
        if src_lang is not None:
            raise ValueError(f"src_lang is {src_lang!r}; this tokenizer marks no source language")
        return self._templates[pair]

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the token of each id."""
        return [self.engine.id_to_token(i) or "" for i in ids]

    def token_id(self, token: str) -> int | None:
        """Return the id of a token, or None."""
        found: int | None = self.engine.token_to_id(token)
        return found

    def join(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        """Return the text of ids."""
        text: str = self.engine.decode(ids, skip_special_tokens=skip_special_tokens)
        return text

    def join_tokens(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens."""
        decoder = self.engine.decoder
        text: str = " ".join(tokens) if decoder is None else decoder.decode(list(tokens))
        return text

    @property
    def cuts_words(self) -> bool:
        """Whether a token that continues a word is marked."""
        return bool(getattr(self.engine.model, "continuing_subword_prefix", None))

    @property
    def cleans_up(self) -> bool:
        """Whether decoding takes spaces before punctuation out; not with BPE, whose spaces are those of the text."""
        return super().cleans_up and type(self.engine.model).__name__ != "BPE"

    @property
    def unk_id(self) -> int | None:
        """The id of what the vocabulary lacks, or None."""
        unk = getattr(self.engine.model, "unk_token", None)
        return super().unk_id if unk is None else self.token_id(unk)

    @property
    def vocab_size(self) -> int:
        """Number of tokens, added ones included."""
        return int(self.engine.get_vocab_size(with_added_tokens=True))


def _templates(engine: Any) -> tuple[Template, Template]:
    """What the engine does with a text and with a pair, read off an example of each."""
    for text in ("a", "the", "1", ".", "\u4e2d", *sorted(engine.get_vocab(), key=len, reverse=True)):
        if len(engine.encode(text, add_special_tokens=False)):
            return _template(engine.encode(text)), _template(engine.encode(text, text))
    raise ValueError("the tokenizer makes no token of any text")


def _template(encoding: Any) -> Template:
    """The template behind an encoding of one or two texts."""
    parts: list[tuple[str | int, int]] = []
    before: int | None = None
    for token, kind, sequence in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
        if sequence is None:
            parts.append((token, kind))
        elif sequence != before:
            parts.append(("AB"[sequence], kind))
        before = sequence
    return Template(parts)


def read_tokenizer_json(settings: Settings) -> Any:
    """Return the `tokenizers.Tokenizer` of a folder's `tokenizer.json`, with what the other files add to it.

    Raises
    ------
    ImportError
        Without the package `tokenizers`.
    ValueError
        If the file is damaged.
    """
    path = settings.folder / "tokenizer.json"
    tokenizers = require("tokenizers", f"{path}")
    try:
        engine = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises a bare Exception
        raise ValueError(f"{path} is no tokenizer: {error}") from None
    _follow_settings(engine, settings)
    add_tokens(engine, [*settings.added_tokens(), *settings.named_tokens()])
    return engine


def _follow_settings(engine: Any, settings: Settings) -> None:
    """Let `tokenizer_config.json` have the last word on these, as the classes of `transformers` let it."""
    if settings.tokenizer_class in _ANY_MODEL:
        return
    if type(engine.normalizer).__name__ == "BertNormalizer":
        names = {
            "lowercase": "do_lower_case",
            "strip_accents": "strip_accents",
            "handle_chinese_chars": "tokenize_chinese_chars",
        }
        for attribute, name in names.items():
            if isinstance(settings.values.get(name), bool):
                setattr(engine.normalizer, attribute, settings.values[name])
    if type(engine.pre_tokenizer).__name__ == "ByteLevel" and "add_prefix_space" in settings.values:
        engine.pre_tokenizer.add_prefix_space = settings.flag("add_prefix_space", False)
    if type(engine.post_processor).__name__ == "RobertaProcessing":
        for name in ("add_prefix_space", "trim_offsets"):
            if isinstance(settings.values.get(name), bool):
                setattr(engine.post_processor, name, settings.values[name])


def add_tokens(engine: Any, tokens: Iterable[AddedToken]) -> None:
    """Give a `tokenizers.Tokenizer` the added tokens that it lacks, and those with an id the flags that they say.

    Parameters
    ----------
    engine : tokenizers.Tokenizer
    tokens : iterable of AddedToken
        In the order of their ids; the first of one content counts.

    Raises
    ------
    ValueError
        If one would get another id than it says.
    """
    tokenizers = require("tokenizers", "a tokenizer")
    known = {str(token.content) for token in engine.get_added_tokens_decoder().values()}
    seen: set[str] = set()
    for token in tokens:
        if token.content in seen:
            continue
        seen.add(token.content)
        if token.id is None and token.content in known:
            continue
        engine.add_tokens([tokenizers.AddedToken(token.content, **token.flags())])
        index = engine.token_to_id(token.content)
        if token.id is not None and index != token.id:
            raise ValueError(f"added token {token.content!r} has id {token.id}; in this vocabulary it gets {index}")
