"""What a fine-tuned checkpoint answers, example by example, in the order of the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from experiments.engine.loading import batches, load, require_split


@dataclass(frozen=True)
class Predictions:
    """``answer`` holds numbers of classes or scores; ``target`` the truth and ``loss`` the mean loss (nats, or squared
    error), None where the split has no labels."""

    answer: np.ndarray
    target: np.ndarray | None
    loss: float | None
    metrics: tuple[str, ...]


def predict(
    path: Path, split: str, *, data: Path | None = None, sentences: int | None = None, cuda: bool = False
) -> Predictions:
    """The answers of a checkpoint for every example of ``split``.

    Raises:
        UserError: unreadable checkpoint or data, an unknown split.
    """
    model, config, task = load(path, data)
    require_split(Path(config.task.data) / "input0", split)
    head, regression = config.task.classification_head_name, config.task.regression_target
    found = batches(model, config, task, split, sentences, cuda)
    answer = np.zeros(len(task.dataset(split)), dtype=np.float64 if regression else np.int64)
    target: np.ndarray | None = None
    total = 0.0
    with torch.inference_mode():
        for sample in found:
            logits, _ = model(**sample["net_input"], features_only=True, classification_head_name=head)
            places = sample["id"].cpu().numpy()
            answer[places] = (logits.view(-1).float() if regression else logits.argmax(-1)).cpu().numpy()
            if "target" not in sample:
                continue
            truth = sample["target"].view(-1)
            target = np.zeros_like(answer) if target is None else target
            target[places] = truth.cpu().numpy()
            loss = F.mse_loss if regression else F.cross_entropy
            logits = logits.float().view(-1) if regression else logits.float()
            total += float(loss(logits, truth.float() if regression else truth, reduction="sum"))
    return Predictions(
        answer, target, None if target is None else total / len(answer), tuple(config.task.metrics.split(","))
    )
