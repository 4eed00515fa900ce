"""wandb's own process beside a run: not waiting for it longer than agreed, and knowing how it fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import psutil

GRACE_SECONDS = 10.0  # beyond wandb's own time limits, for what it does not count


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Kill wandb's service process where the block takes longer: what waits for its answer, or for room in a full queue
    to it, raises then one of :func:`errors_of`."""
    timer = threading.Timer(seconds, _kill_service)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _kill_service() -> None:
    threading.excepthook = _show_failure
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if child.name() == "wandb-core":
                child.kill()


def _show_failure(failure: threading.ExceptHookArgs) -> None:
    """Of wandb's thread that asks its service for news, no traceback."""
    if failure.thread is None or failure.thread.name != "NetStatThr":
        threading.__excepthook__(failure)


@dataclass(frozen=True)
class Upload:
    """What became of an online run, by the log of wandb's service, which alone is told: how many lines of its history
    the server has acknowledged, and what ended the upload before its end."""

    lines: int = 0
    error: str | None = None

    @classmethod
    def of(cls, run: Any) -> Self:
        lines = sending = 0
        error = None
        with suppress(OSError), (Path(run.dir).parent / "logs" / "debug-internal.log").open(encoding="utf-8") as log:
            for line in log:
                with suppress(ValueError):
                    entry = json.loads(line)
                    message = entry["msg"]
                    if message == "filestream: sending request":
                        sending = max(sending, entry.get("history_offset", 0) + entry.get("history_lines", 0))
                    elif message == "filestream: request sent":
                        lines = sending
                    elif message.startswith("filestream: fatal error"):
                        error = message.rpartition("filestream: ")[2]
        return cls(lines, error)


def errors_of(wandb: ModuleType) -> tuple[type[BaseException], ...]:
    """What wandb raises when its server, its service process or the disk fails it."""
    kinds: list[type[BaseException]] = [wandb.errors.Error, OSError]
    try:
        from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError
        from wandb.sdk.mailbox.mailbox_handle import ServerResponseError
    except ImportError:  # private names: another version of wandb may not have them
        return tuple(kinds)
    return (*kinds, HandleAbandonedError, MailboxClosedError, ServerResponseError)


def teardown(wandb: ModuleType, errors: tuple[type[BaseException], ...]) -> None:
    """Let go of a service process in doubt: else a run id stays taken, and the interpreter complains at its end."""
    try:
        with no_longer_than(GRACE_SECONDS):
            wandb.teardown()
    except errors:
        return
