"""One training run on fairseq: from a validated config to a finished record."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from fairseq.distributed import utils as distributed
from fairseq_cli.train import main as fairseq_main
from omegaconf import DictConfig

from experiments.engine import checkpoints, nonfinite, optimizer  # noqa: F401 - the optimizer registers itself
from experiments.engine.patches import forget_previous_run
from experiments.engine.progress import MFU, Row, RunProgress
from experiments.engine.signals import Stopping
from experiments.engine.tf32 import matrix_products
from experiments.util.log import log_to


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
    forget_previous_run()
    on_cpu = bool(fairseq.common.cpu and fairseq.common.amp)
    if on_cpu:  # fairseq's autocast is that of GPUs and does nothing here
        fairseq = copy.deepcopy(fairseq)
        fairseq.common.amp = False
    nonfinite.install(engine.max_skipped_updates, autocast=on_cpu)
    progress.check_validation = stopping.check_validation
    progress.install()
    with log_to(log), matrix_products(precision):
        distributed.call_main(fairseq, fairseq_main)  # pyright: ignore[reportArgumentType]
        stopping.leave_loop()


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Compute on ``count`` threads of the CPU; None: on as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def median_speed(rows: list[Row], unit: str) -> float | None:
    """Median ``unit`` (tokens, images) a second over the log intervals of a history."""
    speeds = [row[f"{unit}_per_second"] for row in rows if row.get(f"{unit}_per_second")]
    return statistics.median(speeds) if speeds else None


def median_utilization(rows: list[Row]) -> float | None:
    """Median share of the devices' peak over the log intervals of a history."""
    shares = [row[MFU] for row in rows if row.get(MFU)]
    return statistics.median(shares) if shares else None
