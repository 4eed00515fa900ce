"""The pretrainings that a table's fine-tunings start from, as tasks of their own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from experiments.launch.tasks import label_of
from experiments.runs.records import Record, load_record
from experiments.tables.plan import Job, Plan


@dataclass(frozen=True)
class Pretraining:
    """The run in ``folder``, which ``job`` and others start from."""

    job: Job
    folder: Path
    variant: tuple[str, ...] = ("pretraining",)  # no column's: it brings no number of the table

    @property
    def name(self) -> str:
        return f"{self.job.row.key} ({self.job.protocol}) seed {self.job.seed}, pretraining"

    @property
    def stem(self) -> str:
        return f"{self.job.row.key}-{self.job.protocol}-seed{self.job.seed}-pretraining".replace("/", "_")

    @property
    def label(self) -> str:
        return label_of(self.folder, "train")

    @property
    def after(self) -> tuple[Path, ...]:
        return ()

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "experiments.pretrain", *self.job.overrides]

    def record(self) -> Record | None:
        return load_record(self.folder)

    def done(self) -> bool:
        record = self.record()
        return record is not None and record.finished


def missing_pretrainings(plan: Plan) -> list[Pretraining]:
    """Those that are not finished, each once, in the order of the runs that start from them."""
    found: dict[Path, Pretraining] = {}
    for job in plan.missing():
        for run in job.requires:
            found.setdefault(run.folder, Pretraining(job, run.folder))
    return [task for task in found.values() if not task.done()]
