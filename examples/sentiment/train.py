"""Trains a sentence classifier (a bidirectional LSTM with attention) and writes it as a fastseq model folder.

    python train.py train.csv --dev dev.csv --output models/sentiment

The files have the columns `label` and `sentence`. Deterministic (one thread, fixed seed) and resumable: run the same
command again after an interruption and it goes on from the last finished epoch.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fastseq.text import WordTokenizer
from network import CONFIG, RecurrentClassifier

BATCH_SIZE = 32
EMA_DECAY = 0.995
Example = tuple[Tensor, int]


def read_sentences(path: Path) -> list[tuple[str, str]]:
    """Label and sentence of each line."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"label", "sentence"} <= rows[0].keys():
        raise SystemExit(f"{path}: expected lines under the columns label and sentence")
    return [(row["label"], row["sentence"]) for row in rows]


def examples(sentences: list[tuple[str, str]], tokenizer: WordTokenizer, classes: list[str]) -> list[Example]:
    ids = [(torch.tensor(tokenizer.encode(text)), classes.index(label)) for label, text in sentences]
    return [(words, label) for words, label in ids if len(words)]


def make_batches(data: list[Example], generator: torch.Generator) -> list[list[Example]]:
    """Shuffled batches of sentences of similar lengths."""
    noise = torch.rand(len(data), generator=generator) * 4
    order = sorted(range(len(data)), key=lambda i: len(data[i][0]) + noise[i].item())
    batches = [[data[i] for i in order[start : start + BATCH_SIZE]] for start in range(0, len(data), BATCH_SIZE)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


@torch.inference_mode()
def accuracy(model: nn.Module, data: list[Example]) -> float:
    model.eval()
    right = 0
    for start in range(0, len(data), 128):
        chunk = data[start : start + 128]
        logits = model([ids for ids, _ in chunk])
        right += int((logits.argmax(1) == torch.tensor([label for _, label in chunk])).sum())
    return right / len(data)


def export(folder: Path, config: dict[str, Any], model: nn.Module, tokenizer: WordTokenizer) -> None:
    """Write config.json, vocab.json and model.safetensors."""
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    tokenizer.save(folder / "vocab.json")
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    os.nice(args.nice)
    training, dev = read_sentences(args.sentences), read_sentences(args.dev)
    classes = sorted({label for label, _ in training})
    tokenizer = WordTokenizer.from_texts((text for _, text in training), min_count=args.min_count)
    config = {"format": "fastseq", "format_version": 1, **CONFIG, "pooling": args.pooling}
    config |= {"vocab_size": len(tokenizer), "labels": args.names or classes}
    if len(config["labels"]) != len(classes):
        raise SystemExit(f"{len(config['labels'])} names for {len(classes)} labels")
    if args.pooling != "attention":
        del config["attention_size"]
    model = RecurrentClassifier(config, args.dropout, args.word_dropout)
    average = RecurrentClassifier(config)
    average.load_state_dict(model.state_dict())
    data, held_out = examples(training, tokenizer, classes), examples(dev, tokenizer, classes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.weight_decay)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(data):,} sentences", flush=True)

    args.output.mkdir(parents=True, exist_ok=True)
    checkpoint = args.output / "checkpoint.pt"
    done, best, step = 0, 0.0, 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"])
        done, best, step = saved["epoch"], saved["best"], saved["step"]
        print(f"resumed after epoch {done}", flush=True)

    for epoch in range(done, args.epochs):
        started = time.perf_counter()
        model.train()
        batches = make_batches(data, torch.Generator().manual_seed(args.seed * 1000 + epoch))
        sum_loss = 0.0
        for batch in batches:
            for group in optimizer.param_groups:
                group["lr"] = args.lr * min(1.0, (step + 1) / 100) * (1 - step / (args.epochs * len(batches)))
            loss = loss_of(model([ids for ids, _ in batch]), torch.tensor([label for _, label in batch]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            with torch.no_grad():
                decay = min(EMA_DECAY, (1 + step) / (10 + step))
                torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
            sum_loss += loss.item()
        found = accuracy(average, held_out)
        seconds = time.perf_counter() - started
        print(
            f"epoch {epoch + 1:2d}  loss {sum_loss / len(batches):.4f}  dev accuracy {found:.4f}  {seconds:.0f} s",
            flush=True,
        )
        if found > best:
            best = found
            export(args.output, config, average, tokenizer)
        state = {"model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
        state |= {"rng": torch.get_rng_state(), "epoch": epoch + 1, "best": best, "step": step}
        torch.save(state, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", type=Path, help="CSV of labelled sentences to learn from")
    parser.add_argument("--dev", type=Path, required=True, help="CSV to choose the best epoch on")
    parser.add_argument("--output", type=Path, required=True, help="folder for the model and its checkpoint")
    parser.add_argument("--names", nargs="+", help="names of the labels, in the order of the labels in the file")
    parser.add_argument("--pooling", choices=("attention", "max", "mean", "last"), default="attention")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--word-dropout", type=float, default=0.1)
    parser.add_argument("--min-count", type=int, default=2, help="rarer words are one unknown word")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nice", type=int, default=10, help="how far to step back behind other programs")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
