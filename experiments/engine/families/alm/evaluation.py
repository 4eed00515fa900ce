"""Perplexity of a checkpoint on a split, scored by fairseq's ``eval_lm``."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from fairseq import utils
from fairseq_cli.eval_lm import eval_lm
from omegaconf import open_dict

from experiments.engine.loading import load, require_split
from experiments.engine.score import Score
from experiments.errors import UserError


def evaluate(
    path: Path,
    split: str,
    *,
    data: Path | None = None,
    context_window: int = 0,
    sequences: int | None = None,
    cuda: bool = False,
) -> Score:
    """Perplexity per token of ``split``, every block of tokens_per_sample scored on its own, or, with a context window,
    every token with at least that much context (Baevski & Auli 2019, as fairseq's ``--context-window``).

    Raises:
        UserError: unreadable checkpoint or data, an unknown split, a context window that leaves nothing to score.
    """
    model, config, task = load(path, data)
    length = config.task.tokens_per_sample
    if not 0 <= context_window < length:
        raise UserError(f"context_window={context_window}: expected 0 to {length - 1} (tokens_per_sample is {length})")
    with open_dict(config):
        task.args.tokens_per_sample = length - context_window
    require_split(Path(config.task.data), split)
    if cuda:
        model.cuda()
    task.load_dataset(split)
    batches = task.eval_lm_dataloader(
        dataset=task.dataset(split),
        max_tokens=None,
        batch_size=sequences or config.dataset.batch_size,
        max_positions=utils.resolve_max_positions(model.max_positions()),
        num_workers=0,
        context_window=context_window,
    )
    tokens = int(np.asarray(task.dataset(split).sizes, dtype=np.int64).sum())  # sizes can be 16 bits wide
    with torch.inference_mode():
        result = eval_lm([model], task.source_dictionary, batches, target_dictionary=task.target_dictionary)
    loss = float(result["loss"]) * math.log(2)
    return Score(loss, tokens)
