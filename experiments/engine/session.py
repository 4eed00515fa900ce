"""From a validated config to a finished record: plan, lock, resume, train, evaluate, and close whatever happens."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from data_prep.api import check, load_manifest
from data_prep.core.errors import DataError
from experiments.config import identity, run_directory
from experiments.engine import checkpoints
from experiments.engine.disk import bytes_needed, check_reserve, check_space, written_below
from experiments.engine.distributed import (
    DistributedContext,
    arithmetic_of,
    attention_backend,
    encoding_backend,
    find_context,
)
from experiments.engine.families import family_of
from experiments.engine.plan import Plan, make_plan
from experiments.engine.progress import MFU, Row, RunProgress, peak_memory
from experiments.engine.run import cpu_threads, median_speed, median_utilization, train
from experiments.engine.samples import settled
from experiments.engine.signals import Interrupted, Stopping
from experiments.engine.translate import fairseq_config
from experiments.launch.command import repeatable_command
from experiments.launch.exit_codes import REQUEUE
from experiments.launch.submitit_jobs import requeue
from experiments.runs.expected import Watch
from experiments.runs.provenance import build_manifest
from experiments.runs.records import RunFolder, shown_metrics
from experiments.tracking.tracker import Tracker
from experiments.util.cards import find_card
from experiments.util.errors import UserError
from experiments.util.files import remove_partials

LOGGER = logging.getLogger(__name__)


def train_requirements(config: DictConfig) -> int:
    """Train the unfinished runs that a run starts from; the exit code of the first that does not finish, else 0.

    Raises:
        UserError: as :func:`train_run`.
    """
    for required in family_of(config).requirements(config):
        folder = run_directory(required)
        record = RunFolder(folder).load()
        if (record is None or not record.finished) and (code := train_run(required, folder, wait=True)):
            return code
    return 0


def train_run(config: DictConfig, folder: Path, wait: bool = False) -> int:
    """Train, resume or repair one run, and before it the runs that it needs; the exit code is 0, 1 (it failed), 130
    (Ctrl-C) or :data:`experiments.launch.exit_codes.REQUEUE`.

    Args:
        config: validated.
        folder: the run's.
        wait: for another process that trains this very run, instead of refusing.

    Raises:
        UserError: a user-fixable problem that keeps this run from starting.
    """
    if code := train_requirements(config):
        return code
    place = find_context(config.engine.device)
    arithmetic = arithmetic_of(config.recipe.precision, place.cuda)
    data = _check_data(config)
    settled_config = settled(config, place)
    plan = make_plan(settled_config, place.world_size)
    name = run_name(config)
    fairseq = fairseq_config(settled_config, folder, place)
    runs = RunFolder(folder)
    if not place.is_first:
        with written_below(folder, name):
            return _follow(config, fairseq, folder, place, plan, name)
    with written_below(folder, name), runs.lock(wait):
        record = runs.load()
        if record is not None and record.finished:
            return 0  # another process finished it while this one waited to start
        remove_partials(runs.checkpoints)
        found = checkpoints.newest_readable(runs.checkpoints)
        rows = plan.updates // config.engine.log_interval
        check_space(runs.checkpoints, bytes_needed(plan.checkpoint_bytes, config.engine.keep_checkpoints, rows))
        start = found[1] if found else 0
        print(plan.text(f"{config.experiment.name} {config.protocol.name} | {name} | {folder}", place.world_size))
        if found:
            print(f"  resuming       from update {start:,} ({found[0].name})")
        if config.recipe.precision != "fp32":
            print(f"  precision      {config.recipe.precision}: {arithmetic}")
        described = family_of(config).describe(config)
        for what, facts in described.items():
            print(_shown(what, facts))
        sys.stdout.flush()
        runs.checkpoints.mkdir(parents=True, exist_ok=True)
        runs.write_config(OmegaConf.to_yaml(config))
        run = {
            "experiment": config.experiment.name,
            "encoding": config.encoding.label,
            **({"task": config.task.name} if "task" in config else {}),
            "protocol": config.protocol.name,
            "profile": config.profile.name,
            "data": config.data.name,
            "seed": config.seed,
            "identity": identity(config),
            "name": f"{name} ({config.protocol.name}, {config.profile.name})",
        }
        plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
        runs.begin(
            run,
            manifest=build_manifest(plain, data, repeatable_command())
            | {
                "encoding_backend": encoding_backend(place.cuda),
                "attention_backend": attention_backend(settled_config, place.cuda),
                "arithmetic": arithmetic,
                "samples_per_device": plan.samples,
                "compiled": settled_config.engine.compile,
            }
            | described,
            from_update=start,
            parameters={"total": plan.parameters, "encoding": plan.encoding_parameters},
        )
        if found:
            fairseq.checkpoint.restore_file = str(found[0])
        try:
            return _train(config, fairseq, runs, place, plan, start)
        except Interrupted as stop:
            interrupted = stop
    if interrupted.code == REQUEUE:
        requeue()
    return interrupted.code


def run_name(config: DictConfig) -> str:
    """What a person calls the run: encoding, task where there is one, seed."""
    task = f" {config.task.name}" if "task" in config else ""
    return f"{config.encoding.label}{task} seed {config.seed}"


def _shown(what: str, facts: dict[str, Any]) -> str:
    """Lines for a person, one a fact."""
    lines = [
        f"{key}: {', '.join(value) or 'none' if isinstance(value, list) else value}" for key, value in facts.items()
    ]
    return "\n".join(f"  {what if index == 0 else '':<14} {line}" for index, line in enumerate(lines))


def _train(
    config: DictConfig, fairseq: DictConfig, runs: RunFolder, place: DistributedContext, plan: Plan, start: int
) -> int:
    name = run_name(config)
    progress = RunProgress(
        name,
        plan.updates,
        plan.counting,
        start,
        flops_per_unit=None if plan.cost is None else plan.cost.flops.total / plan.counting.speed_units,
        peak_flops=peak_flops(config.recipe.precision, place),
    )
    stopping = Stopping()
    with ExitStack() as stack:
        stack.enter_context(cpu_threads(config.engine.threads))
        tracker = stack.enter_context(Tracker.start(config.tracker.mode, runs))
        watch = Watch(config, identity(config))

        def record(row: Row) -> None:
            check_reserve(runs.path)
            runs.append(row)
            tracker.check()
            if warning := watch.warning(row):
                LOGGER.warning(warning)

        progress.record = record
        stack.enter_context(stopping.on_signals())
        try:
            train(fairseq, runs.path / "train.log", progress, stopping, config.engine, config.recipe.precision)
            progress.close()
            metrics = family_of(config).final_metrics(config, runs.path, place)
            metrics["train_loss"] = next(
                (row["loss"] for row in reversed(runs.history()) if row["split"] == "train"), 0.0
            )
        except Interrupted as stop:
            progress.close()
            _close(runs, plan, progress, "interrupted", f"stopped by {stop}")
            LOGGER.info("%s: stopped at update %s; the same command resumes it", name, f"{progress.update:,}")
            raise
        except Exception as error:
            stopping.closing()
            progress.close()
            with suppress(OSError):  # a disk that fails takes no record either: the next start closes the segment
                _close(runs, plan, progress, "failed", f"{type(error).__name__}: {error}")
            raise
        stopping.closing()
        _close(runs, plan, progress, "finished", None, metrics)
    print(f"{name}: {shown_metrics(metrics)} -> {runs.path}")
    return 0


def _follow(
    config: DictConfig, fairseq: DictConfig, folder: Path, place: DistributedContext, plan: Plan, name: str
) -> int:
    """A rank other than the first: it trains along and writes nothing."""
    found = checkpoints.newest_readable(folder / "checkpoints")
    if found:
        fairseq.checkpoint.restore_file = str(found[0])
    progress, stopping = RunProgress(name, plan.updates, plan.counting), Stopping()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with stopping.on_signals(), cpu_threads(config.engine.threads):
            train(
                fairseq,
                folder / f"train.rank{place.rank}.log",
                progress,
                stopping,
                config.engine,
                config.recipe.precision,
            )
    except Interrupted as stop:
        return stop.code
    return 0


def peak_flops(precision: str, place: DistributedContext) -> float | None:
    """What all devices together can do a second; None on a CPU, and on a card that the table does not have."""
    card = find_card(torch.cuda.get_device_name(place.local_rank)) if place.cuda else None
    return card.peak(precision) * place.world_size if card else None


def _close(
    runs: RunFolder,
    plan: Plan,
    progress: RunProgress,
    status: str,
    error: str | None,
    metrics: dict[str, float] | None = None,
) -> dict[str, Any]:
    update, counting = plan.updates if status == "finished" else progress.update, plan.counting
    return runs.close(
        status,
        to_update=update,
        metrics=metrics,
        error=error,
        peak_memory_bytes=peak_memory(),
        **{
            counting.unit: update * counting.per_update,
            f"{counting.speed_unit}_per_second": median_speed(runs.history(), counting.speed_unit),
            **({MFU: share} if (share := median_utilization(runs.history())) else {}),
        },
    )


def _check_data(config: DictConfig) -> dict[str, Any]:
    folder = Path(config.data.folder)
    try:
        check(folder)
        return load_manifest(folder)
    except DataError as error:
        raise UserError(str(error)) from error
