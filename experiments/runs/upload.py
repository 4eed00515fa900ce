"""``python -m experiments.runs upload``."""

from __future__ import annotations

from types import ModuleType

from rich.console import Console

from experiments.runs.locks import hold
from experiments.runs.selection import Selection
from experiments.runs.store import StoredRun
from experiments.tracking.names import check_environment
from experiments.tracking.setup import NO_ACCOUNT, Limits, has_credentials, import_wandb
from experiments.tracking.upload import upload
from experiments.tracking.waiting import let_go, reason
from experiments.util import console as terminal
from experiments.util.errors import UserError


def upload_runs(arguments: Selection, console: Console) -> int:
    """Bring wandb to what each run's folder says, and say what was sent; 1 where a run could not be uploaded.

    Raises:
        UserError: no account, or settings that wandb refuses.
    """
    runs = arguments.runs()
    check_environment()
    limits, wandb = Limits.from_environment(), import_wandb()
    if not has_credentials(wandb):
        raise UserError(NO_ACCOUNT)
    failed = 0
    for run in runs:
        try:
            said = "is running; upload it when it has ended" if run.state == "running" else _upload(run, wandb, limits)
            terminal.say(console, f"{run.name}: {said}")
        except Exception as error:  # wandb's errors have no common class
            failed += 1
            terminal.say(console, f"{run.name}: {error if isinstance(error, UserError) else reason(error)}")
    let_go(wandb)
    missing = f", {failed} not uploaded; the same command goes on" if failed else ""
    terminal.say(console, f"{len(runs)} runs{missing}")
    return 1 if failed else 0


def _upload(run: StoredRun, wandb: ModuleType, limits: Limits) -> str:
    if run.record is None:
        raise UserError(str(run.problem))
    with hold(run.folder / "wandb"):
        done = upload(wandb, run.files, limits)
    if done.sent is None:
        return f"up to date, {done.updates:,} updates -> {done.url}"
    kept = f"; {done.outdated:,} sent by a killed attempt stay, this server takes none back" if done.outdated else ""
    return f"sent {done.sent:,} of {done.updates:,} updates{kept} -> {done.url}"
