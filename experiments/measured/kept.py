"""A folder of kept tables: which they are, the runs behind them, and plans that need neither data nor checkpoints.

tables.yaml   the tables, each as the words of ``python -m experiments.table``
index.json    the folder of a run's seeds below ``runs/``, by the overrides that made them
runs/         ``record.json``, ``config.yaml`` and ``history.jsonl`` of each run
tables/       what is rendered of them: Markdown, LaTeX, CSV
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.measured.page import filled
from experiments.runs.store import StoredRun, scan
from experiments.tables.comma_separated import render_csv
from experiments.tables.latex import render_latex
from experiments.tables.markdown import render_markdown
from experiments.tables.plan import Plan, Resolve, Resolved, make_plan
from experiments.tables.rendering import render
from experiments.tables.request import parse_request
from experiments.tables.spec import ROOT, load_table
from experiments.util.errors import UserError
from experiments.util.plain_yaml import read_mapping

KEPT = ROOT / "results" / "measured"
PAGE = ROOT / "docs" / "measured.md"


@dataclass(frozen=True)
class Kept:
    """``page`` shows the tables; by default the project's own tables have one."""

    folder: Path = KEPT
    page: Path | None = None

    def __post_init__(self) -> None:
        if self.page is None and self.folder.resolve() == KEPT:
            object.__setattr__(self, "page", PAGE)

    @cached_property
    def tables(self) -> list[list[str]]:
        """The words of each table.

        Raises:
            UserError: there is no readable ``tables.yaml``, or it lists none.
        """
        path = self.folder / "tables.yaml"
        listed = self._described.get("tables")
        if not isinstance(listed, list) or not all(isinstance(line, str) for line in listed) or not listed:
            raise UserError(f"{path}: expected 'tables', a list of lines such as 'table=alm profile=laptop'")
        return [shlex.split(line) for line in listed]

    @property
    def local_changes(self) -> str:
        """Why runs are kept whose checkout differed from its commit; empty where none may."""
        return str(self._described.get("local_changes") or "")

    @cached_property
    def _described(self) -> dict[str, Any]:
        return read_mapping(self.folder / "tables.yaml")

    @cached_property
    def index(self) -> dict[str, str]:
        """``<experiment>/<encoding>-<identity>`` by the overrides of a run without its seed."""
        path = self.folder / "index.json"
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: {error}; collect the tables first: python -m experiments.measured") from None

    def runs(self) -> list[StoredRun]:
        return scan(self.folder)

    def plans(self, resolve: Resolve | None = None) -> list[Plan]:
        """A plan for each table, of the kept runs or of those that ``resolve`` leads to."""
        return [_plan(words, resolve or self._resolve) for words in self.tables]

    def rendered(self) -> dict[Path, str]:
        """What each file in ``tables/``, and the page, has to hold, by its path."""
        texts: dict[Path, str] = {}
        for plan in self.plans():
            results, grid = render(plan)
            stem = self.folder / "tables" / plan.request.stem
            for ending, text in (
                (".md", render_markdown(grid)),
                (".tex", render_latex(grid)),
                (".csv", render_csv(results)),
            ):
                texts[stem.with_name(stem.name + ending)] = text
        if self.page is not None:
            tables = {path.stem: text for path, text in texts.items() if path.suffix == ".md"}
            texts[self.page] = filled(self.page.read_text(encoding="utf-8"), tables)
        return texts

    def _resolve(self, overrides: list[str]) -> Resolved:
        """Where the index says that a run lies; one that was not kept has an empty place."""
        key = key_of(overrides)
        place = self.index.get(key)
        if place is None:
            return Resolved(self.folder / "runs" / "not kept" / key / "seed1", "not kept", self.folder)
        group = self.folder / "runs" / place
        configs = sorted(group.glob("seed*/config.yaml"))
        config: Mapping[str, Any] = read_mapping(configs[0]) if configs else {}
        return Resolved(group / "seed1", place.rpartition("-")[2], self.folder, config=config)


def key_of(overrides: Sequence[str]) -> str:
    """A run's overrides without its seed, as one line."""
    return shlex.join(word for word in overrides if not word.startswith("seed="))


def _plan(words: Sequence[str], resolve: Resolve) -> Plan:
    request = parse_request(words)
    return make_plan(load_table(request.table), request, resolve)
