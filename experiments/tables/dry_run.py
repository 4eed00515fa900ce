"""What ``dry_run=true`` says: the runs of a table, which of them exist, and how long the rest may take."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from experiments.runs.estimate import Estimates, total
from experiments.tables.measurements import missing_measurements
from experiments.tables.plan import Job, Needed, Plan
from experiments.util.console import duration


def plan_lines(plan: Plan) -> Iterator[str]:
    """One line a run and, for those that are missing, their command; sums at the end."""
    estimates = Estimates(plan.results)
    seconds = {run.folder: estimates.left(run.config, run.folder) for run in (*plan.missing(), *plan.required())}
    for job in plan.jobs:
        record = job.record()
        status = "to train" if record is None else "finished" if record.finished else f"to resume ({record['status']})"
        yield f"{job.name}: {status}{_shown(seconds, job)}  {job.folder}"
        if status != "finished":
            yield f"    {shlex.join(job.command)}"
    for run in plan.required():
        yield f"trained before them{_shown(seconds, run)}: {run.folder}"
    if measured := missing_measurements(plan, of_finished=False):
        yield f"{len(measured)} runs to measure at other lengths once they are trained (python -m experiments.evaluate)"
    missing = len(plan.missing())
    yield f"{missing} of {len(plan.jobs)} runs to train; nothing was started (dry_run=true)"
    if plan.unprepared:
        yield f"identities are open until the data is prepared: {plan.unprepared}"
    if seconds:
        yield f"time one after another: {_sum(seconds)}"


def _shown(seconds: Mapping[Path, float | None], run: Job | Needed) -> str:
    if run.folder not in seconds:
        return ""
    known = seconds[run.folder]
    return ", time unknown" if known is None else f", about {duration(known)}"


def _sum(seconds: Mapping[Path, float | None]) -> str:
    known, unknown = total(seconds.values())
    reason = "no finished run has their data, model, attention and batch"
    if unknown == len(seconds):
        return f"unknown ({reason})"
    rest = f", and {unknown} runs of unknown time ({reason})" if unknown else ""
    return f"about {duration(known)}, as finished runs of the same data, model, attention and batch took{rest}"
