"""Stopping a run so that nothing is lost: a signal asks, a checkpoint answers, the same command goes on.

SIGTERM, SIGUSR1, SIGUSR2 (a scheduler's warnings) and SIGINT are noted, and obeyed after the current update (between
two epochs, the next one) or the current batch of a validation, by every rank at the same place. A validation that was
due is then owed: the resumed run does it first, so that its history and its best checkpoint are an unbroken run's.

The exit code says to start the same command again (:data:`experiments.launch.exit_codes.REQUEUE`); ``docs/clusters.md``
has the batch script that does. In a job of submitit's, the process requeues itself once the record is closed
(:mod:`experiments.launch.submitit_jobs`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

import torch
from fairseq import checkpoint_utils
from fairseq_cli import train as fairseq_train

from experiments.engine import patches
from experiments.launch.early_signals import WARNINGS
from experiments.launch.exit_codes import code_after

SIGNALS = (signal.SIGINT, *WARNINGS)
_validate_and_save = fairseq_train.validate_and_save
_train = fairseq_train.train
_load_checkpoint = checkpoint_utils.load_checkpoint


class Interrupted(BaseException):
    """A signal asked the run to stop; ``code`` is the exit code: 130 for a person's Ctrl-C, else to be requeued."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.code = code_after(number)


class _InValidation(BaseException):
    """Leaves a validation, for a checkpoint that owes it."""


@dataclass(frozen=True)
class _SavedIterator:
    """The iterator over an epoch as it stood when its checkpoint was written, for the validation that is owed."""

    state: dict[str, Any]

    @property
    def epoch(self) -> int:
        return int(self.state["epoch"]) - self.end_of_epoch()

    def end_of_epoch(self) -> bool:
        return self.state["iterations_in_epoch"] == 0

    def state_dict(self) -> dict[str, Any]:
        return self.state


class Stopping:
    """What a run knows of being asked to stop; :meth:`install` ties it into fairseq's loop."""

    def __init__(self) -> None:
        self._asked: int | None = None
        self._in_loop = False
        self._closing = False
        self._resumed: dict[str, Any] | None = None
        self._seen = 0

    def install(self) -> None:
        patches.replace_training_loop(self._epoch, self._after_update, self._load)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Note the signals inside; outside fairseq's loop, where nothing is unsaved, they raise at once.

        Raises:
            Interrupted: the run was asked to stop.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self._ask) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def leave_loop(self) -> None:
        """Called when the last update is saved: from here on a signal is obeyed at once, and now the one that came too
        late for the loop.

        Raises:
            Interrupted: the run was asked to stop.
        """
        self._in_loop = False
        if (number := self._agreed()) is not None:
            self._closing = True
            raise Interrupted(number)

    def closing(self) -> None:
        """From here on the run is being closed; further signals must not disturb that."""
        self._closing = True

    def check_validation(self) -> None:
        """Called at each batch of a validation."""
        if self._in_loop and self._agreed() is not None:
            raise _InValidation

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._closing:
            return
        impatient = number == signal.SIGINT and self._asked == signal.SIGINT
        self._asked = number
        if impatient or not self._in_loop:
            self._closing = True
            raise Interrupted(number)

    def _agreed(self) -> int | None:
        """The signal that any rank was sent, the same answer on every rank."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self._asked
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        flag = torch.tensor(self._asked or 0, device=device)
        torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
        return int(flag) or None

    def _load(self, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        self._resumed, iterator = _load_checkpoint(*arguments, **options)
        return self._resumed, iterator

    def _epoch(self, cfg: Any, trainer: Any, task: Any, epoch_itr: Any) -> tuple[list[float | None], bool]:
        """fairseq's ``train``, after what a resumed run owes; a run that has all its updates makes no more."""
        self._in_loop = True
        if self._resumed is not None:
            state, self._resumed = self._resumed, None
            self._seen = trainer.get_num_updates()
            if state["val_loss"] is None:
                saved = _SavedIterator(state["train_iterator"])
                self._validate_and_save(cfg, trainer, task, saved, saved.end_of_epoch())
        if trainer.get_num_updates() >= cfg.optimization.max_update:
            return [None], True
        return _train(cfg, trainer, task, epoch_itr)

    def _after_update(
        self, cfg: Any, trainer: Any, task: Any, epoch_itr: Any, subsets: list[str], end_of_epoch: bool
    ) -> tuple[list[float | None], bool]:
        updates = trainer.get_num_updates()
        left_out, self._seen = updates == self._seen, updates
        if self._agreed() is not None:
            self._stop(cfg, trainer, epoch_itr)
        if left_out:  # the update was skipped: what was due at this number has been done
            return [None], False
        return self._validate_and_save(cfg, trainer, task, epoch_itr, end_of_epoch)

    def _validate_and_save(
        self, cfg: Any, trainer: Any, task: Any, epoch_itr: Any, end_of_epoch: bool
    ) -> tuple[list[float | None], bool]:
        subsets = cfg.dataset.valid_subset.split(",")
        try:
            return _validate_and_save(cfg, trainer, task, epoch_itr, subsets, end_of_epoch)
        except _InValidation:
            self._stop(cfg, trainer, epoch_itr)

    def _stop(self, cfg: Any, trainer: Any, epoch_itr: Any) -> NoReturn:
        number = self._agreed() or signal.SIGTERM
        checkpoint_utils.save_checkpoint(cfg.checkpoint, trainer, epoch_itr, None)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()  # a rank that ends early makes torchrun end the one that still writes
        self._closing = True
        raise Interrupted(number)
