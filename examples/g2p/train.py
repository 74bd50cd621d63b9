"""Trains one grapheme-to-phoneme model on CMUdict and writes it as a fastseq model folder.

    python train.py lstm --output models/lstm --dev-words dev.txt --test-words test.txt

Deterministic (one thread, fixed seed) and resumable: run the same command again after an
interruption and it goes on from the last finished epoch. `--start-from` a model folder goes on
from its weights, with a schedule of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from corpus import Pair, Vocabulary, batches, error_rates, read_cmudict, split, vocabulary
from fastseq.models.quantized import quantize_tensors
from fastseq.pipelines.stress import without_stress
from fastseq.weights import write_safetensors
from networks import CONFIGS, build

PAD, BOS, EOS = 0, 1, 2


@dataclass(frozen=True)
class Cycle:
    """Epochs under one cosine of the learning rate (warm restarts: Loshchilov and Hutter, 2017)."""

    epochs: int
    lr: float
    dropout: float
    horizon: int = 0  # epochs after which the cosine reaches zero, where that is not the end of the cycle


WARMUP_STEPS = {"rnn": 400, "lstm": 400, "transformer": 2000}
SCHEDULES = {
    "rnn": [Cycle(8, 1e-3, 0.15)],
    "lstm": [Cycle(26, 2e-3, 0.25), Cycle(16, 1.5e-3, 0.3)],
    "transformer": [Cycle(20, 1.5e-3, 0.1, horizon=34), Cycle(8, 5.5e-4, 0.1)],
}
BATCH_SIZE = 256
EMA_DECAY = 0.9985
MAX_PHONEMES = 48


def make_batches(pairs: list[Pair], vocab: Vocabulary, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Shuffled batches of (source (B, S), target (B, T + 2)); sources in one batch have one length."""
    source_id = {c: i for i, c in enumerate(vocab.source)}
    target_id = {p: i for i, p in enumerate(vocab.target)}
    by_length: dict[int, list[Pair]] = {}
    for index in torch.randperm(len(pairs), generator=generator).tolist():
        by_length.setdefault(len(pairs[index][0]), []).append(pairs[index])
    result = []
    for _, group in sorted(by_length.items()):
        for start in range(0, len(group), BATCH_SIZE):
            chunk = group[start : start + BATCH_SIZE]
            source = torch.tensor([[source_id[c] for c in word] for word, _ in chunk])
            target = nn.utils.rnn.pad_sequence(
                [torch.tensor([BOS, *(target_id[p] for p in phonemes), EOS]) for _, phonemes in chunk],
                batch_first=True,
                padding_value=PAD,
            )
            result.append((source, target))
    return [result[i] for i in torch.randperm(len(result), generator=generator).tolist()]


@torch.inference_mode()
def greedy(model: nn.Module, words: list[str], vocab: Vocabulary) -> dict[str, tuple[str, ...]]:
    """Predictions for the words, phonemes with stress."""
    model.eval()
    source_id = {c: i for i, c in enumerate(vocab.source)}
    predictions = {}
    for batch in batches(words, 512):
        memory, state = model.encode(torch.tensor([[source_id[c] for c in word] for word in batch]))
        ids = torch.full((len(batch), 1), BOS)
        for _ in range(MAX_PHONEMES):
            recurrent = state is not None
            logits, state = model.decode(ids[:, -1:] if recurrent else ids, memory, state)
            chosen = logits[:, -1].argmax(-1)
            ids = torch.cat((ids, chosen[:, None]), 1)
            if (ids == EOS).any(1).all():
                break
        for word, row in zip(batch, ids[:, 1:].tolist(), strict=True):
            end = row.index(EOS) if EOS in row else len(row)
            predictions[word] = tuple(vocab.target[i] for i in row[:end])
    return predictions


def learning_rate(step: int, steps_per_epoch: int, cycles: list[Cycle], warmup: int) -> float:
    """Linear warm-up, then a cosine to zero in each cycle."""
    for position, cycle in enumerate(cycles):
        ramp = 0 if position else warmup
        total = cycle.epochs * steps_per_epoch
        if step < total or cycle is cycles[-1]:
            break
        step -= total
    total = (cycle.horizon or cycle.epochs) * steps_per_epoch
    if step < ramp:
        return cycle.lr * (step + 1) / ramp
    return cycle.lr * 0.5 * (1 + math.cos(math.pi * (step - ramp) / (total - ramp)))


def dropout_of(epoch: int, cycles: list[Cycle]) -> float:
    for cycle in cycles:
        if epoch < cycle.epochs:
            return cycle.dropout
        epoch -= cycle.epochs
    return cycles[-1].dropout


def set_dropout(model: nn.Module, rate: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
        elif isinstance(module, (nn.RNNBase, nn.MultiheadAttention)):
            module.dropout = rate


def export(folder: Path, config: dict[str, Any], weights: dict[str, Tensor], vocab: Vocabulary, dtype: str) -> None:
    """Write config.json, vocab.json and model.safetensors (8 significant bits cost no accuracy here)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    vocab.save(folder / "vocab.json")
    path = folder / "model.safetensors"
    if dtype == "int8":
        write_safetensors(path, quantize_tensors({name: tensor.float().numpy() for name, tensor in weights.items()}))
    else:
        save_file({name: tensor.to(torch.bfloat16).contiguous() for name, tensor in weights.items()}, path)


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    cycles = SCHEDULES[args.model]
    if args.epochs:
        cycles = [Cycle(args.epochs, args.lr or cycles[0].lr, cycles[0].dropout)]
    pairs, dev, _ = split(read_cmudict(), args.dev_words, args.test_words)
    vocab = vocabulary(pairs)
    config = {
        "format": "fastseq",
        "format_version": 1,
        **CONFIGS[args.model],
        "source_vocab_size": len(vocab.source),
        "target_vocab_size": len(vocab.target),
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
    }
    dev_words = sorted(w for w in dev if set(w) <= set(vocab.source))
    model = build(config, cycles[0].dropout)
    if args.start_from:
        weights = load_file(args.start_from / "model.safetensors")
        if any(tensor.dtype == torch.int8 for tensor in weights.values()):
            raise SystemExit(f"{args.start_from} has int8 weights; start from a folder with bfloat16")
        model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    ema = build(config, 0.0)
    ema.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01)
    loss_of = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=0.1)
    print(f"{args.model}: {sum(p.numel() for p in model.parameters()):,} parameters, {len(pairs):,} pairs", flush=True)

    args.output.mkdir(parents=True, exist_ok=True)
    checkpoint = args.output / "checkpoint.pt"
    done, best, step = 0, math.inf, 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        ema.load_state_dict(saved["ema"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"])
        done, best, step = saved["epoch"], saved["best"], saved["step"]
        print(f"resumed after epoch {done}", flush=True)

    for epoch in range(done, sum(cycle.epochs for cycle in cycles)):
        started = time.perf_counter()
        model.train()
        set_dropout(model, dropout_of(epoch, cycles))
        generator = torch.Generator().manual_seed(args.seed * 1000 + epoch)
        epoch_batches = make_batches(pairs, vocab, generator)
        sum_loss = 0.0
        for source, target in epoch_batches:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, len(epoch_batches), cycles, WARMUP_STEPS[args.model])
            with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bfloat16"):
                logits = model(source, target[:, :-1])
            loss = loss_of(logits.float().flatten(0, 1), target[:, 1:].flatten())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            decay = min(EMA_DECAY, (1 + step) / (10 + step))
            with torch.no_grad():
                torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)
            sum_loss += loss.item()
        stressed = greedy(ema, dev_words, vocab)
        word_error, phoneme_error = error_rates({w: without_stress(p) for w, p in stressed.items()}, dev)
        print(
            f"epoch {epoch + 1:3d}  loss {sum_loss / len(epoch_batches):.4f}  dev word error {word_error:.2f} %"
            f"  phoneme error {phoneme_error:.2f} %  {time.perf_counter() - started:.0f} s",
            flush=True,
        )
        if word_error < best:
            best = word_error
            export(args.output, config, dict(ema.state_dict()), vocab, args.dtype)
        state = {"model": model.state_dict(), "ema": ema.state_dict(), "optimizer": optimizer.state_dict()}
        state |= {"rng": torch.get_rng_state(), "epoch": epoch + 1, "best": best, "step": step}
        torch.save(state, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(CONFIGS))
    parser.add_argument("--output", type=Path, required=True, help="folder for the model and its checkpoint")
    parser.add_argument("--dev-words", type=Path, help="word list to choose the best epoch on, left out of training")
    parser.add_argument("--test-words", type=Path, help="word list left out of training")
    parser.add_argument("--epochs", type=int, help="one cycle of so many, instead of the model's own schedule")
    parser.add_argument("--lr", type=float, help="highest learning rate of that cycle (default: the schedule's first)")
    parser.add_argument("--start-from", type=Path, help="model folder whose weights come first, instead of random ones")
    parser.add_argument(
        "--precision",
        choices=("bfloat16", "float32"),
        default="bfloat16",
        help="of the products in training; weights, sums and the exported model are independent of it",
    )
    parser.add_argument(
        "--dtype",
        choices=("bfloat16", "int8"),
        default="bfloat16",
        help="of the stored weights; int8 has a scale for each row",
    )
    parser.add_argument("--seed", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
