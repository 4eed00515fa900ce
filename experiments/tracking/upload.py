"""One run brought to wandb: the server's rows become those of ``history.jsonl``, through wandb's public API.

A config and a seed have one wandb run, whose id follows from both. The server is asked what it has. Rows that agree
with the history stay, and the updates after them are sent. Where an attempt was killed after its last checkpoint, the
updates that were trained again are taken back first (wandb's "rewind", which not every server offers).
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

from experiments.runs.records import Record, RunFolder
from experiments.tracking.rows import AXES, as_wandb_row, as_wandb_rows, as_wandb_summary, equal, same
from experiments.tracking.setup import Limits, description, run_settings
from experiments.tracking.waiting import GRACE_SECONDS, no_longer_than
from experiments.util.errors import UserError
from experiments.util.plain_yaml import read_mapping
from experiments.util.secrets import mask_config

LOOK_SECONDS = 1.0
Rows = Mapping[int, Mapping[str, Any]]


class Incomplete(Exception):
    """After the end of an upload the server does not have what was sent."""


@dataclass(frozen=True)
class Upload:
    """What an upload did.

    Args:
        url: of the run on the server.
        updates: that the history has rows of.
        sent: of these, in this upload; None where the server had everything, its summary and state included.
        outdated: updates that a killed attempt sent, that were trained again, and that the server cannot take back.
    """

    url: str
    updates: int
    sent: int | None
    outdated: int = 0


@dataclass(frozen=True)
class Stored:
    """What the server has of a run."""

    url: str = ""
    state: str = ""
    rows: Rows = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)

    def agreed(self, expected: Rows) -> int:
        """How many rows, from the first one on, are the expected ones."""
        pairs = enumerate(zip(sorted(self.rows), expected, strict=False))
        wrong = (n for n, (step, other) in pairs if step != other or not same(self.rows[step], expected[step]))
        return next(wrong, min(len(self.rows), len(expected)))

    def is_closed_as(self, record: Record) -> bool:
        states = ("finished",) if record.finished else ("failed", "crashed")
        summary = as_wandb_summary(record)
        return self.state in states and all(equal(self.summary.get(name), summary[name]) for name in summary)


class Server:
    """wandb's public API, for one run."""

    def __init__(self, wandb: ModuleType, config: Mapping[str, Any], record: Record, limits: Limits) -> None:
        self._wandb = wandb
        self._connect = partial(wandb.Api, timeout=math.ceil(limits.start))
        self._api = self._connect()
        tracker = config.get("tracker") or {}
        self.run_id = wandb_id(record)
        self.project = tracker.get("project") or "lrpe"
        self.entity = tracker.get("entity") or self._api.settings.get("entity") or self._api.default_entity
        self._settings = partial(run_settings, wandb, limits)  # wandb.init writes into what it is given
        self._described = {**description(record, config), "config": mask_config(config)}

    def read(self) -> Stored:
        try:
            run = self._api.run(f"{self.entity}/{self.project}/{self.run_id}")
        except self._wandb.errors.CommError:  # there is no such run; a server that fails does so again at the next call
            return Stored()
        rows = {
            int(row["_step"]): {name: value for name, value in row.items() if not name.startswith("_")}
            for row in run.scan_history(use_cache=False)
        }
        return Stored(run.url, run.state, rows, dict(run.summary.items()))

    def open(self, folder: str, rewind_to: int | None) -> Any:
        """The wandb run, which goes on after ``rewind_to``; after what the server has where that is None, or where the
        server does not rewind."""
        start = partial(
            self._wandb.init,
            project=self.project,
            entity=self.entity,
            dir=folder,
            mode="online",
            reinit="finish_previous",
            **self._described,
        )
        run = None
        if rewind_to is not None:
            try:
                run = start(resume_from=f"{self.run_id}?_step={rewind_to}", settings=self._settings())
            except self._wandb.errors.Error:
                self._wandb.teardown()  # wandb's service, which else takes the id for one in use
                self._api = self._connect()
        run = run or start(id=self.run_id, resume="allow", settings=self._settings())
        for name in AXES:
            run.define_metric(name)
        for split in ("train", "valid"):
            run.define_metric(f"{split}/*", step_metric="update")
        return run

    def wait_for(self, expected: Rows, seconds: float) -> None:
        """wandb gives an upload up without a word to its caller, so the server is asked what it has.

        Raises:
            Incomplete: not all of ``expected`` after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while (found := self.read()).agreed(expected) != len(expected) or len(found.rows) != len(expected):
            if time.monotonic() > deadline:
                raise Incomplete(f"the server has {found.agreed(expected)} of {len(expected)} updates")
            time.sleep(LOOK_SECONDS)


def wandb_id(record: Mapping[str, Any]) -> str:
    """The id of a config and a seed: ``<identity>-seed<k>``."""
    return f"{record['run']['identity']}-seed{record['run']['seed']}"


def upload(wandb: ModuleType, folder: RunFolder, limits: Limits, goes_on: Callable[[], bool] = lambda: False) -> Upload:
    """Bring the server's rows, summary and state of a run to what its folder says.

    Args:
        wandb: the module (:func:`experiments.tracking.setup.import_wandb`).
        folder: of the run; nobody else may upload it at the same time.
        limits: of every wait.
        goes_on: waits a moment, and says whether the run is still trained; rows are sent until it is not.

    Raises:
        Exception: whatever wandb raises; ``TimeoutError`` where it does not answer; :class:`Incomplete`.
    """
    if (record := folder.load()) is None:
        raise UserError(f"{folder.record_path} is missing")
    with no_longer_than(2 * limits.start + GRACE_SECONDS):
        server = Server(wandb, read_mapping(folder.config_path), record, limits)
        stored = server.read()
    history = folder.history()
    expected = as_wandb_rows(history)
    agreed = stored.agreed(expected)
    stale = agreed < len(stored.rows)
    follow = goes_on()
    if not follow and not stale and agreed == len(expected) and stored.is_closed_as(record):
        return Upload(stored.url, len(expected), sent=None)
    with tempfile.TemporaryDirectory(prefix="lrpe-wandb-", ignore_cleanup_errors=True) as place:
        with no_longer_than(2 * limits.start + GRACE_SECONDS):
            run = server.open(place, rewind_to=[0, *sorted(stored.rows)][agreed] if stale else None)
        first, done = int(run.starting_step), 0
        while True:
            for row in history[done:]:
                if row["update"] >= first:
                    with no_longer_than(limits.start):
                        run.log(as_wandb_row(row), step=row["update"])
            done = len(history)
            if not follow:
                break
            follow = goes_on()
            history = folder.history()
        record = folder.load() or record
        summary = as_wandb_summary(record)
        if stored.summary.get("error"):
            summary.setdefault("error", "")  # of an earlier attempt
        expected = as_wandb_rows(history)
        before = {step: row for step, row in stored.rows.items() if step < first}
        after = {step: row for step, row in expected.items() if step >= first}
        with no_longer_than(2 * limits.finish + GRACE_SECONDS):
            run.summary.update(summary)
            run.finish(exit_code=0 if record.finished else 1)
            server.wait_for({**before, **after}, limits.finish)
    outdated = sum(step not in expected or not same(row, expected[step]) for step, row in before.items())
    return Upload(run.url, len(expected), len(after), outdated)
