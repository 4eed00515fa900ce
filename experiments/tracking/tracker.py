"""wandb as a view of a run: it never prompts, never prints, and never stops training.

``history.jsonl`` is the truth. One (config, seed) is one wandb run, with an id that follows from both; a resumed run
continues the same curve. Online, the server keeps what it has and is sent what it lacks. Offline runs of wandb cannot
be resumed, so a resumed run opens a new segment, replays the history up to its checkpoint and moves the older segments
to ``wandb/superseded/``: one ``wandb sync`` yields one whole curve. So does a run that could not be sent to its end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

from experiments.launch.ranks import read_ranks
from experiments.runs.records import now
from experiments.tracking.rows import AXES, as_wandb_row, as_wandb_summary
from experiments.tracking.service import GRACE_SECONDS, Upload, errors_of, no_longer_than, teardown
from experiments.tracking.setup import Limits, check_settings, has_credentials, init_run, mode_from_environment
from experiments.util.errors import UserError, nearest
from experiments.util.files import read_history

MODES = ("auto", "wandb", "offline", "disabled")
HISTORY = "history.jsonl"


def say_in(log: Path) -> Callable[[str], None]:
    """Say something on standard error and in a run's log."""

    def say(message: str) -> None:
        print(f"tracking: {message}", file=sys.stderr)
        with suppress(OSError), log.open("a", encoding="utf-8") as file:
            file.write(f"{now()} | WARNING | tracking | {message}\n")

    return say


class Tracker:
    """The tracker of one run; use it as a context manager, so that the wandb run is always finished.

    No call waits for wandb longer than :class:`~experiments.tracking.setup.Limits` says. What wandb loses is said once
    and written anew from the history, as an offline run; where that is lost too, tracking ends.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        folder: Path,
        limits: Limits,
        wandb: ModuleType | None = None,
        init: Callable[[bool], Any] | None = None,
    ) -> None:
        self._say, self._folder, self._limits = say, folder, limits
        self._wandb, self._init = wandb, init
        self._errors = errors_of(wandb) if wandb else ()
        self._run: Any = None
        self._online = self._replaced = False
        self._first_update = 0

    @classmethod
    def start(
        cls,
        mode: str,
        folder: Path | str,
        config: Mapping[str, Any],
        record: Mapping[str, Any],
        resume_update: int | None = None,
        say: Callable[[str], None] | None = None,
    ) -> Self:
        """Open (or continue) the wandb run of ``record["run"]`` below ``folder``.

        ``mode``: ``auto`` (``WANDB_MODE`` where it is set; else online where wandb has credentials, else offline),
        ``wandb`` (online), ``offline``, ``disabled`` (wandb is not imported). Ranks other than 0 track nothing.
        ``resume_update`` is the checkpoint's update; rows of ``history.jsonl`` up to it are replayed. ``say`` is by
        default :func:`say_in` the run's ``train.log``.

        Raises:
            UserError: an unknown mode or time limit, or ``wandb`` without credentials. Anything that wandb itself
                raises is said once, and tracking goes on offline, or ends.
        """
        folder = Path(folder)
        say = say or say_in(folder / "train.log")
        if mode not in MODES:
            raise UserError(f"tracker.mode={mode}: expected one of {', '.join(MODES)}{nearest(mode, MODES)}")
        chosen = mode_from_environment() or mode if mode == "auto" else mode
        if chosen == "disabled" or read_ranks().rank != 0:
            return cls(say, folder, Limits())
        limits = Limits.from_environment()
        os.environ.setdefault("WANDB_SILENT", "true")
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it prints, and waits, where no server can be reached
        import wandb

        check_settings(wandb)
        if chosen in ("auto", "wandb") and not has_credentials(wandb):
            if mode == "wandb":
                raise UserError(
                    "tracker=wandb needs credentials: run  wandb login , set WANDB_API_KEY, or tracker=offline"
                )
            if chosen == "wandb":
                say("WANDB_MODE asks for online tracking, but wandb has no credentials; tracking offline")
            chosen = "offline"
        history = [row for row in read_history(folder / HISTORY) if row["update"] <= (resume_update or 0)]
        init = partial(init_run, wandb, folder, config, record, wandb_id(record), limits)
        tracker = cls(say, folder, limits, wandb, init)
        tracker._begin(chosen != "offline", history)
        return tracker

    @property
    def active(self) -> bool:
        """Whether rows still reach wandb."""
        return self._run is not None

    def log(self, row: Mapping[str, Any]) -> None:
        """Send one row of the history: ``<split>/<name>`` for every number, against ``update``."""
        if self._run is None:
            return
        try:
            self._send(row)
        except self._errors as error:
            # The same row twice is one: wandb joins what has the same step.
            self._replace(f"wandb is lost ({_brief(error)})", [*read_history(self._folder / HISTORY), row])

    def finish(self, summary: Mapping[str, Any] | None = None) -> None:
        """Close the run as finished, with the final metrics (nested names are joined by ``/``) as its summary."""
        self._close({"status": "finished", **(summary or {})}, exit_code=0)

    def fail(self, error: str, status: str = "failed") -> None:
        """Close the run as ``failed`` or ``interrupted``."""
        self._close({"status": status, "error": error}, exit_code=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            stopped = issubclass(kind, (KeyboardInterrupt, SystemExit))
            self.fail(f"{kind.__name__}: {error}", status="interrupted" if stopped else "failed")

    def _begin(self, online: bool, history: Sequence[Mapping[str, Any]]) -> None:
        try:
            self._open(online, history)
        except self._errors as error:
            refused = any(sign in str(error) for sign in ("error 401", "API_KEY"))
            what = "refuses the key" if refused else "cannot be reached" if online else "failed"
            self._replace(f"wandb {what} ({_brief(error)})", history)

    def _open(self, online: bool, history: Sequence[Mapping[str, Any]]) -> None:
        with no_longer_than(self._limits.start + GRACE_SECONDS):
            run = self._init(online)
            for name in AXES:
                run.define_metric(name)
            for split in ("train", "valid"):
                run.define_metric(f"{split}/*", step_metric="update")
        self._run, self._online = run, online
        if online:
            self._first_update = int(run.step)
        for row in history:
            self._send(row)
        _supersede(self._folder / "wandb", run.id, keep=Path(run.dir).parent)

    def _send(self, row: Mapping[str, Any]) -> None:
        if row["update"] >= self._first_update:
            with no_longer_than(self._limits.start):
                # With its update as the step, a row that the server has already is not doubled when a run is resumed.
                self._run.log(as_wandb_row(row), step=row["update"])

    def _replace(self, why: str, history: Sequence[Mapping[str, Any]]) -> None:
        """Give the run up for an offline one, the first time; say why, and what becomes of it.

        ``wandb sync`` appends to what the server has, so the offline run begins after what was acknowledged.
        """
        lost, self._run = self._run, None
        teardown(self._wandb, self._errors)
        updates = sorted({row["update"] for row in history})
        if lost is not None and self._online and (sent := updates[: Upload.of(lost).lines]):
            self._first_update = max(self._first_update, sent[-1] + 1)
        again, self._replaced = self._replaced, True
        try:
            if not again:
                self._open(False, history)
        except self._errors:
            self._run = None
            teardown(self._wandb, self._errors)
        if self._run is None:
            self._say(f"{why}; training goes on, {HISTORY} keeps every row")
        else:
            self._say(f"{why}; tracking offline, send it later with: wandb sync {Path(self._run.dir).parent}")

    def _close(self, summary: Mapping[str, Any], exit_code: int) -> None:
        run = self._run
        if run is None:
            return
        try:
            with no_longer_than(self._limits.finish + GRACE_SECONDS):
                run.summary.update(as_wandb_summary(summary))
                run.finish(exit_code=exit_code)
            why = Upload.of(run).error if self._online else None
        except self._errors as error:
            why = _brief(error)
        if why is not None:
            self._replace(f"not everything reached wandb ({why})", read_history(self._folder / HISTORY))
            self._close(summary, exit_code)
        self._run = None


def wandb_id(record: Mapping[str, Any]) -> str:
    """The id that a config and a seed have, now and when they are resumed: ``<identity>-seed<k>``."""
    return f"{record['run']['identity']}-seed{record['run']['seed']}"


def offline_segments(folder: Path | str) -> list[Path]:
    """The offline runs of wandb in a run folder that are current and not yet synchronized."""
    segments = sorted((Path(folder) / "wandb").glob("offline-run-*"))
    return [segment for segment in segments if not any(segment.glob("*.synced"))]


def _supersede(root: Path, run_id: str, keep: Path) -> None:
    for segment in [*root.glob(f"offline-run-*-{run_id}"), *root.glob(f"run-*-{run_id}")]:
        if segment.resolve() != keep.resolve():
            (root / "superseded").mkdir(exist_ok=True)
            segment.rename(root / "superseded" / segment.name)


def _brief(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
