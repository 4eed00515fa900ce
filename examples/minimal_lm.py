"""A character language model with linear attention, trained with two encodings by the library alone.

About a minute on a CPU:

    python examples/minimal_lm.py [file.txt]

Without a file it learns the source of some modules of the standard library. Prints the validation loss (nats per
character) of each encoding.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lrpe.models import DecoderConfig, DecoderLM

LENGTH, BATCH = 128, 16
ENCODINGS = {
    "NoPE": {"name": "none"},
    "LRPE orthogonal": {"name": "lrpe", "core": "orthogonal", "projection": "householder", "learn_angles": True},
}


def embedded_text() -> str:
    """Text that every Python has: the source of some modules of its standard library."""
    import argparse as a
    import difflib
    import doctest
    import logging
    import optparse
    import pydoc
    import random
    import statistics
    import string
    import textwrap
    import typing
    import unittest

    modules = (a, difflib, doctest, logging, optparse, pydoc, random, statistics, string, textwrap, typing, unittest)
    return "\n".join(Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules)


def load(path: Path | None) -> tuple[Tensor, Tensor, int]:
    """Training and validation characters as indices, and how many different ones there are."""
    text = path.read_text(encoding="utf-8") if path else embedded_text()
    characters = sorted(set(text))
    index = {character: number for number, character in enumerate(characters)}
    tokens = torch.tensor([index[character] for character in text])
    split = int(0.9 * len(tokens))
    return tokens[:split], tokens[split:], len(characters)


def batch(tokens: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random windows and their next characters: two of ``(BATCH, LENGTH)``."""
    starts = torch.randint(len(tokens) - LENGTH - 1, (BATCH,), generator=generator)
    windows = torch.stack([tokens[start : start + LENGTH + 1] for start in starts.tolist()])
    return windows[:, :-1], windows[:, 1:]


def loss_of(model: DecoderLM, inputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


@torch.no_grad()
def validate(model: DecoderLM, tokens: Tensor, windows: int = 128) -> float:
    """Mean loss over evenly spaced windows of the validation text."""
    model.eval()
    starts = torch.linspace(0, len(tokens) - LENGTH - 1, windows).long()
    rows = torch.stack([tokens[start : start + LENGTH + 1] for start in starts.tolist()])
    loss = float(loss_of(model, rows[:, :-1], rows[:, 1:]))
    model.train()
    return loss


def train(encoding: dict[str, object], train_tokens: Tensor, valid_tokens: Tensor, size: int, updates: int) -> float:
    """The validation loss after ``updates`` updates; the same seed, batches and schedule for every encoding."""
    torch.manual_seed(1)
    config = DecoderConfig(
        vocab_size=size, padding_index=None, num_layers=2, embed_dim=96, ffn_dim=256, num_heads=4, dropout=0.0,
        encoding=encoding,
    )  # fmt: skip
    model = DecoderLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)
    warmup = max(1, updates // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda update: min((update + 1) / warmup, math.sqrt(warmup / (update + 1)))
    )
    generator = torch.Generator().manual_seed(1)
    for _ in range(updates):
        optimizer.zero_grad()
        loss_of(model, *batch(train_tokens, generator)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return validate(model, valid_tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, nargs="?", help="a text to learn")
    parser.add_argument("--updates", type=int, default=400)
    arguments = parser.parse_args()
    train_tokens, valid_tokens, size = load(arguments.file)
    print(f"{len(train_tokens):,} training characters, {size} different ones; uniform loss {math.log(size):.3f}")
    for name, encoding in ENCODINGS.items():
        began = time.monotonic()
        loss = train(encoding, train_tokens, valid_tokens, size, arguments.updates)
        print(f"{name:16} validation loss {loss:.3f}   {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
