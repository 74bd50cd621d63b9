"""Small tokenizers of every kind, trained on the spot, in folders laid out as Hugging Face publishes them."""

from __future__ import annotations

import argparse
import asyncio
import inspect
import io
import json
import logging
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from fastseq.text.languages import M2M100, NLLB

SENTENCES = [
    "The ship leaves the harbour at seven, and nobody waves.",
    "Das Schiff verlässt den Hafen um sieben Uhr, größer als gestern.",
    "Le navire quitte le port à sept heures ; personne ne salue.",
    "Кораблик выходит из гавани в семь часов.",
    "船は七時に港を出る。誰も手を振らない。",
    "السفينة تغادر الميناء في الساعة السابعة",
    "जहाज़ सात बजे बंदरगाह छोड़ता है।",
    "The prices rose by 3.5 % in 2021, from £1,200 to £1,242 (see § 4).",
    "Isn't it what she'd've done? I'm sure they're fine; we've won!",
    "naïve café, Ångström, coöperate, Straße, ﬁne ﬂow, ½ teaspoon",
]
# What goes wrong if something goes wrong: spaces, controls, other alphabets, emoji, marks, specials in the text.
ODD = [
    "",
    " ",
    "a",
    "  leading and  double   spaces",
    "tabs\tand\nnew lines\r\nand\u00a0no-break\u2003em spaces",
    "zero\u200bwidth \u200djoiner\ufeff and soft\u00adhyphen",
    "e\u0301 combining vs é, \u1e69 vs s\u0323\u0307",
    "ｆｕｌｌ　ｗｉｄｔｈ １２３ ﬁ Ⅷ ㎏",
    "emoji 👩‍👩‍👧‍👦🏳️‍🌈 flags 🇩🇪 and 𝔐𝔞𝔱𝔥",
    "中文混合 English 日本語テキスト한국어",
    "controls \x00 \x07 \x1b[0m end",
    "…“quotes” – dashes — ‘single’",
    "a" * 130,
    "supercalifragilisticexpialidocious" * 4,
    "don't won't I'd've they're it 's",
    "http://example.org/a?b=c&d=e#f user@example.org",
    "▁lower one eighth block ▁▁",
    "Æther œuvre ĲSSEL İstanbul ſ",
]


@cache
def corpus() -> list[str]:
    """Return lines to train on: the sentences above and docstrings of the standard library."""
    documents = [inspect.getdoc(module) or "" for module in (argparse, asyncio, inspect, io, json, logging, re)]
    documents += [inspect.getdoc(getattr(io, name)) or "" for name in ("TextIOWrapper", "BufferedReader", "StringIO")]
    documents += [inspect.getdoc(function) or "" for function in (re.sub, logging.basicConfig, json.dumps, open)]
    lines = [line.strip() for document in documents for line in document.splitlines() if line.strip()]
    return [*SENTENCES * 6, *lines]


@cache
def piece_model(kind: str, **sizes: Any) -> bytes:
    """Return a SentencePiece model; `sizes` are options of its trainer."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        model_type=kind,
        character_coverage=0.995,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
        **({"vocab_size": 320} | sizes),
    )
    return model.getvalue()


def write(folder: Path, config: dict[str, Any], files: dict[str, Any]) -> Path:
    """Write a folder: `tokenizer_config.json` and files of bytes, text or JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {"tokenizer_config.json": config, **files}.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def pieces(model: bytes) -> list[str]:
    """Return the pieces of a SentencePiece model by id."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


def marian(folder: Path, languages: tuple[str, ...] = (), separate: bool = False) -> Path:
    source, target = piece_model("unigram"), piece_model("unigram", vocab_size=300)
    codes = [f">>{language}<<" for language in languages]
    tokens = ["</s>", "<unk>", *codes, *reversed(pieces(source)[3:])]
    if not separate:
        tokens = list(dict.fromkeys([*tokens, *pieces(target)[3:]]))
    files = {"source.spm": source, "target.spm": target}
    files |= {"vocab.json": {token: i for i, token in enumerate([*tokens, "<pad>"])}}
    if separate:
        own = ["</s>", "<unk>", *pieces(target)[3:], "<pad>"]
        files["target_vocab.json"] = {token: i for i, token in enumerate(own)}
    config = {"tokenizer_class": "MarianTokenizer", "model_max_length": 512, "separate_vocabs": separate}
    return write(folder, config, files)


def m2m100(folder: Path) -> Path:
    model = piece_model("bpe")
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *pieces(model)[3:]]
    files = {"sentencepiece.bpe.model": model, "vocab.json": {token: i for i, token in enumerate(tokens)}}
    config = {"tokenizer_class": "M2M100Tokenizer", "src_lang": "fr"}
    return write(folder, config | {"additional_special_tokens": [f"__{code}__" for code in M2M100]}, files)


def t5(folder: Path) -> Path:
    model = piece_model("unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    return write(folder, {"tokenizer_class": "T5Tokenizer", "extra_ids": 100}, {"spiece.model": model})


def pegasus(folder: Path) -> Path:
    model = piece_model("unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    config = {"tokenizer_class": "PegasusTokenizer", "offset": 103}
    config |= {"mask_token": "<mask_2>", "mask_token_sent": "<mask_1>"}
    return write(folder, config, {"spiece.model": model})


def fairseq(name: str, kind: str) -> Callable[[Path], Path]:
    return lambda folder: write(folder, {"tokenizer_class": name}, {"sentencepiece.bpe.model": piece_model(kind)})


def nllb(folder: Path) -> Path:
    model = piece_model("bpe")
    start = len(pieces(model)) + 1
    added = {str(i): {"content": code, "special": True} for i, code in enumerate([*NLLB, "<mask>"], start)}
    added |= {str(i): {"content": token, "special": True} for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>"])}
    config = {"tokenizer_class": "NllbTokenizer", "additional_special_tokens": NLLB, "added_tokens_decoder": added}
    return write(folder, config, {"sentencepiece.bpe.model": model})


def albert(folder: Path) -> Path:
    model = piece_model("unigram", pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols="[CLS],[SEP],[MASK]")
    return write(folder, {"tokenizer_class": "AlbertTokenizer"}, {"spiece.model": model})


def deberta(folder: Path, rule: str = "identity", **config: Any) -> Path:
    sizes: Any = {"pad_id": 0, "unk_id": 3, "bos_id": 1, "eos_id": 2, "bos_piece": "[CLS]", "eos_piece": "[SEP]"}
    sizes |= {"pad_piece": "[PAD]", "unk_piece": "[UNK]", "normalization_rule_name": rule}
    model = piece_model("unigram", **sizes)
    return write(folder, {"tokenizer_class": "DebertaV2Tokenizer", **config}, {"spm.model": model})


def wordpiece(folder: Path, name: str = "BertTokenizer", lower: bool = True, **config: Any) -> Path:
    import tokenizers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    if name == "MPNetTokenizer":
        special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    engine = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    engine.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lower)
    engine.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    trainer = tokenizers.trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    engine.train_from_iterator(corpus(), trainer)
    vocabulary = sorted(engine.get_vocab().items(), key=lambda item: item[1])
    lines = "".join(f"{token}\n" for token, _ in vocabulary)
    return write(folder, {"tokenizer_class": name, "do_lower_case": lower, **config}, {"vocab.txt": lines})


def byte_bpe(folder: Path, name: str = "RobertaTokenizer", **config: Any) -> Path:
    import tokenizers

    special = ["<|endoftext|>"] if name == "GPT2Tokenizer" else ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    engine = tokenizers.Tokenizer(tokenizers.models.BPE())
    engine.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    engine.train_from_iterator(corpus(), trainer)
    model = json.loads(engine.to_str())["model"]
    merges = "#version: 0.2\n" + "".join(f"{' '.join(pair)}\n" for pair in model["merges"])
    return write(folder, {"tokenizer_class": name, **config}, {"vocab.json": model["vocab"], "merges.txt": merges})


KINDS: dict[str, Callable[[Path], Path]] = {
    "marian": marian,
    "marian multilingual": lambda folder: marian(folder, ("deu", "fra")),
    "marian separate": lambda folder: marian(folder, separate=True),
    "m2m100": m2m100,
    "t5": t5,
    "pegasus": pegasus,
    "mbart": fairseq("MBartTokenizer", "unigram"),
    "mbart50": fairseq("MBart50Tokenizer", "unigram"),
    "nllb": nllb,
    "xlm-roberta": fairseq("XLMRobertaTokenizer", "unigram"),
    "albert": albert,
    "deberta": deberta,
    "deberta lower": lambda folder: deberta(folder, do_lower_case=True, split_by_punct=True),
    "deberta nfkc": lambda folder: deberta(folder, "nmt_nfkc"),
    "bert uncased": wordpiece,
    "bert cased": lambda folder: wordpiece(folder, lower=False, clean_up_tokenization_spaces=True),
    "distilbert": lambda folder: wordpiece(folder, "DistilBertTokenizer"),
    "mpnet": lambda folder: wordpiece(folder, "MPNetTokenizer"),
    "roberta": byte_bpe,
    "bart": lambda folder: byte_bpe(folder, "BartTokenizer", add_prefix_space=True),
    "gpt2": lambda folder: byte_bpe(folder, "GPT2Tokenizer"),
}
