"""Create or update wandb's view of the project: a workspace view an experiment, and a report of all.

    python -m experiments.wandb_report [results=results] [project=lrpe] [entity=TEAM]

Panels follow the finished runs below `results`: curves grouped by encoding with the range over seeds as a band, bars of
the final metrics, and a table of means and deviations. The runs themselves come from tracking (tracker=wandb) or from
`python -m experiments.runs upload`. What was created is remembered in <results>/wandb_views.json and updated next time.

Keys:
    project    wandb's project                                                   [lrpe]
    entity     the user or team that it belongs to                               [WANDB_ENTITY, else the account's own]
Filters, each a value, a pattern or several with commas: experiment, encoding, protocol, profile, data, seed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.figures.groups import group_runs
from experiments.runs import Selection
from experiments.tracking.setup import NO_ACCOUNT, has_credentials, import_wandb
from experiments.util.arguments import parse
from experiments.util.errors import UserError, exit_on_user_error
from experiments.util.files import write_atomically

MEMORY = "wandb_views.json"
GONE = (ValueError, TypeError, LookupError)  # what wandb-workspaces raises for a view that was deleted
ELSEWHERE = "Without one,  python -m experiments.runs list  and make figures show the same runs"


@dataclass
class Arguments(Selection):
    project: str = "lrpe"
    entity: str | None = None


def main(words: Sequence[str]) -> int:
    """Save the views and print their addresses.

    Raises:
        UserError: no finished run, no account, or a server that refuses.
    """
    arguments = parse(Arguments, list(words), __doc__ or "")
    settings = group_runs(arguments.runs())
    if not settings:
        raise UserError(f"no such finished run below {arguments.results}/runs: there is nothing to make panels of")
    wandb = import_wandb()
    if not has_credentials(wandb):
        raise UserError(f"{NO_ACCOUNT}. {ELSEWHERE}")
    from experiments.wandb_report import panels  # its packages ask for an account

    entity = arguments.entity or os.environ.get("WANDB_ENTITY") or _asked(lambda: wandb.Api().default_entity)
    memory = Memory(Path(arguments.results) / MEMORY, f"{entity}/{arguments.project}")
    report = panels.build_report(settings, entity, arguments.project)
    saved = memory.load("report", panels.wr.Report.from_url)
    if saved is not None:
        saved.title, saved.description, saved.blocks = report.title, report.description, report.blocks
    print(memory.keep("report", saved or report))
    for experiment in dict.fromkeys(setting.experiment for setting in settings):
        own = [setting for setting in settings if setting.experiment == experiment]
        view = panels.build_workspace(own, entity, arguments.project)
        saved = memory.load(experiment, panels.ws.Workspace.from_url)
        if saved is not None:
            saved.sections, saved.settings, saved.runset_settings = view.sections, view.settings, view.runset_settings
        print(memory.keep(experiment, saved or view))
    return 0


class Memory:
    """The addresses of the views that were created for one project, by name."""

    def __init__(self, path: Path, project: str) -> None:
        self._path, self._project = path, project
        try:
            self._all: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self._all = {}
        except ValueError:
            raise UserError(f"{path} cannot be read; remove it, and the views are created anew") from None

    def load(self, name: str, read: Callable[[str], Any]) -> Any | None:
        """The saved view, or None where there is none, or where somebody deleted it."""
        address = self._all.get(self._project, {}).get(name)
        if address is None:
            return None
        try:
            return _asked(lambda: read(address), through=GONE)
        except GONE:
            print(f"{address} is gone; it is created anew", file=sys.stderr)
            return None

    def keep(self, name: str, view: Any) -> str:
        """Save a view, remember its address and return it."""
        _asked(view.save)
        self._all.setdefault(self._project, {})[name] = view.url
        write_atomically(self._path, json.dumps(self._all, indent=2) + "\n")
        return str(view.url)


def _asked(request: Callable[[], Any], through: tuple[type[Exception], ...] = ()) -> Any:
    """What the server answers; whatever it and its client raise becomes one message, but for ``through``."""
    try:
        return request()
    except through:
        raise
    except Exception as error:  # they raise errors of many kinds, ValueError and Exception itself included
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"wandb refused: {reason}") from error


if __name__ == "__main__":
    exit_on_user_error(lambda: main(sys.argv[1:]))
