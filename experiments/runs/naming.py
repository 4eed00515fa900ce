"""Finding the one run that a person means: a folder, ``identity``, ``encoding/seed``, or parts of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data_prep.core.errors import closest
from experiments.runs.store import StoredRun, open_run, scan
from experiments.util.errors import UserError

SHOWN = 6
_SEED = re.compile(r"(?:seed)?(\d+)$")


def find_run(name: str, results: Path | str) -> StoredRun:
    """The run called ``name``: its folder, or ``[experiment/]<which>[/seed]`` where ``which`` is an encoding, a prefix
    of an identity, or the folder's ``<encoding>-<identity>``, and the seed is ``1`` or ``seed1``.

    Raises:
        UserError: no run, or several, are called so; the message names the nearest, or all of them.
    """
    folder = Path(name)
    if (folder / "record.json").exists() or (folder / "config.yaml").exists():
        return open_run(folder)
    runs = scan(results)
    found = _matches(name, runs)
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"'{name}' is {len(found)} runs: {_listed(found)}; name one of them")
    if not runs:
        raise UserError(f"'{name}': there are no runs below {Path(results) / 'runs'} (results=... names another place)")
    raise UserError(f"no run '{name}'; the nearest: {_listed(_nearest(name, runs))}")


def _matches(name: str, runs: Sequence[StoredRun]) -> list[StoredRun]:
    parts = [part for part in name.strip("/").split("/") if part]
    seed = _SEED.match(parts[-1]) if len(parts) > 1 else None
    if seed:
        parts = parts[:-1]
    if not 1 <= len(parts) <= 2:
        return []
    *experiment, which = parts
    runs = [
        run
        for run in runs
        if (not experiment or run.keys["experiment"] == experiment[0])
        and (not seed or run.keys["seed"] == seed.group(1))
    ]
    # An encoding's full name is that encoding, also where it could begin an identity.
    exact = [run for run in runs if which in (run.keys["encoding"], run.folder.parent.name)]
    return exact or [
        run for run in runs if run.keys["identity"].startswith(which) or run.folder.parent.name.startswith(which + "-")
    ]


def _nearest(name: str, runs: Sequence[StoredRun]) -> list[StoredRun]:
    aliases: dict[str, StoredRun] = {}
    for run in runs:
        keys = run.keys
        for which in (keys["encoding"], keys["identity"], run.folder.parent.name):
            for alias in (which, f"{which}/{keys['seed']}", f"{which}/seed{keys['seed']}"):
                aliases.setdefault(alias, run)
                aliases.setdefault(f"{keys['experiment']}/{alias}", run)
    close = [aliases[alias] for alias in closest(name, aliases, count=12)]
    return list({run.folder: run for run in close or runs}.values())[:3]


def _listed(runs: Sequence[StoredRun]) -> str:
    more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
    return ", ".join(run.name for run in runs[:SHOWN]) + more
