"""Lengths beyond the training's: what a table measures on finished runs' checkpoints before it is rendered."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from experiments.launch.tasks import label_of
from experiments.runs.lengths import beyond_positions, lacking, length_of
from experiments.runs.records import Record, load_record
from experiments.tables.plan import Job, Plan


@dataclass(frozen=True)
class Measurement:
    """The evaluation of one finished run at further lengths; its record keeps what was measured."""

    job: Job
    lengths: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.job.name} at {' '.join(map(str, self.lengths))} tokens"

    @property
    def stem(self) -> str:
        return f"{self.job.stem}-lengths"

    @property
    def label(self) -> str:
        return label_of(self.folder, "lengths")

    @property
    def folder(self) -> Path:
        return self.job.folder

    @property
    def after(self) -> tuple[Path, ...]:
        return (self.job.folder,)

    @property
    def variant(self) -> tuple[str, ...]:
        return self.job.variant

    @property
    def command(self) -> list[str]:
        lengths = ",".join(map(str, self.lengths))
        device = (self.job.config.get("engine") or {}).get("device", "auto")
        words = [f"run={self.folder}", f"length={lengths}", "record=true", f"device={device}"]
        return [sys.executable, "-m", "experiments.evaluate", *words]

    def record(self) -> Record | None:
        return load_record(self.folder)

    def done(self) -> bool:
        record = self.record()
        return record is not None and not lacking(record["metrics"], self.lengths)


def missing_measurements(plan: Plan, *, of_finished: bool = True) -> list[Measurement]:
    """What the table's columns ask for and records do not hold, each run once; by default of the finished runs only.

    A length that a model has no positions for is not asked for.
    """
    found: dict[Path, Measurement] = {}
    for job in plan.jobs:
        record = job.record()
        finished = record is not None and record.finished
        if of_finished and not finished:
            continue
        lengths = [length for length in _lengths(plan, job) if not _beyond(job, length)]
        wanted = lacking(record["metrics"] if record is not None and finished else {}, lengths)
        if wanted:
            found.setdefault(job.folder, Measurement(job, tuple(wanted)))
    return list(found.values())


def unmeasurable(plan: Plan) -> list[str]:
    """One line for every row whose cells stay empty because its model ends before a length, and why."""
    lines: dict[str, None] = {}
    for job in plan.jobs:
        reasons = {length: reason for length in _lengths(plan, job) if (reason := _beyond(job, length))}
        if reasons:
            protocol = f" ({job.protocol})" if len(plan.request.protocols) > 1 else ""
            lengths = ", ".join(f"{length:,}" for length in reasons)
            lines[f"{job.row.key}{protocol}: empty at {lengths} tokens ({next(iter(reasons.values()))})"] = None
    return list(lines)


def _lengths(plan: Plan, job: Job) -> list[int]:
    lengths = (
        length_of(column.metric)
        for column in plan.columns
        if column.overrides == job.variant and column.has(job.row.key)
    )
    return sorted({length for length in lengths if length is not None})


def _beyond(job: Job, length: int) -> str | None:
    return beyond_positions(job.config, length) if job.config else None
