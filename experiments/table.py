"""Train what is missing of a table, then render it: ``python -m experiments.table --help``."""

from __future__ import annotations

from experiments.launch.early_signals import exit_on_signals

if __name__ == "__main__":
    exit_on_signals()  # before the imports that take seconds

import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rich.console import Console

from experiments.figures import Series, draw_training_curves
from experiments.launch.at_once import runs_at_once
from experiments.launch.executors import LocalExecutor
from experiments.launch.exit_codes import code_after
from experiments.launch.processes import Launch, Stopped
from experiments.launch.slurm.executor import SlurmExecutor
from experiments.launch.slurm.script import sbatch_options
from experiments.launch.slurm.settings import slurm_settings
from experiments.launch.tasks import Task
from experiments.runs.records import RunFolder
from experiments.tables.aggregate import Results
from experiments.tables.dry_run import plan_lines
from experiments.tables.files import write_table
from experiments.tables.measurements import missing_measurements
from experiments.tables.plan import Plan, Resolve, make_plan, resolve_config
from experiments.tables.pretraining import missing_pretrainings
from experiments.tables.progress import is_animated, shown_progress
from experiments.tables.provenance import unigram_line
from experiments.tables.reference import check_references, load_reference
from experiments.tables.rendering import render
from experiments.tables.request import REFERENCES, parse_request
from experiments.tables.runner import Failure, run_tasks
from experiments.tables.siblings import check_siblings, load_siblings
from experiments.tables.spec import ROOT, load_table
from experiments.tables.summary import next_steps, summary
from experiments.tables.terminal import print_grid
from experiments.util.errors import exit_on_user_error


def main(
    arguments: Sequence[str],
    *,
    resolve: Resolve = resolve_config,
    launch: Launch | None = None,
    console: Console | None = None,
) -> int:
    """The whole command; ``resolve`` (config to folder) and ``launch`` (command to exit code) can be replaced.

    Returns 0, 1 where runs failed, or what :func:`experiments.launch.exit_codes.code_after` says where it was stopped.

    Raises:
        UserError: bad input, before anything is trained.
    """
    console = console or Console(soft_wrap=True, highlight=False)
    if list(arguments) == [REFERENCES]:
        _say_references(console)
        return 0
    request = parse_request(arguments)
    spec = load_table(request.table)
    load_reference(spec)  # a fault in published figures is found before anything is trained
    load_siblings(spec)
    if request.dry_run and resolve is resolve_config:
        resolve = partial(resolve_config, open_identity=True)
    plan = make_plan(spec, request, resolve)
    missing = plan.missing()
    if request.dry_run:
        for line in plan_lines(plan):
            _say(console, line)
        if request.launching.on_slurm:
            _say(console, f"each as a job: sbatch {shlex.join(sbatch_options(_slurm_settings(plan)))}")
        return 0
    failures: list[Failure] = []
    tasks: list[Task] = []
    if not request.render_only:
        try:
            if not request.launching.wait:
                return _leave(plan, console)
            if missing:
                _say(console, f"{spec.title}: {len(missing)} of {len(plan.jobs)} runs to train")
                before = missing_pretrainings(plan) if request.launching.on_slurm else []
                tasks += [*before, *missing]
                failures += _do(tasks, plan, console, launch)
            if measurements := missing_measurements(plan):
                _say(console, f"{spec.title}: {len(measurements)} finished runs to measure at other lengths")
                tasks += measurements
                failures += _do(measurements, plan, console, launch)
        except Stopped as stopped:
            return code_after(stopped.number)
    results = _show(plan, console)
    if lines := summary(results):
        _say(console, "\nwhat it shows:")
        for line in lines:
            _say(console, f"  {line}")
    if request.profile == "demo" and not failures:
        _say(console, "\nnext:")
        for step in next_steps(plan, results):
            _say(console, f"  {step}")
    for failure in failures:
        _say(console, f"\n{failure.task.name}: {failure.reason}\n{failure.tail}\n  {shlex.join(failure.task.command)}")
    if failures:
        _say(
            console, f"\n{len(failures)} of {len(tasks)} runs failed; their cells are empty. The same command retries."
        )
    return 1 if failures else 0


def _do(tasks: Sequence[Task], plan: Plan, console: Console, launch: Launch | None) -> list[Failure]:
    launching = plan.request.launching
    with shown_progress(tasks, console) as say:
        executor = (
            _slurm_executor(plan, say) if launching.on_slurm else _local_executor(tasks, plan, console, launch, say)
        )
        try:
            return run_tasks(tasks, executor, plan.columns, say)
        except Stopped:
            say(executor.farewell)
            raise


def _local_executor(
    tasks: Sequence[Task], plan: Plan, console: Console, launch: Launch | None, say: Callable[[str], None]
) -> LocalExecutor:
    at_once = plan.request.launching.jobs or runs_at_once([getattr(task, "config", {}) for task in tasks])
    logs = plan.results / "tables" / "logs" / plan.request.stem if at_once > 1 or is_animated(console) else None
    if logs is not None:
        say(f"{at_once} at a time; their output: {logs}")
    return LocalExecutor(at_once, logs, say, launch)


def _leave(plan: Plan, console: Console) -> int:
    """Give every missing task a job, those included that wait for others."""
    executor = _slurm_executor(plan, lambda text: _say(console, text))
    for task in [*missing_pretrainings(plan), *plan.missing(), *missing_measurements(plan, of_finished=False)]:
        executor.submit(task)
    executor.begin()
    _say(console, "the same command without wait=false waits for the jobs; render_only=true renders what is finished")
    return 0


def _slurm_executor(plan: Plan, say: Callable[[str], None]) -> SlurmExecutor:
    return SlurmExecutor(plan.results, f"table-{plan.request.table}", _slurm_settings(plan), say)


def _slurm_settings(plan: Plan) -> dict[str, Any]:
    words = [f"experiment={plan.spec.experiment}", f"profile={plan.request.profile}"]
    return slurm_settings(words, plan.request.launching.settings)


def _show(plan: Plan, console: Console) -> Results:
    results, grid = render(plan)
    records = results.records
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
    if "tracker=offline" in plan.request.overrides:
        filters = f"experiment={plan.spec.experiment} status=finished results={plan.results}"
        _say(console, f"\nsend the runs to wandb: python -m experiments.runs upload {filters}")
    return results


def _series(results: Results) -> list[Series]:
    series = []
    for line in results.lines:
        for protocol in results.protocols:
            label = line.row.label + (f" ({protocol})" if len(results.protocols) > 1 else "")
            if runs := line.records[protocol]:
                series.append(Series(label, [RunFolder(record.folder).history() for record in runs]))
    return series


def _say_references(console: Console) -> None:
    """Check every file of published figures, and say how much of each is entered."""
    for path, (filled, cells) in check_references().items():
        _say(console, f"{path.relative_to(ROOT)}: {filled} of {cells} figures entered")
    for path, count in check_siblings().items():
        _say(console, f"{path.relative_to(ROOT)}: {count} figures entered, of a sibling paper")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)


if __name__ == "__main__":
    exit_on_user_error(lambda: main(sys.argv[1:]))
