"""One training run on fairseq: from a validated config to a finished record."""

from __future__ import annotations

import copy
import logging
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from fairseq.distributed import utils as distributed
from fairseq_cli.train import main as fairseq_main
from omegaconf import DictConfig

from experiments.engine import checkpoints, nonfinite, optimizer  # noqa: F401 - the optimizer registers itself
from experiments.engine.patches import LOGGER
from experiments.engine.progress import MFU, Row, RunProgress
from experiments.engine.signals import Stopping
from experiments.engine.tf32 import matrix_products


def train(
    fairseq: DictConfig, log: Path, progress: RunProgress, stopping: Stopping, engine: DictConfig, precision: str
) -> None:
    """Train as a FairseqConfig says, in TF32 where ``precision`` (``recipe.precision``) is that; fairseq's own lines go
    to the file ``log``.

    Raises:
        UserError: losses or gradients were not finite, more often than ``engine.max_skipped_updates``.
        Interrupted: ``stopping`` was asked by a signal.
    """
    checkpoints.install()
    stopping.install()
    checkpoints.forget_previous_run()
    threads = torch.get_num_threads()
    if engine.threads:
        torch.set_num_threads(engine.threads)
    on_cpu = bool(fairseq.common.cpu and fairseq.common.amp)
    if on_cpu:  # fairseq's autocast is that of GPUs and does nothing here
        fairseq = copy.deepcopy(fairseq)
        fairseq.common.amp = False
    nonfinite.install(engine.max_skipped_updates, autocast=on_cpu)
    progress.check_validation = stopping.check_validation
    progress.install()
    try:
        with log_to(log), matrix_products(precision):
            distributed.call_main(fairseq, fairseq_main)
            stopping.leave_loop()
    finally:
        torch.set_num_threads(threads)


def median_speed(rows: list[Row], unit: str) -> float | None:
    """Median ``unit`` (tokens, images) a second over the log intervals of a history."""
    speeds = [row[f"{unit}_per_second"] for row in rows if row.get(f"{unit}_per_second")]
    return statistics.median(speeds) if speeds else None


def median_utilization(rows: list[Row]) -> float | None:
    """Median share of the devices' peak over the log intervals of a history."""
    shares = [row[MFU] for row in rows if row.get(MFU)]
    return statistics.median(shares) if shares else None


def quiet() -> None:
    """fairseq and hydra set up logging to the terminal when imported; ours is the progress line, and their lines go to
    ``train.log``. A library's log that cannot be written prints no traceback either."""
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers[:] = []
    root.setLevel(logging.WARNING)


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """fairseq's many log lines go to a file; warnings and errors stay visible through exceptions."""
    root = logging.getLogger()
    previous, level = root.handlers[:], root.level
    handler = _LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s | %(levelname)s | %(name)s | %(message)s"))
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    LOGGER.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        LOGGER.setLevel(logging.WARNING)
        logging.captureWarnings(False)
        root.handlers[:] = previous
        root.setLevel(level)
        handler.close()


class _LogFile(logging.FileHandler):
    """A log whose disk fails the run, as its other files do, instead of printing a traceback a line."""

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exception(), OSError):
            raise
        super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):  # every line was flushed; the one that could not be has been said
            super().close()
