"""Which runs of a store a command is about: ``experiment=alm encoding=lrpe_*,rope seed=1 status=finished``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from experiments.runs.store import STATES, StoredRun, scan
from experiments.util.errors import UserError, nearest

FILTERS = ("experiment", "encoding", "protocol", "profile", "data", "seed", "status")


@dataclass
class Selection:
    """Filters over the runs below ``results``; each is a value, a pattern with ``*``, or several with commas."""

    results: str = field(default_factory=lambda: os.environ.get("LRPE_RESULTS", "results"))
    experiment: str | None = None
    encoding: str | None = None
    protocol: str | None = None
    profile: str | None = None
    data: str | None = None
    seed: str | None = None
    status: str | None = None

    def runs(self) -> list[StoredRun]:
        """The runs that pass every filter, in the store's order.

        Raises:
            UserError: ``results`` is no folder, or a filter's value is neither in the store nor a choice of ``conf/``.
        """
        if not Path(self.results).is_dir():
            raise UserError(f"results={self.results}: no such folder; give the one that holds runs/")
        found = scan(self.results)
        for key in FILTERS:
            if wanted := _words(getattr(self, key)):
                _check(key, wanted, found)
                found = [run for run in found if any(fnmatchcase(_value(run, key), word) for word in wanted)]
        return found


def _words(value: str | None) -> list[str]:
    return [word.strip() for word in (value or "").split(",") if word.strip()]


def _value(run: StoredRun, key: str) -> str:
    return run.state if key == "status" else run.keys[key]


def _check(key: str, wanted: Sequence[str], runs: Sequence[StoredRun]) -> None:
    """A word that can match nothing is a mistake; one that is possible and matches nothing is an empty answer."""
    if key == "seed":
        for word in wanted:
            if not word.replace("*", "").isdecimal() and word != "*":
                raise UserError(f"seed={word}: expected a number, or several with commas")
        return
    if key == "status":
        known = set(STATES)
    else:
        from experiments.config.groups import options_of  # torch, which reading a store does not need

        known = {run.keys[key] for run in runs} | set(options_of(key))
    for word in wanted:
        if not any(fnmatchcase(value, word) for value in known):
            raise UserError(f"{key}={word}: unknown{nearest(word, known)} (there are: {', '.join(sorted(known))})")
