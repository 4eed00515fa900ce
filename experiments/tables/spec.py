"""What ``conf/table/<name>.yaml`` may say, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from experiments.tables.yaml_files import read_yaml, refuse_unknown
from experiments.util.errors import UserError, nearest

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf" / "table"
DIRECTIONS = ("min", "max", "none")


@dataclass(frozen=True)
class Column:
    """One measured quantity; shown is its value times ``scale``.

    Attributes:
        metric: path in ``record.json``.
        overrides: what makes the runs of this column beside what makes the row, e.g. ``[task=cola]``.
        profiles: the profiles that have the column; empty for all.
        rows: the rows that have it, where it is not all of them: a projection that only one core takes.
        key: its name in a reference and in ``average_of``; by default the metric's.
        average_of: instead of a metric, the keys of the columns whose mean it is, seed by seed.
    """

    header: str
    direction: str
    digits: int
    metric: str = ""
    scale: float = 1.0
    compare: bool = False
    overrides: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    key: str = ""
    average_of: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``key``, or the metric's last part, or for a group such as ``parameters.total`` the group."""
        if self.key:
            return self.key
        group, _, last = self.metric.rpartition(".")
        return group if last == "total" else last

    @property
    def is_a_count(self) -> bool:
        """Parameters: the same for every seed, so that a spread of 0 would say nothing."""
        return self.metric.startswith("parameters.")

    def has(self, row: str) -> bool:
        return not self.rows or row in self.rows


@dataclass(frozen=True)
class Row:
    """One kind of run: a key, what a reader sees, and the overrides that make it."""

    key: str
    label: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class TableSpec:
    """A table's description.

    Attributes:
        reference: the file with the paper's figures.
        siblings: files with other papers' figures.
        overrides_by_profile: what every run of the table has beside what makes its row and column.
    """

    name: str
    title: str
    experiment: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    baseline: str | None
    reference: Path | None
    rows_by_profile: Mapping[str, tuple[str, ...]]
    seeds_by_profile: Mapping[str, int]
    row_header: str = "Encoding"
    siblings: tuple[Path, ...] = ()
    overrides_by_profile: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def select(self, profile: str, wanted: list[str] | None) -> tuple[Row, ...]:
        """The rows asked for, else those of the profile, else all; always in the table's order."""
        keys = [row.key for row in self.rows]
        for key in wanted or ():
            if key not in keys:
                raise UserError(f"rows={key}: unknown{nearest(key, keys)} (rows of {self.name}: {', '.join(keys)})")
        chosen = wanted or self.rows_by_profile.get(profile) or keys
        return tuple(row for row in self.rows if row.key in chosen)

    def columns_of(self, profile: str, wanted: Sequence[str] | None = None) -> tuple[Column, ...]:
        """The columns asked for, else those that the profile has, in the table's order. An average stays while two of
        its columns do, and is then of these.

        Raises:
            UserError: there is no such column, or none for this profile.
        """
        columns = tuple(column for column in self.columns if not column.profiles or profile in column.profiles)
        names = [column.name for column in columns if column.metric]
        if not names:
            known = sorted({name for column in self.columns for name in column.profiles})
            raise UserError(f"table {self.name} has no columns for profile={profile}{nearest(profile, known)}")
        for name in wanted or ():
            if name not in names:
                raise UserError(
                    f"columns={name}: unknown{nearest(name, names)} (columns of {self.name}: {', '.join(names)})"
                )
        kept = wanted or names
        return tuple(
            column
            for column in columns
            if (column.metric and column.name in kept) or len(set(column.average_of) & set(kept)) > 1
        )

    def seeds(self, profile: str) -> list[int]:
        """1 to the number of seeds that the profile asks for."""
        if profile not in self.seeds_by_profile:
            known = ", ".join(self.seeds_by_profile)
            raise UserError(f"table {self.name} names no seeds for profile={profile} (it has: {known}); add seeds=1")
        return list(range(1, self.seeds_by_profile[profile] + 1))


def table_names(folder: Path = CONF) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_table(name: str, folder: Path = CONF) -> TableSpec:
    """Read and check a table's description.

    Raises:
        UserError: there is no such table, or a key in it is missing, misspelt or of a wrong value.
    """
    if name not in table_names(folder):
        names = table_names(folder)
        raise UserError(f"table={name}: unknown{nearest(name, names)} (choices: {', '.join(names)})")
    path = folder / f"{name}.yaml"
    raw = read_yaml(path)
    refuse_unknown(raw, {known.name for known in fields(TableSpec)} - {"name"}, str(path))
    for key in ("title", "experiment", "rows", "columns", "seeds_by_profile"):
        if not raw.get(key):
            raise UserError(f"{path}: '{key}' is missing")
    rows = tuple(_row(key, row, path) for key, row in raw["rows"].items())
    keys = [row.key for row in rows]
    by_profile = {profile: tuple(listed) for profile, listed in (raw.get("rows_by_profile") or {}).items()}
    columns = tuple(_column(column, f"{path}: columns[{index}]") for index, column in enumerate(raw["columns"]))
    named = [(f"rows_by_profile.{profile}", key) for profile, listed in by_profile.items() for key in listed]
    named += [(f"columns.{column.name}.rows", key) for column in columns for key in column.rows]
    named += [("baseline", raw["baseline"])] if raw.get("baseline") else []
    for where, key in named:
        if key not in keys:
            raise UserError(f"{path}: {where}={key}: no such row{nearest(key, keys)}")
    _check_names(columns, path)
    _check_averages(columns, path)
    return TableSpec(
        name=name,
        title=raw["title"],
        experiment=raw["experiment"],
        rows=rows,
        columns=columns,
        baseline=raw.get("baseline"),
        reference=ROOT / raw["reference"] if raw.get("reference") else None,
        rows_by_profile=by_profile,
        seeds_by_profile=dict(raw["seeds_by_profile"]),
        row_header=str(raw.get("row_header") or TableSpec.row_header),
        siblings=tuple(ROOT / name for name in raw.get("siblings") or ()),
        overrides_by_profile={
            profile: tuple(words) for profile, words in (raw.get("overrides_by_profile") or {}).items()
        },
    )


def _row(key: str, row: Any, path: Path) -> Row:
    where = f"{path}: rows.{key}"
    if not isinstance(row, dict) or not row.get("overrides"):
        raise UserError(f"{where}: expected a label and overrides, e.g. {{label: RoPE, overrides: [encoding=rope]}}")
    refuse_unknown(row, {"label", "overrides"}, where)
    return Row(key, str(row.get("label") or key), tuple(row["overrides"]))


def _column(column: Any, where: str) -> Column:
    if not isinstance(column, dict):
        raise UserError(f"{where}: expected metric, header, direction and digits")
    refuse_unknown(column, {known.name for known in fields(Column)}, where)
    for known in fields(Column):
        if known.default is MISSING and known.name not in column:
            raise UserError(f"{where}: '{known.name}' is missing")
    lists = {name: tuple(column[name]) for name in ("overrides", "profiles", "rows", "average_of") if column.get(name)}
    made = Column(**{**column, **lists})
    if bool(made.metric) == bool(made.average_of):
        raise UserError(f"{where}: expected either a metric or average_of")
    if made.direction not in DIRECTIONS:
        raise UserError(f"{where}: direction={made.direction}: expected one of {', '.join(DIRECTIONS)}")
    if not isinstance(made.digits, int) or made.digits < 0:
        raise UserError(f"{where}: digits={made.digits}: expected 0 or more")
    return made


def _check_averages(columns: tuple[Column, ...], path: Path) -> None:
    names = [column.name for column in columns if column.metric]
    for column in columns:
        for name in column.average_of:
            if name not in names:
                raise UserError(f"{path}: average_of {name}: no such column{nearest(name, names)}")


def _check_names(columns: tuple[Column, ...], path: Path) -> None:
    names = [column.name for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{path}: {names.count(name)} columns are called '{name}'; give each a 'key' of its own")
