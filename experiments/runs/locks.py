"""Who works on a folder: a lock beside it that its holder's end, however violent, releases."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from data_prep.core.locks import Held, locked
from experiments.util.errors import UserError

LOGGER = logging.getLogger(__name__)
PATIENCE_SECONDS = 1.0  # a look at a lock takes it for a moment; a process that wants to hold it waits longer


class InUse(UserError):
    """Another process holds what this one wants: ``path``, and ``by``, who that is."""

    def __init__(self, path: Path, by: str) -> None:
        super().__init__(f"{path} is in use by {by}; wait for it or stop it")
        self.path = path
        self.by = by


@contextmanager
def hold(path: Path, wait: bool = False, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the lock of ``path`` for this process.

    With ``wait``, what another process holds is waited for, and its holder said once; else for ``patience`` seconds.

    Raises:
        InUse: another process holds it; the message names host, process and job.
    """

    def say(by: str) -> None:
        LOGGER.info("%s is in use by %s; waiting for it", path, by)

    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path, patience=patience, wait=say if wait else None))
        except Held as other:
            raise InUse(path, other.by) from None
        yield
