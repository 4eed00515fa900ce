"""Losses and gradients that are not finite: such an update is skipped, and too many of them end the run by name.

Denominators near zero are counted on the way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from fairseq.logging import metrics
from fairseq.trainer import Trainer

from experiments.engine.denominators import Denominators, log_rate
from experiments.engine.patches import LOGGER, autocast_on_cpu, replace_trainer
from experiments.util.errors import UserError

CRASH = "crash.pt"  # fairseq's copy of the state that failed, which no command reads


class _NotFinite(Exception):
    """Leaves fairseq's update before the weights are touched."""


def install(max_skipped_updates: int, autocast: bool = False) -> None:
    """Make fairseq train with a :class:`CheckedTrainer`."""
    replace_trainer(partial(CheckedTrainer, max_skipped_updates=max_skipped_updates, autocast=autocast))


class CheckedTrainer(Trainer):
    """fairseq's trainer, which leaves out an update whose loss or gradient is NaN or infinite.

    fp16's dynamic loss scale has its own way with gradients that overflow, until it reaches its smallest scale.

    Args:
        max_skipped_updates: so many in a row are left out before the run stops.
        autocast: training's forward passes run under the CPU's autocast to bfloat16; validations in float32, as
            under fairseq's amp on a GPU.
    """

    def __init__(self, *arguments: Any, max_skipped_updates: int, autocast: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._max_skipped, self._skipped = max_skipped_updates, 0
        self._losses: list[torch.Tensor] = []
        self._denominators = Denominators(self.get_model())
        self.get_criterion().register_forward_hook(self._note_pass)
        if autocast:
            autocast_on_cpu(self.get_criterion())

    def train_step(self, samples: Sequence[Any], raise_oom: bool = False) -> Any:
        """One update; None where it was left out.

        Raises:
            UserError: more than ``max_skipped_updates`` in a row had to be; it names the first module that failed.
        """
        self._losses.clear()
        try:
            outcome = super().train_step(samples, raise_oom)
        except _NotFinite:
            self._skipped += 1
            if self._skipped > self._max_skipped:
                raise self._failure(samples) from None
            LOGGER.warning("update %d: loss or gradient is not finite; skipped", self.get_num_updates() + 1)
            self.zero_grad()
            return None
        self._skipped = 0
        return outcome

    def clip_grad_norm(self, clip_norm: float) -> torch.Tensor:
        try:
            norm = super().clip_grad_norm(clip_norm)
        except FloatingPointError:  # fp16 has no smaller loss scale
            raise _NotFinite from None
        if not self.cfg.common.amp and not self._all_finite(norm):
            raise _NotFinite
        return norm

    def save_checkpoint(self, filename: str, extra_state: dict[str, Any]) -> Any:
        if os.path.basename(filename) == CRASH:
            return None
        return super().save_checkpoint(filename, extra_state)

    def _note_pass(self, criterion: torch.nn.Module, inputs: Any, outputs: Any) -> None:
        if criterion.training:
            loss, _, logged = outputs
            self._losses.append(loss.detach())
            self._denominators.take(logged)

    def _reduce_and_log_stats(self, logging_outputs: Any, sample_size: Any, grad_norm: Any = None) -> Any:
        log_rate(logging_outputs)
        if grad_norm is None:
            return super()._reduce_and_log_stats(logging_outputs, sample_size)
        # As fairseq's, but for its reading of every average after every update, for which a GPU is waited for; nobody
        # reads what it returns. Averages are read when they are shown.
        if not self.cfg.common.amp or bool(torch.isfinite(grad_norm)):
            metrics.log_speed("ups", 1.0, priority=100, round=2)
            metrics.log_scalar("gnorm", grad_norm, priority=400, round=3)
            if (limit := self.cfg.optimization.clip_norm) > 0:
                metrics.log_scalar("clip", 100.0 * (grad_norm > limit), priority=500, round=1)
        with metrics.aggregate():
            self.task.reduce_metrics(logging_outputs, self.get_criterion())
        return {"sample_size": sample_size}

    def _all_finite(self, norm: torch.Tensor) -> bool:
        """The same answer on every rank: a gradient is shared, a loss is not."""
        values = torch.stack([value.float().to(norm.device).sum() for value in (norm, *self._losses)])
        bad = (~values.isfinite()).any().int()
        if self.data_parallel_world_size > 1:
            torch.distributed.all_reduce(bad, op=torch.distributed.ReduceOp.MAX)
        return not bool(bad)

    def _failure(self, samples: Sequence[Any]) -> UserError:
        found = self._first_bad_module(samples)
        if self.data_parallel_world_size > 1:
            gathered: list[str | None] = [None] * self.data_parallel_world_size
            torch.distributed.all_gather_object(gathered, found)
            found = next((place for place in gathered if place), None)
        skipped = f" after {self._max_skipped} skipped updates" if self._max_skipped else ""
        return UserError(
            f"update {self.get_num_updates() + 1}: loss or gradient is not finite{skipped}; "
            f"first in {found or 'nothing that a second pass finds'}. The last checkpoint is intact. Lower "
            "recipe.learning_rate, or let more updates be skipped by engine.max_skipped_updates"
        )

    def _first_bad_module(self, samples: Sequence[Any]) -> str | None:
        """Do the update's passes again, by the same random numbers, and watch every module."""
        self.zero_grad()
        self._set_seed()
        model = self.get_model()
        with _watched(model) as found:
            for sample in samples:
                prepared, dummy = self._prepare_sample(sample)
                self.task.train_step(
                    sample=prepared,
                    model=self.model,
                    criterion=self.criterion,
                    optimizer=self.optimizer,
                    update_num=self.get_num_updates(),
                    ignore_grad=dummy,
                )
                if found:
                    return found[0]
        if not all(_is_finite(loss) for loss in self._losses):
            return "the loss"
        bad = [name for name, weight in model.named_parameters() if not _is_finite(weight.grad)]
        return f"the gradient of {bad[0]}" if bad else None


@contextmanager
def _watched(model: torch.nn.Module) -> Iterator[list[str]]:
    """Yields a list of where values stopped being finite, in the order in which it happened."""
    found: list[str] = []

    def note(place: str, value: torch.Tensor) -> None:
        if not _is_finite(value):
            found.append(place)

    def look(name: str, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        for value in _tensors(output):
            note(f"the output of {name}", value)
            if value.requires_grad:
                value.register_hook(partial(note, f"the gradient that reaches the output of {name}"))

    hooks = [
        module.register_forward_hook(partial(look, name or type(model).__name__))
        for name, module in model.named_modules()
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _is_finite(value: torch.Tensor | None) -> bool:
    return value is None or not value.is_floating_point() or bool(value.detach().isfinite().all())
