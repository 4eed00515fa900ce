"""Several processes that work on one study, as tasks of an executor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from experiments.launch.executors import LocalExecutor, Outcome, Say, TaskExecutor, do_all
from experiments.launch.launching import KEYS, is_launcher_word
from experiments.launch.processes import Stopped
from experiments.launch.slurm.executor import SlurmExecutor
from experiments.launch.slurm.settings import slurm_settings
from experiments.runs.records import Record
from experiments.tuning.request import Request
from experiments.tuning.study import Study

ON_SLURM = 4  # workers, where jobs= does not say how many


@dataclass(frozen=True)
class Worker:
    """``experiments.tune`` with the same study, in a process of its own: it draws trials until none is left."""

    number: int
    study: Study = field(compare=False)
    request: Request = field(compare=False)
    words: tuple[str, ...]
    after: tuple[Path, ...] = ()
    variant: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"worker {self.number}"

    @property
    def stem(self) -> str:
        return f"worker{self.number}"

    @property
    def label(self) -> str:
        return f"tuning-{self.request.study}-{self.stem}"

    @property
    def folder(self) -> Path:
        return self.request.folder / self.stem

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "experiments.tune", *self.words]

    def record(self) -> Record | None:
        return None

    def done(self) -> bool:
        return self.study.settled()


def workers_of(study: Study, request: Request, words: Sequence[str]) -> list[Worker]:
    """As many as were asked for; the words of the command say the same study, without where it runs."""
    own = tuple(word for word in words if word.partition("=")[0] not in KEYS and not is_launcher_word(word))
    count = request.launching.jobs or (ON_SLURM if request.launching.on_slurm else 1)
    return [Worker(number, study, request, own) for number in range(1, min(count, request.trials) + 1)]


def run_workers(workers: Sequence[Worker], request: Request, say: Say) -> None:
    """Begin the workers and, unless ``wait=false``, wait until they have ended, however they do.

    Raises:
        Stopped: a signal asked for the end.
        UserError: they cannot be begun.
    """
    if request.launching.on_slurm:
        settings = slurm_settings(request.overrides, request.launching.settings)
        slurm = SlurmExecutor(request.results, f"tune-{request.study}", settings, say)
        if not request.launching.wait:
            for worker in workers:
                slurm.submit(worker)
            slurm.begin()
            say("the same command without wait=false waits for the jobs and shows the best trials")
            return
        executor: TaskExecutor = slurm
    else:
        executor = LocalExecutor(len(workers), request.folder / "logs", say)
        say(f"{len(workers)} workers; their output: {request.folder / 'logs'}")

    def report(worker: Worker, outcome: Outcome) -> None:
        where = f"; its log: {outcome.log}" if outcome.log and str(outcome.log) not in outcome.problem else ""
        say(f"{worker.name}: {outcome.problem + where if outcome.problem else 'done'}")

    try:
        do_all(workers, executor, report)
    except Stopped:
        say(executor.farewell)
        raise
