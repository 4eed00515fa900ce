"""Perplexity of masked tokens."""

from __future__ import annotations

from pathlib import Path

import torch
from fairseq import utils
from torch.nn import functional as F

from experiments.engine.loading import load, require_split
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
    if cuda:
        model.cuda()
    task.load_dataset(split)
    batches = task.get_batch_iterator(
        dataset=task.dataset(split),
        max_sentences=sequences or config.dataset.batch_size,
        max_positions=utils.resolve_max_positions(task.max_positions(), model.max_positions()),
        required_batch_size_multiple=1,
        epoch=1,
    ).next_epoch_itr(shuffle=False, set_dataset_epoch=False)
    padding = task.source_dictionary.pad()
    total, tokens = 0.0, 0
    with torch.inference_mode():
        for batch in batches:
            sample = utils.move_to_cuda(batch) if cuda else batch
            masked = sample["target"] != padding
            logits, _ = model(**sample["net_input"], masked_tokens=masked)
            total += float(F.cross_entropy(logits.float(), sample["target"][masked], reduction="sum"))
            tokens += int(masked.sum())
    return Score(total / tokens, tokens)
