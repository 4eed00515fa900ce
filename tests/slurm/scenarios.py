"""What tests have their jobs do; all of it begins together, since nearly all of a job's time is imports and waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.jobs import WORDS, Account, documented_script

MARK = "scenario"
Open = Callable[..., Account]


def scenario(function: Callable[..., Any]) -> pytest.MarkDecorator:
    """Mark a test with the function that submits its jobs and waits for them. It is called with the :class:`Scenarios`
    and the test's parameters; what it returns is the fixture ``outcome``."""
    return pytest.mark.scenario.with_args(function)


class Scenarios:
    """The scenarios of the collected tests: all begin together, and each test waits for its own."""

    def __init__(self, accounts: Open, items: list[pytest.Item]) -> None:
        self._accounts = accounts
        self._started: dict[Any, Future[Any]] = {}
        self._lock = threading.Lock()
        marked = [(item, mark) for item in items for mark in item.iter_markers(MARK)]
        self._pool = ThreadPoolExecutor(max(1, 2 * len(marked)))
        if marked:
            self.start(unbroken)  # first in the queue: nearly all tests compare with it
        for item, mark in marked:
            self.start(mark.args[0], **arguments_of(item))

    def start(self, function: Callable[..., Any], **arguments: Any) -> Future[Any]:
        """Start a scenario, once for each choice of arguments. One scenario may start another, to share its jobs."""
        key = (function.__module__, function.__name__, *sorted(arguments.items()))
        with self._lock:
            if key not in self._started:
                self._started[key] = self._pool.submit(function, self, **arguments)
            return self._started[key]

    def open(self, name: str, **variables: str) -> Account:
        return self._accounts(name, **variables)

    def whole(self) -> Path:
        """The run that no signal met: seed 1 of ``encoding=rope``, as every broken one."""
        return self.start(unbroken).result()


def arguments_of(item: Any) -> dict[str, Any]:
    return dict(getattr(getattr(item, "callspec", None), "params", {}))


def unbroken(scenarios: Scenarios) -> Path:
    account = scenarios.open("unbroken")
    account.sbatch(documented_script(), ["encoding=rope", *WORDS], ["--nodes=1", "--cpus-per-task=1"])
    return account.finished()[0]
