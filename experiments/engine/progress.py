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

LN2 = math.log(2)
Row = dict[str, Any]


class RunProgress:
    """One bar for a whole run, across epochs and validations, and the rows of ``history.jsonl``.

    Args:
        name: shown at the left.
        max_update: the last update.
        tokens_per_update: recipe.batch_sequences x recipe.tokens_per_sample (an epoch's last batch may hold fewer).
        start_update: updates already done when this process began.
        record: receives every row; None on ranks other than the first.
        terminal: a moving bar, or plain lines. By default as standard error is.
    """

    def __init__(
        self,
        name: str,
        max_update: int,
        tokens_per_update: int,
        start_update: int = 0,
        record: Callable[[Row], None] | None = None,
        terminal: bool | None = None,
    ) -> None:
        self.name, self.max_update, self.tokens_per_update = name, max_update, tokens_per_update
        self.record = record
        self.start_update = self.update = start_update
        self.started = time.monotonic()
        self.terminal = sys.stderr.isatty() if terminal is None else terminal
        self.valid_perplexity: float | None = None
        self._printed = 0.0
        self._bar = None
        if record is not None and self.terminal:
            self._bar = tqdm(total=max_update, initial=start_update, desc=name, unit="update", dynamic_ncols=True)

    def install(self) -> None:
        """Make fairseq build its bars here."""
        progress_bar.progress_bar = self._build

    def _build(self, iterator: Any, epoch: int | None = None, prefix: str | None = None, **_: Any) -> _Bar:
        return _Bar(iterator, epoch, prefix, self)

    def train_row(self, stats: Mapping[str, Any], update: int, epoch: int) -> None:
        row = self._row("train", stats, update, epoch)
        for ours, theirs in (
            ("learning_rate", "lr"),
            ("gradient_norm", "gnorm"),
            ("tokens_per_second", "wps"),
            ("loss_scale", "loss_scale"),
        ):
            if theirs in stats:
                row[ours] = float(stats[theirs])
        row["peak_memory_bytes"] = peak_memory()
        self._emit(row)
        self._show(row)

    def valid_row(self, stats: Mapping[str, Any], update: int, epoch: int) -> None:
        row = self._row("valid", stats, update, epoch)
        self.valid_perplexity = row["perplexity"]
        self._emit(row)
        self._show(row, always=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _row(self, split: str, stats: Mapping[str, Any], update: int, epoch: int) -> Row:
        loss = float(stats.get("nll_loss", stats["loss"])) * LN2  # fairseq counts in bits
        return {
            "update": update,
            "tokens": update * self.tokens_per_update,
            "split": split,
            "loss": loss,
            "perplexity": math.exp(min(loss, 700.0)),
            "epoch": epoch,
            "wall_seconds": time.monotonic() - self.started,
        }

    def _emit(self, row: Row) -> None:
        if self.record is not None:
            self.record(row)

    def _show(self, row: Row, always: bool = False) -> None:
        if self.record is None:
            return
        self.update = row["update"]
        parts = [f"{row['split']} loss {row['loss']:.3f}", f"ppl {row['perplexity']:.1f}"]
        if row["split"] == "train" and self.valid_perplexity is not None:
            parts.append(f"valid ppl {self.valid_perplexity:.1f}")
        if "tokens_per_second" in row:
            parts.append(f"{row['tokens_per_second']:,.0f} tokens/s")
        if self._bar is not None:
            self._bar.n = self.update
            self._bar.set_postfix_str(", ".join(parts))
            return
        now = time.monotonic()
        if always or now - self._printed >= 5:
            self._printed = now
            left = f"{_clock(self._seconds_left())} left"
            print(f"{self.name} {self.update}/{self.max_update} | " + " | ".join([*parts, left]), flush=True)

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

    def __iter__(self) -> Iterator[Any]:
        return iter(self.iterable)

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


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
