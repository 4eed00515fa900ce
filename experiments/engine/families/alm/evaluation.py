"""Perplexity of a checkpoint on a split, scored by fairseq's ``eval_lm``."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from fairseq import utils
from fairseq_cli.eval_lm import eval_lm
from omegaconf import open_dict

from experiments.engine.loading import load, prepare_model, require_split
from experiments.engine.score import Score
from experiments.util.errors import UserError


def evaluate(
    path: Path,
    split: str,
    *,
    data: Path | None = None,
    context_window: int | None = None,
    length: int | None = None,
    sequences: int | None = None,
    cuda: bool = False,
) -> Score:
    """Perplexity per token of ``split``, every block of ``length`` tokens scored on its own, or, with a context window,
    every token with at least that much context (Baevski & Auli 2019, as fairseq's ``--context-window``).
    ``context_window`` is by default the recipe's, as in the run's validations, and 0 at another ``length``.

    ``length`` is by default what the model was trained on. Another is scored with as many tokens at once, so that a
    longer one needs no more memory in linear attention.

    Raises:
        UserError: unreadable checkpoint or data, an unknown split, a length that the model has no positions for, a
            context window that leaves nothing to score.
    """
    model, config, task = load(path, data)
    trained = config.task.tokens_per_sample
    if context_window is None:
        context_window = int(task.args.context_window) if length is None else 0
    length = length or int(trained)
    if length > model.max_positions():
        raise UserError(f"length={length} exceeds the model's learned positions, {model.max_positions()}")
    if not 0 <= context_window < length:
        raise UserError(f"context_window={context_window}: expected 0 to {length - 1} (sequences have {length} tokens)")
    with open_dict(config):
        task.args.tokens_per_sample, task.args.context_window = length, context_window
    require_split(Path(config.task.data), split)
    prepare_model(model, config, cuda)
    task.load_dataset(split)
    batch = config.dataset.batch_size_valid or config.dataset.batch_size
    batches = task.eval_lm_dataloader(
        dataset=task.dataset(split),
        max_tokens=None,
        batch_size=sequences or max(1, batch * trained // length),
        max_positions=utils.resolve_max_positions(model.max_positions()),
        num_workers=0,
    )
    tokens = int(np.asarray(task.dataset(split).sizes, dtype=np.int64).sum())  # sizes can be 16 bits wide
    with torch.inference_mode():
        result = eval_lm([model], task.source_dictionary, batches, target_dictionary=task.target_dictionary)
    loss = float(result["loss"]) * math.log(2)
    return Score(loss, tokens)
