"""Doing what is missing of a table: training runs, and measuring them further."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from experiments.launch.executors import Outcome, TaskExecutor, do_all
from experiments.launch.tasks import Task
from experiments.tables.aggregate import value_of
from experiments.tables.spec import Column

TAIL_LINES = 15


@dataclass(frozen=True)
class Failure:
    task: Task
    reason: str
    tail: str


def run_tasks(
    tasks: Sequence[Task], executor: TaskExecutor, columns: Sequence[Column], say: Callable[[str], None]
) -> list[Failure]:
    """Do ``tasks``; one that fails does not keep the others from running.

    Raises:
        Stopped, UserError: as :func:`~experiments.launch.executors.do_all`.
    """
    failures: list[Failure] = []
    done = count(1)

    def report(task: Task, outcome: Outcome) -> None:
        failure = _check(task, outcome)
        if failure is not None:
            failures.append(failure)
        took = f"finished in {outcome.seconds:,.0f} s" if outcome.seconds else "finished"
        shown = failure.reason if failure else f"{took}{_shown(task, columns)}"
        say(f"[{next(done)}/{len(tasks)}] {task.name}: {shown}")

    do_all(tasks, executor, report)
    return sorted(failures, key=lambda failure: tasks.index(failure.task))


def _check(task: Task, outcome: Outcome) -> Failure | None:
    if task.done():
        return None
    record, log = task.record(), outcome.log
    reason = outcome.problem or "ended without a finished record"
    if log is not None and log.exists():
        lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
        return Failure(task, reason, "\n".join(lines[-TAIL_LINES:]))
    error = record["error"] if record is not None else None
    return Failure(
        task,
        reason,
        str(error) if error else "its message is above, on the terminal" if log is None else "it wrote no log",
    )


def _shown(task: Task, columns: Sequence[Column]) -> str:
    """The first of the table's numbers that the task has brought."""
    record = task.record() or {}
    for column in columns:
        if column.metric and column.overrides == task.variant and (value := value_of(record, column)) is not None:
            return f", {column.header} {value:.{column.digits}f}"
    return ""
