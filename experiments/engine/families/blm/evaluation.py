"""Perplexity of masked tokens."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional as F

from experiments.engine.loading import batches, load, require_split
from experiments.engine.score import Score


def evaluate(
    path: Path, split: str, *, data: Path | None = None, sequences: int | None = None, cuda: bool = False
) -> Score:
    """exp(-1/M sum log p(token | text with M tokens masked)) of ``split``; the masking is the same for every
    checkpoint.

    Raises:
        UserError: unreadable checkpoint or data, an unknown split.
    """
    model, config, task = load(path, data)
    require_split(Path(config.task.data), split)
    padding = task.source_dictionary.pad()
    total, tokens = 0.0, 0
    with torch.inference_mode():
        for sample in batches(model, config, task, split, sequences, cuda):
            masked = sample["target"] != padding
            logits, _ = model(**sample["net_input"], masked_tokens=masked)
            total += float(F.cross_entropy(logits.float(), sample["target"][masked], reduction="sum"))
            tokens += int(masked.sum())
    return Score(total / tokens, tokens)
