"""``hydra/launcher=slurm``: the runs of a sweep as one array of SLURM, submitted, or waited for if queued already."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.config import compose_row, run_directory
from experiments.config.overrides import key_of
from experiments.launch.executors import Outcome
from experiments.launch.exit_codes import code_after
from experiments.launch.processes import Stopped, stopping_on_signals
from experiments.launch.slurm.executor import SlurmExecutor
from experiments.launch.sweep import note_failed
from experiments.launch.tasks import label_of
from experiments.runs.records import Record, RunFolder
from experiments.util.errors import UserError


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep, by its overrides; ``job`` is its folder in the sweep's."""

    words: tuple[str, ...]
    folder: Path
    job: Path
    own: str
    after: tuple[Path, ...] = ()
    variant: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.own or shlex.join(self.words)

    @property
    def stem(self) -> str:
        return self.job.name

    @property
    def label(self) -> str:
        return label_of(self.folder, "train")

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "experiments.train", *self.words]

    def record(self) -> Record | None:
        return RunFolder(self.folder).load()

    def done(self) -> bool:
        return RunFolder(self.folder).finished() is not None


def run_all(
    jobs: Sequence[tuple[Path, Sequence[str]]], common: Sequence[str], results: Path, settings: Mapping[str, Any]
) -> None:
    """Submit the runs that are missing and have no job, and wait for all, unless ``settings["wait"]`` is false.

    Args:
        jobs: the folder where a run's failure is noted, and its overrides.
        common: the overrides that all of them have.
        results: the results folder.
        settings: as ``conf/hydra/launcher/slurm.yaml`` has them.

    Raises:
        UserError: SLURM is missing or refuses.
        SystemExit: a signal ended the waiting; the jobs go on.
    """
    executor = SlurmExecutor(results, "sweep", settings, _say)
    runs: list[SweptRun] = []
    for job, words in jobs:
        own = shlex.join(word for word in words if word not in common)
        try:
            config, idle = compose_row(words)
            read = tuple(word for word in words if key_of(word) not in idle)
            run = SweptRun(read, run_directory(config), job, own)
        except UserError as error:  # of this run; the others are submitted
            _say(f"{own}: {error}")
            note_failed(job, 2, f"error: {error}", words)
            continue
        for key, reason in idle.items():
            _say(f"{run.name}: '{key}' has no effect in this run: {reason}")
        if run.done():
            _say(f"{run.name}: finished before")
        else:
            runs.append(run)
    waiting = {executor.submit(run): run for run in runs}
    if not settings["wait"]:
        executor.begin()
        _say("the same command without hydra.launcher.wait=false waits for the jobs")
        return
    with executor, stopping_on_signals():
        try:
            executor.start()
            for done, future in enumerate(as_completed(waiting), start=1):
                _say(f"[{done}/{len(runs)}] {waiting[future].name}: {_ended(waiting[future], future.result())}")
        except Stopped as stopped:
            executor.stop(stopped.number)
            _say(executor.farewell)
            raise SystemExit(code_after(stopped.number)) from None


def _ended(run: SweptRun, outcome: Outcome) -> str:
    if run.done():
        return f"finished in {outcome.seconds:,.0f} s" if outcome.seconds else "finished"
    reason = outcome.problem or f"ended without a finished record; its log: {outcome.log}"
    note_failed(run.job, 1, reason, run.words)
    return reason


def _say(text: str) -> None:
    print(text, flush=True)
