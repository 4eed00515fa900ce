"""Train what is missing of a table, then render it: ``python -m experiments.table --help``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.errors import exit_on_user_error
from experiments.figures import Series, draw_training_curves
from experiments.records import Record, RunFolder
from experiments.tables.aggregate import Results, aggregate
from experiments.tables.files import write_table
from experiments.tables.grid import make_grid
from experiments.tables.plan import Plan, Resolve, make_plan, resolve_config
from experiments.tables.provenance import footer, unigram_line
from experiments.tables.request import parse_request
from experiments.tables.runner import Failure, Launch, Stopped, run_jobs
from experiments.tables.spec import load_reference, load_table
from experiments.tables.terminal import print_grid
from experiments.tracking import offline_segments

SHOWN_RUNS = 6  # a demo's; a longer list hides the table above it


def main(
    arguments: Sequence[str],
    *,
    resolve: Resolve = resolve_config,
    launch: Launch | None = None,
    console: Console | None = None,
) -> int:
    """The whole command; ``resolve`` (config to folder) and ``launch`` (command to exit code) can be replaced.

    Returns 0, 1 where runs failed, or 128 + signal where it was stopped.

    Raises:
        UserError: bad input, before anything is trained.
    """
    console = console or Console(soft_wrap=True, highlight=False)
    request = parse_request(arguments)
    spec = load_table(request.table)
    reference = load_reference(spec)
    plan = make_plan(spec, request, resolve)
    missing = plan.missing()
    if request.dry_run:
        _say_plan(plan, console)
        return 0
    failures: list[Failure] = []
    if missing and not request.render_only:
        _say(console, f"{spec.title}: {len(missing)} of {len(plan.jobs)} runs to train")
        logs = plan.results / "tables" / "logs" / request.stem
        try:
            failures = run_jobs(missing, request.jobs, logs, plan.columns[0], lambda text: _say(console, text), launch)
        except Stopped as stopped:
            _say(console, "stopped; finished runs are kept, and the same command goes on from the last checkpoints")
            return 128 + stopped.number
    records = plan.finished()
    results = aggregate(spec, plan.rows, plan.columns, request.protocols, len(plan.seeds), records, reference)
    _render(plan, results, console)
    for failure in failures:
        _say(console, f"\n{failure.job.name}: {failure.reason}\n{failure.tail}\n  {shlex.join(failure.job.command)}")
    if failures:
        _say(
            console,
            f"\n{len(failures)} of {len(missing)} runs failed; their cells are empty. The same command retries.",
        )
    return 1 if failures else 0


def _render(plan: Plan, results: Results, console: Console) -> None:
    request, records = plan.request, results.records
    grid = make_grid(results, footer(results, request.profile, request.overrides))
    written = write_table(plan.stem, results, grid)
    if len({job.variant for job in plan.jobs}) == 1:  # curves of several tasks do not belong on one axis
        written += draw_training_curves(_series(results), plan.stem, plan.spec.title)
    print_grid(grid, console)
    if baseline := unigram_line(records):
        _say(console, baseline)
    if lacking := len(plan.missing()):
        _say(console, f"{lacking} of {len(plan.jobs)} runs are not finished; their seeds are not in the means")
    _say(console, "\nwritten to:")
    for path in written:
        _say(console, f"  {path}")
    _say_offline_runs(records, plan, console)


def _series(results: Results) -> list[Series]:
    series = []
    for line in results.lines:
        for protocol in results.protocols:
            label = line.row.label + (f" ({protocol})" if len(results.protocols) > 1 else "")
            if runs := line.records[protocol]:
                series.append(Series(label, [RunFolder(record.folder).history() for record in runs]))
    return series


def _say_offline_runs(records: Sequence[Record], plan: Plan, console: Console) -> None:
    segments = [segment for record in records for segment in offline_segments(record.folder)]
    if not segments:
        return
    _say(console, "\nwandb runs kept offline:")
    for segment in segments[:SHOWN_RUNS]:
        _say(console, f"  {segment}")
    listed = shlex.join(str(segment) for segment in segments)
    if len(segments) > SHOWN_RUNS:
        _say(console, f"  and {len(segments) - SHOWN_RUNS} more")
        every = Path("runs", plan.spec.experiment, "*", "seed*", "wandb", "offline-run-*")
        listed = f"{shlex.quote(str(plan.results))}/{every}"
    _say(console, f"send them: wandb sync {listed}")


def _say_plan(plan: Plan, console: Console) -> None:
    for job in plan.jobs:
        record = job.record()
        status = "to train" if record is None else "finished" if record.finished else f"to resume ({record['status']})"
        _say(console, f"{job.name}: {status}  {job.folder}")
        if status != "finished":
            _say(console, f"    {shlex.join(job.command)}")
    for folder in plan.required():
        _say(console, f"trained before them: {folder}")
    _say(console, f"{len(plan.missing())} of {len(plan.jobs)} runs to train; nothing was started (dry_run=true)")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)


if __name__ == "__main__":
    exit_on_user_error(lambda: main(sys.argv[1:]))
