"""Who works on a folder: a lock beside it that its holder's end, however violent, releases."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from data_prep.core.locks import Held, holder_of, is_locked, locked
from experiments.util.errors import UserError

LOGGER = logging.getLogger(__name__)
PATIENCE_SECONDS = 1.0  # is_held() takes a lock for a moment; whoever wants to hold it outlasts that


class InUse(UserError):
    """Another process holds what this one wants: ``path``, and ``by``, who that is."""

    def __init__(self, path: Path, by: str) -> None:
        super().__init__(f"{path} is in use by {by}; wait for it or stop it")
        self.path = path
        self.by = by


@contextmanager
def hold(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold ``<path>.lock`` for this process, and say so in ``<path>.holder.json``, which a heartbeat keeps fresh.

    With ``wait``, what another process holds is waited for, and its holder said once.

    Raises:
        InUse: another process holds it; the message names host, process and job.
    """

    def say(by: str) -> None:
        LOGGER.info("%s is in use by %s; waiting for it", path, by)

    held = locked(lock_file(path), holder_file(path), patience=PATIENCE_SECONDS, wait=say if wait else None)
    with ExitStack() as stack:
        try:
            stack.enter_context(held)
        except Held as other:
            raise InUse(path, other.by) from None
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of ``path`` now; True where it cannot be tried (somebody else's folder)."""
    return is_locked(lock_file(path), holder_file(path))


def lock_file(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def holder_file(path: Path) -> Path:
    return path.with_name(path.name + ".holder.json")


def holder(path: Path) -> str:
    """Who holds the lock of ``path``, for a person: process, host and job."""
    return holder_of(holder_file(path))
