"""Trains an LSTM language model on the sentences of a CSV file and writes it as a fastseq model folder.

    python train.py train.csv --dev dev.csv --output models/language

The files have a column `sentence`. Sentences are read as one long text, end tokens between them, in pieces that follow
one another (truncated back-propagation). Deterministic and resumable, as the sentiment example.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fastseq.text import WordTokenizer
from network import RecurrentLanguageModel

UNKNOWN, END = "<unk>", "</s>"
STREAMS, STEPS = 32, 64  # texts that are read side by side, and tokens of each between two updates


def read_sentences(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or "sentence" not in rows[0]:
        raise SystemExit(f"{path}: expected lines under a column sentence")
    return [row["sentence"] for row in rows]


def streams(sentences: list[str], tokenizer: WordTokenizer, order: list[int], count: int) -> Tensor:
    """All sentences behind an end token each, cut into `count` rows of one length."""
    end = tokenizer.token_id(END)
    ids = torch.tensor([end] + [i for s in order for i in (*tokenizer.encode(sentences[s]), end)])
    return ids[: len(ids) // count * count].view(count, -1)


def detach(state: Any) -> Any:
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


@torch.inference_mode()
def perplexity(model: nn.Module, text: Tensor) -> float:
    model.eval()
    state, total = None, 0.0
    for begin in range(0, text.shape[1] - 1, STEPS):
        piece = text[:, begin : begin + STEPS + 1]
        logits, state = model(piece[:, :-1], state)
        total += nn.functional.cross_entropy(logits.flatten(0, 1), piece[:, 1:].flatten(), reduction="sum").item()
    return math.exp(total / (len(text) * (text.shape[1] - 1)))


def export(folder: Path, config: dict[str, Any], model: nn.Module, tokenizer: WordTokenizer) -> None:
    """Write config.json, vocab.json and model.safetensors."""
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    tokenizer.save(folder / "vocab.json")
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if config["tie_output"]:
        del state["output.weight"]
    save_file(state, folder / "model.safetensors")


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    os.nice(args.nice)
    sentences, dev = read_sentences(args.sentences), read_sentences(args.dev)
    least = args.min_count if args.unit == "word" else 10
    tokenizer = WordTokenizer.from_texts(
        sentences, [UNKNOWN, END], least, lowercase=args.unit == "word", unit=args.unit
    )
    config = {
        "format": "fastseq",
        "format_version": 1,
        "model_type": "recurrent_language_model",
        "vocab_size": len(tokenizer),
        "embedding_size": args.hidden_size,
        "bos_token_id": tokenizer.token_id(END),
        "eos_token_id": tokenizer.token_id(END),
        "cell": "lstm",
        "hidden_size": args.hidden_size,
        "num_layers": args.layers,
        "tie_output": True,
    }
    model = RecurrentLanguageModel(config, args.dropout)
    nn.init.normal_(model.embedding.weight, std=0.1)
    held_out = streams(dev, tokenizer, list(range(len(dev))), 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens", flush=True)

    args.output.mkdir(parents=True, exist_ok=True)
    checkpoint = args.output / "checkpoint.pt"
    done, best = 0, math.inf
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"])
        done, best = saved["epoch"], saved["best"]
        print(f"resumed after epoch {done}", flush=True)

    for epoch in range(done, args.epochs):
        started = time.perf_counter()
        model.train()
        generator = torch.Generator().manual_seed(args.seed * 1000 + epoch)
        text = streams(sentences, tokenizer, torch.randperm(len(sentences), generator=generator).tolist(), STREAMS)
        pieces = range(0, text.shape[1] - 1, STEPS)
        state, sum_loss = None, 0.0
        for i, begin in enumerate(pieces):
            for group in optimizer.param_groups:
                progress = (epoch + i / len(pieces)) / args.epochs
                group["lr"] = args.lr * 0.5 * (1 + math.cos(math.pi * progress))
            piece = text[:, begin : begin + STEPS + 1]
            logits, state = model(piece[:, :-1], None if state is None else detach(state))
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), piece[:, 1:].flatten())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            sum_loss += loss.item()
        found = perplexity(model, held_out)
        print(
            f"epoch {epoch + 1:2d}  perplexity {math.exp(sum_loss / len(pieces)):.2f}  dev {found:.2f}"
            f"  {time.perf_counter() - started:.0f} s",
            flush=True,
        )
        if found < best:
            best = found
            export(args.output, config, model, tokenizer)
        values = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}
        torch.save(values | {"epoch": epoch + 1, "best": best}, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path, help="CSV of sentences to learn from")
    parser.add_argument("--dev", type=Path, required=True, help="CSV to choose the best epoch on")
    parser.add_argument("--output", type=Path, required=True, help="folder for the model and its checkpoint")
    parser.add_argument("--unit", choices=("character", "word"), default="character")
    parser.add_argument("--min-count", type=int, default=3, help="rarer words are one unknown word")
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nice", type=int, default=10, help="how far to step back behind other programs")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
