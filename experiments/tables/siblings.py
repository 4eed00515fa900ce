"""Figures of sibling papers, ``results/paper/siblings/*.yaml``: what the authors' group printed elsewhere for rows that
we can run. They stand in a column of their own, and only beside runs of the recipe and data that they were measured by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.config.overrides import key_of
from experiments.tables.plan import Plan
from experiments.tables.reference import Figure, read_figures
from experiments.tables.spec import CONF, ROOT, TableSpec, load_table, table_names
from experiments.tables.yaml_files import read_yaml, refuse_unknown
from experiments.util.errors import UserError, nearest

PLACE = ("paper", "table", "page", "edition")  # without these nobody can look a figure up
BELONGS = ("recipe", "data")  # options of these groups in conf/
PROTOCOL = "published"  # what was printed was measured with the authors' code
# An override of a key in these makes another run of a row that is called the same.
CHANGING = ("recipe.", "model.", "attention.", "encoding.", "protocol.", "engine.fairseq.")

FOLDER = ROOT / "results" / "paper" / "siblings"

Siblings = Mapping[tuple[str, str, str], Mapping[int, Figure]]


@dataclass(frozen=True)
class Sibling:
    """One file: where its figures stand, what they belong to, and they by (row key, column name)."""

    source: str
    recipe: str
    data: str
    figures: Mapping[tuple[str, str], Figure]

    def belongs_to(self, config: Mapping[str, Any], protocol: str) -> bool:
        """Whether a run of this config repeats what was printed."""
        chosen = tuple((config.get(group) or {}).get("name") for group in BELONGS)
        return protocol == PROTOCOL and chosen == (self.recipe, self.data)

    @property
    def note(self) -> str:
        return (
            f"sibling paper: not the paper's own figures but {self.source}, by recipe={self.recipe} on "
            f"data={self.data}; shown beside runs of these under protocol={PROTOCOL}"
        )


def load_siblings(spec: TableSpec) -> tuple[Sibling, ...]:
    """The files that a table names, in its order.

    Raises:
        UserError: a file, key, row, column, recipe or data set that is not there, or a figure without its place.
    """
    return tuple(_load(path, spec) for path in spec.siblings)


def _load(path: Path, spec: TableSpec) -> Sibling:
    if not path.exists():
        raise UserError(f"conf/table/{spec.name}.yaml: siblings: {path}: no such file")
    raw = read_yaml(path)
    refuse_unknown(raw, (*PLACE, *BELONGS, "rows"), str(path))
    for key in (*PLACE, *BELONGS):
        if raw.get(key) in (None, ""):
            raise UserError(f"{path}: '{key}' is missing: fill in where the figures stand and what they belong to")
    for group in BELONGS:
        options = sorted(found.stem for found in (CONF.parent / group).glob("*.yaml"))
        if raw[group] not in options:
            raise UserError(
                f"{path}: {group}={raw[group]}: no such option of conf/{group}{nearest(raw[group], options)}"
            )
    source = f"{raw['paper']}, table {raw['table']}, page {raw['page']}, edition {raw['edition']}"
    return Sibling(source, raw["recipe"], raw["data"], read_figures(raw, spec, path))


def figures_beside(plan: Plan, siblings: Sequence[Sibling]) -> Siblings:
    """The figures that stand beside a plan's runs: {number of the sibling: figure} by (row, protocol, column)."""
    words = [key_of(word) for word in plan.request.overrides]
    if any(word == "model" or word.startswith(CHANGING) for word in words):
        return {}
    found: dict[tuple[str, str, str], dict[int, Figure]] = {}
    for job in plan.jobs:
        for number, sibling in enumerate(siblings, start=1):
            for column in plan.columns:
                figure = sibling.figures.get((job.row.key, column.name))
                if figure and column.overrides == job.variant and sibling.belongs_to(job.config, job.protocol):
                    found.setdefault((job.row.key, job.protocol, column.name), {})[number] = figure
    return found


def check_siblings(folder: Path = FOLDER, tables: Path = CONF) -> dict[Path, int]:
    """Load every file in ``folder`` as its tables would: the number of figures by file.

    Raises:
        UserError: a file is at fault, or no table names it.
    """
    found: dict[Path, int] = {}
    for spec in (load_table(name, tables) for name in table_names(tables)):
        for path, sibling in zip(spec.siblings, load_siblings(spec), strict=True):
            found[path.resolve()] = len(sibling.figures)
    for path in sorted(folder.glob("*.yaml")):
        if path.resolve() not in found:
            raise UserError(f"{path}: no table names it; add it to 'siblings' of one in {tables}")
    return found
