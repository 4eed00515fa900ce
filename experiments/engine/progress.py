"""fairseq's progress bar replaced by ours: the place where its statistics become history rows and a line to read."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from fairseq.logging import progress_bar
from tqdm import tqdm

from experiments.engine import patches
from experiments.engine.denominators import RATE
from experiments.engine.families import Counting
from experiments.util.console import duration

LN2 = math.log(2)
MFU = "model_flops_utilization"
Row = dict[str, Any]


class RunProgress:
    """One bar for a whole run, across epochs and validations, and the rows of ``history.jsonl``.

    Args:
        name: shown at the left.
        max_update: the last update.
        counting: what an update consists of, and what the rows say beside the loss.
        start_update: updates already done when this process began.
        record: receives every row; None on ranks other than the first.
        terminal: a moving bar, or plain lines. By default as standard error is.
        flops_per_unit: operations for each of what the speed counts; None: unknown.
        peak_flops: what all devices can do a second; None: unknown.
    """

    def __init__(
        self,
        name: str,
        max_update: int,
        counting: Counting,
        start_update: int = 0,
        record: Callable[[Row], None] | None = None,
        terminal: bool | None = None,
        flops_per_unit: float | None = None,
        peak_flops: float | None = None,
    ) -> None:
        self.name, self.max_update, self.counting = name, max_update, counting
        self.record = record
        self.flops_per_unit, self.peak_flops = flops_per_unit, peak_flops
        self.check_validation: Callable[[], None] = lambda: None
        self.start_update = self.update = start_update
        self.started = time.monotonic()
        self.terminal = sys.stderr.isatty() if terminal is None else terminal
        self._valid = ""
        self._printed = 0.0
        self._bar = None
        if record is not None and self.terminal:
            self._bar = tqdm(total=max_update, initial=start_update, desc=name, unit="update", dynamic_ncols=True)

    def install(self) -> None:
        """Make fairseq build its bars here."""
        patches.replace_progress_bar(self._build)

    def _build(self, iterator: Any, epoch: int | None = None, prefix: str | None = None, **_: Any) -> _Bar:
        return _Bar(iterator, epoch, prefix, self)

    def train_row(self, stats: Mapping[str, Any], update: int, epoch: int) -> None:
        row = self._row("train", stats, update, epoch)
        for ours, theirs in (
            ("learning_rate", "lr"),
            ("gradient_norm", "gnorm"),
            (f"{self.counting.speed_unit}_per_second", "wps"),
            ("loss_scale", "loss_scale"),
            (RATE, RATE),
        ):
            if theirs in stats:
                row[ours] = float(stats[theirs])
        if (share := self._utilization(row)) is not None:
            row[MFU] = share
        row["peak_memory_bytes"] = peak_memory()
        self._emit(row)
        self._show(row)

    def valid_row(self, stats: Mapping[str, Any], update: int, epoch: int) -> None:
        row = self._row("valid", stats, update, epoch)
        self._valid = self._figures(row)
        self._emit(row)
        self._show(row, always=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _row(self, split: str, stats: Mapping[str, Any], update: int, epoch: int) -> Row:
        loss = float(stats.get("nll_loss", stats["loss"])) * LN2  # fairseq counts in bits
        row = {
            "update": update,
            self.counting.unit: update * self.counting.per_update,
            "split": split,
            "loss": loss,
            "epoch": epoch,
            "wall_seconds": time.monotonic() - self.started,
        }
        if self.counting.perplexity:
            row["perplexity"] = math.exp(min(loss, 700.0))
        return row | {name: float(stats[name]) for name in self.counting.metrics if name in stats}

    def _emit(self, row: Row) -> None:
        if self.record is not None:
            self.record(row)

    def _show(self, row: Row, always: bool = False) -> None:
        if self.record is None:
            return
        self.update = row["update"]
        parts = [f"{row['split']} loss {row['loss']:.3f}", self._figures(row)]
        if row["split"] == "train" and self._valid:
            parts.append(f"valid {self._valid}")
        if (speed := row.get(f"{self.counting.speed_unit}_per_second")) is not None:
            parts.append(f"{speed:,.0f} {self.counting.speed_unit}/s")
        if MFU in row:
            parts.append(f"{row[MFU]:.1%} of peak")
        parts = [part for part in parts if part]
        if self._bar is not None:
            self._bar.n = self.update
            self._bar.set_postfix_str(", ".join(parts))
            return
        now = time.monotonic()
        if always or now - self._printed >= 5:
            self._printed = now
            left = f"{duration(self._seconds_left())} left"
            print(f"{self.name} {self.update}/{self.max_update} | " + " | ".join([*parts, left]), flush=True)

    def _utilization(self, row: Row) -> float | None:
        """Model FLOPs utilization (Chowdhery et al. 2022, appendix B), from 0 to 1; None where a factor is unknown."""
        speed = row.get(f"{self.counting.speed_unit}_per_second")
        if speed is None or not self.flops_per_unit or not self.peak_flops:
            return None
        return speed * self.flops_per_unit / self.peak_flops

    def _figures(self, row: Row) -> str:
        """What a person reads beside the loss: the perplexity, or the family's own metrics."""
        if "perplexity" in row:
            return f"ppl {row['perplexity']:.1f}"
        return " ".join(f"{name} {row[name]:.3f}" for name in self.counting.metrics if name in row)

    def _seconds_left(self) -> float:
        done = self.update - self.start_update
        if done <= 0:
            return 0.0
        return (time.monotonic() - self.started) / done * (self.max_update - self.update)


class _Bar(progress_bar.BaseProgressBar):
    """What fairseq calls; ``log`` comes at every log interval, ``print`` at the end of an epoch or a validation."""

    def __init__(self, iterable: Any, epoch: int | None, prefix: str | None, run: RunProgress) -> None:
        super().__init__(iterable, epoch, prefix)
        self.run = run
        self.validating = prefix is not None  # training has none; fairseq's own attribute begins with the epoch

    def __iter__(self) -> Iterator[Any]:
        for batch in self.iterable:
            if self.validating:
                self.run.check_validation()
            yield batch

    def log(self, stats: Mapping[str, Any], tag: str | None = None, step: int | None = None) -> None:
        self.run.train_row(stats, int(step or 0), self.epoch or 0)

    def print(self, stats: Mapping[str, Any], tag: str | None = None, step: int | None = None) -> None:
        if tag == "valid":
            self.run.valid_row(stats, int(step or 0), self.epoch or 0)


def peak_memory() -> int:
    """Largest memory so far in bytes: the GPU's where there is one, else the process's resident set."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
