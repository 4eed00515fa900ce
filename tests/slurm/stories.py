"""What tests have their jobs do; all of it begins together, since nearly all of a job's time is imports and waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.jobs import WORDS, Account, documented_script

MARK = "story"
Open = Callable[..., Account]


def tells(story: Callable[..., Any]) -> pytest.MarkDecorator:
    """Mark a test with its story: a function of the :class:`Stories` and of the test's parameters."""
    return pytest.mark.story.with_args(story)


class Stories:
    """What the collected tests tell their jobs to do: all begin together, and each test waits for its own."""

    def __init__(self, accounts: Open, items: list[pytest.Item]) -> None:
        self._accounts, self._told = accounts, {}
        self._lock = threading.Lock()
        marked = [(item, mark) for item in items for mark in item.iter_markers(MARK)]
        self._pool = ThreadPoolExecutor(max(1, 2 * len(marked)))
        if marked:
            self.tell(unbroken)  # first in the queue: nearly all tests compare with it
        for item, mark in marked:
            self.tell(mark.args[0], **arguments_of(item))

    def tell(self, story: Callable[..., Any], **arguments: Any) -> Future[Any]:
        """The one telling of a story with these arguments. A story calls this for what it has in common with others."""
        key = (story.__module__, story.__name__, *sorted(arguments.items()))
        with self._lock:
            if key not in self._told:
                self._told[key] = self._pool.submit(story, self, **arguments)
            return self._told[key]

    def open(self, name: str, **variables: str) -> Account:
        return self._accounts(name, **variables)

    def whole(self) -> Path:
        """The run that no signal met: seed 1 of ``encoding=rope``, as every broken one."""
        return self.tell(unbroken).result()


def arguments_of(item: Any) -> dict[str, Any]:
    return dict(getattr(getattr(item, "callspec", None), "params", {}))


def unbroken(stories: Stories) -> Path:
    account = stories.open("unbroken")
    account.sbatch(documented_script(), ["encoding=rope", *WORDS], ["--nodes=1", "--cpus-per-task=1"])
    return account.finished()[0]
