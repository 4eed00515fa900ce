"""Perplexity of a checkpoint on a split, scored by fairseq's ``eval_lm``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import checkpoint_utils, tasks, utils
from fairseq_cli.eval_lm import eval_lm
from omegaconf import OmegaConf, open_dict

from experiments.engine import checkpoints
from experiments.errors import UserError


@dataclass(frozen=True)
class Score:
    """loss in nats a token; perplexity = exp(loss); tokens scored."""

    loss: float
    perplexity: float
    tokens: int


def load(path: Path, data: Path | None = None) -> tuple[Any, Any, Any]:
    """(model in evaluation mode, its fairseq config, its task) from a checkpoint; ``data`` replaces the data folder.

    Raises:
        UserError: the checkpoint or the data cannot be read.
    """
    state = checkpoints.read(path)
    config = OmegaConf.create(state["cfg"])
    if data is not None:
        config.task.data = str(data)
    if not (Path(config.task.data) / "dict.txt").is_file():
        raise UserError(f"no prepared data in {config.task.data}: give another folder with data.folder=...")
    task = tasks.setup_task(config.task)
    with open_dict(config):
        config.model.compile = False
    models, _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(path)], task=task, state={**state, "cfg": config}
    )
    return models[0].eval(), config, task


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
    if not (Path(config.task.data) / f"{split}.idx").is_file():
        splits = sorted(file.stem for file in Path(config.task.data).glob("*.idx"))
        raise UserError(f"split={split}: not in {config.task.data}, which has {', '.join(splits)}")
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
    return Score(loss=loss, perplexity=math.exp(loss), tokens=tokens)
