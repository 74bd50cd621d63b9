"""Small random models of transformers with trained tokenizers, in folders as they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers

import tokenizer_folders
from fastseq.text import load_tokenizer
from tokenizer_folders import byte_bpe, m2m100, marian, t5, wordpiece

# The models are so small that threads only get in each other's way.
torch.set_num_threads(1)

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
ENCODER: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 96,
    "initializer_range": 0.5,
}


def save(folder: Path, kind: str, config: Any, seed: int = 0) -> Path:
    """Write a random model of a class of transformers beside its tokenizer."""
    torch.manual_seed(seed)
    model = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # they begin as zero, and would hide that one is not read
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    return folder


def bert(folder: Path, head: str, **changes: Any) -> Path:
    """BERT with a head, a vocabulary of word pieces, and room for 96 tokens."""
    wordpiece(folder, model_max_length=96)
    size = load_tokenizer(folder).vocab_size
    labels: dict[str, Any] = {}
    if head != "QuestionAnswering":
        labels = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    config = transformers.BertConfig(vocab_size=size, **(ENCODER | labels | changes))
    return save(folder, f"BertFor{head}" if head else "BertModel", config)


def roberta(folder: Path, head: str, **changes: Any) -> Path:
    """RoBERTa, whose positions begin behind the padding id."""
    byte_bpe(folder, model_max_length=94)
    size = load_tokenizer(folder).vocab_size
    config = transformers.RobertaConfig(vocab_size=size, pad_token_id=1, type_vocab_size=1, **(ENCODER | changes))
    return save(folder, f"RobertaFor{head}" if head else "RobertaModel", config)


def deberta(folder: Path, head: str, **changes: Any) -> Path:
    """DeBERTa v3, whose attention knows distances and whose tokens have no positions and no types."""
    tokenizer_folders.deberta(folder, model_max_length=96)
    size = load_tokenizer(folder).vocab_size
    labels: dict[str, Any] = {}
    if head != "QuestionAnswering":
        labels = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    config = transformers.DebertaV2Config(
        vocab_size=size, relative_attention=True, position_buckets=16, norm_rel_ebd="layer_norm", share_att_key=True,
        pos_att_type="p2c|c2p", position_biased_input=False, **(ENCODER | labels | changes),
    )  # fmt: skip
    return save(folder, f"DebertaV2For{head}" if head else "DebertaV2Model", config)


def modernbert(folder: Path, head: str, **changes: Any) -> Path:
    """ModernBERT with windows of 16 tokens; its tokenizer is of no class in particular."""
    tokenizer = transformers.RobertaTokenizer.from_pretrained(byte_bpe(folder, model_max_length=96))
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
    path.write_text(json.dumps(json.loads(path.read_text()) | kind))
    size = load_tokenizer(folder).vocab_size
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
    config = transformers.ModernBertConfig(vocab_size=size, local_attention=16, **(ENCODER | ids | changes))
    return save(folder, f"ModernBertFor{head}" if head else "ModernBertModel", config)


def gpt2(folder: Path) -> Path:
    """GPT-2 with 96 positions."""
    byte_bpe(folder, "GPT2Tokenizer")
    size = load_tokenizer(folder).vocab_size
    config = transformers.GPT2Config(
        vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=96, bos_token_id=0, eos_token_id=0,
        initializer_range=0.5, pad_token_id=0,
    )  # fmt: skip
    return save(folder, "GPT2LMHeadModel", config)


SEQ2SEQ: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "init_std": 0.5,
}
CLASSIFIER = SEQ2SEQ | {"max_position_embeddings": 200, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}


def bart(folder: Path, head: str, **changes: Any) -> Path:
    """BART with a head, room for 200 tokens, and labels unless the head is for questions."""
    byte_bpe(folder, "BartTokenizer", model_max_length=200)
    size = load_tokenizer(folder).vocab_size
    labels: dict[str, Any] = {} if head == "QuestionAnswering" else {"id2label": dict(enumerate(LABELS))}
    return save(folder, f"BartFor{head}", transformers.BartConfig(vocab_size=size, **(CLASSIFIER | labels | changes)))


def marian_model(folder: Path, languages: tuple[str, ...] = ()) -> Path:
    """Marian with 64 positions."""
    marian(folder, languages)
    size = load_tokenizer(folder).vocab_size
    config = transformers.MarianConfig(
        vocab_size=size, pad_token_id=size - 1, eos_token_id=0, decoder_start_token_id=size - 1,
        forced_eos_token_id=None, **SEQ2SEQ,
    )  # fmt: skip
    return save(folder, "MarianMTModel", config)


def m2m100_model(folder: Path) -> Path:
    """M2M100, whose decoder begins with the target language."""
    m2m100(folder)
    size = load_tokenizer(folder).vocab_size
    config = transformers.M2M100Config(
        vocab_size=size, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, **SEQ2SEQ
    )
    return save(folder, "M2M100ForConditionalGeneration", config)


def t5_model(folder: Path, **changes: Any) -> Path:
    """T5, with the prefix of a task in its config."""
    t5(folder)
    size = load_tokenizer(folder).vocab_size
    tasks = {"summarization": {"prefix": "summarize: ", "max_length": 12, "num_beams": 2}}
    tasks["translation_en_to_de"] = {"prefix": "translate English to German: ", "max_length": 10}
    config = transformers.T5Config(
        vocab_size=size, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1, initializer_factor=2.0, task_specific_params=tasks, **changes,
    )  # fmt: skip
    return save(folder, "T5ForConditionalGeneration", config)
