"""timm's cosine as the authors' image script steps it: once an epoch, with the number of the epoch that has ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from fairseq.dataclass import FairseqDataclass
from fairseq.optim.lr_scheduler import FairseqLRScheduler, register_lr_scheduler
from omegaconf import II

NAME = "cosine_per_epoch"


@dataclass
class EpochCosineConfig(FairseqDataclass):
    lr: list[float] = II("optimization.lr")  # noqa: RUF009 - an interpolation is a string
    min_lr: float = field(default=1e-5, metadata={"help": "where the cosine ends"})
    warmup_init_lr: float = field(default=1e-6, metadata={"help": "of the first epochs"})
    warmup_updates: int = field(default=0, metadata={"help": "updates of linear warm-up"})
    total_updates: int = field(default=1, metadata={"help": "updates of the whole run: half a period of the cosine"})
    updates_per_epoch: int = field(default=1, metadata={"help": "updates between two changes of the rate"})


@register_lr_scheduler(NAME, dataclass=EpochCosineConfig)
class EpochCosine(FairseqLRScheduler):
    """The rate of every update, from its number alone, so that a resumed run has the same; see :func:`rate`."""

    def __init__(self, cfg: EpochCosineConfig, optimizer: Any) -> None:
        super().__init__(cfg, optimizer)
        self.step_update(0)

    def step_update(self, num_updates: int) -> float:
        cfg, optimizer = self.cfg, self.optimizer
        assert optimizer is not None, "fairseq builds schedules with their optimizer"
        length = cfg.updates_per_epoch
        optimizer.set_lr(
            rate(
                num_updates // length,
                epochs=cfg.total_updates / length,
                warmup_epochs=cfg.warmup_updates / length,
                peak=cfg.lr[0],
                start=cfg.warmup_init_lr,
                end=cfg.min_lr,
            )
        )
        return optimizer.get_lr()


def rate(epoch: int, *, epochs: float, warmup_epochs: float, peak: float, start: float, end: float) -> float:
    """The learning rate of epoch 0, 1, ...

    With t = max(epoch - 1, 0), the last epoch that had ended when the rate was set: ``start + t (peak - start) /
    warmup_epochs`` while t < warmup_epochs, then ``end + (peak - end) (1 + cos(pi t / epochs)) / 2``. The warm-up is
    not subtracted from t, so the rate never reaches ``peak`` (timm 0.4.12, ``CosineLRScheduler`` with its defaults).
    """
    last = max(epoch - 1, 0)
    if last < warmup_epochs:
        return start + last * (peak - start) / warmup_epochs
    return end + (peak - end) * (1 + math.cos(math.pi * min(last / epochs, 1))) / 2
