"""The paper's figures, ``results/paper/*.yaml``: entered only as they were read there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.tables.spec import CONF, ROOT, TableSpec, load_table, table_names
from experiments.tables.yaml_files import read_yaml, refuse_unknown
from experiments.util.errors import UserError

PAPER = ROOT / "results" / "paper"
KEYS = ("paper", "table", "page", "read_from", "data", "rows")
SOURCE = ("table", "page", "read_from")  # without these nobody can look a figure up


@dataclass(frozen=True)
class Figure:
    """A figure as printed, and its standard deviation where one is."""

    mean: float
    std: float | None = None


@dataclass(frozen=True)
class Reference:
    """``figures`` by (row key, column name); cells that are not filled in are not there."""

    source: str = ""
    figures: Mapping[tuple[str, str], Figure] = field(default_factory=dict)


def load_reference(spec: TableSpec) -> Reference:
    """The paper's figures for a table; none where it names no file, or one that is not there.

    Raises:
        UserError: an unknown key, row or column (the nearest is named), a figure that is neither a number nor
            {mean, std}, or one whose table, page and edition are not filled in.
    """
    path = spec.reference
    if path is None or not path.exists():
        return Reference()
    raw = read_yaml(path)
    refuse_unknown(raw, KEYS, str(path))
    figures = read_figures(raw, spec, path)
    lacking = [name for name in ("paper", *SOURCE) if raw.get(name) in (None, "")]
    if figures and lacking:
        (key, name), count = next(iter(figures)), len(figures)
        others = f" and {count - 1} more" if count > 1 else ""
        raise UserError(
            f"{path}: rows.{key}.{name}{others} stands there, but '{lacking[0]}' is empty; fill in "
            f"{', '.join(lacking)}, so that a reader finds the figure in the paper"
        )
    return Reference(_source(raw) if figures else "", figures)


def read_figures(raw: Mapping[str, Any], spec: TableSpec, path: Path) -> dict[tuple[str, str], Figure]:
    """The cells of ``rows`` that are filled in, by (row key, column name).

    Raises:
        UserError: a row or column that the table does not have, or a figure that is neither a number nor {mean, std}.
    """
    rows = _mapping(raw.get("rows"), f"{path}: rows")
    refuse_unknown(rows, [row.key for row in spec.rows], f"{path}: rows")
    figures: dict[tuple[str, str], Figure] = {}
    for key, listed in rows.items():
        cells = _mapping(listed, f"{path}: rows.{key}")
        refuse_unknown(cells, [column.name for column in spec.columns], f"{path}: rows.{key}")
        for name, value in cells.items():
            if value is not None:
                figures[key, name] = _figure(value, f"{path}: rows.{key}.{name}")
    return figures


def check_references(folder: Path = PAPER, tables: Path = CONF) -> dict[Path, tuple[int, int]]:
    """Load every file in ``folder`` as its table would: (figures filled in, cells) by file.

    Raises:
        UserError: a file is at fault, or no table names it.
    """
    specs = [load_table(name, tables) for name in table_names(tables)]
    by_file = {spec.reference.resolve(): spec for spec in specs if spec.reference is not None}
    for path, spec in by_file.items():
        if not path.exists():
            raise UserError(f"{tables / spec.name}.yaml: reference={path}: no such file")
    found: dict[Path, tuple[int, int]] = {}
    for path in sorted(folder.glob("*.yaml")):
        if path.resolve() not in by_file:
            raise UserError(f"{path}: no table names it; add 'reference: {path.name}' to one in {tables}")
        cells = sum(len(row or {}) for row in (read_yaml(path).get("rows") or {}).values())
        found[path] = (len(load_reference(by_file[path.resolve()]).figures), cells)
    return found


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise UserError(f"{where}: expected keys and values, got {value!r}")
    return value or {}


def _figure(value: Any, where: str) -> Figure:
    if not isinstance(value, Mapping):
        return Figure(_number(value, where, "a number, {mean, std} or null"))
    refuse_unknown(value, ("mean", "std"), where)
    if value.get("mean") is None:
        raise UserError(f"{where}: 'mean' is missing")
    std = None if value.get("std") is None else _number(value["std"], f"{where}.std", "a number or null")
    if std is not None and std < 0:
        raise UserError(f"{where}.std={std:g}: expected 0 or more")
    return Figure(_number(value["mean"], f"{where}.mean", "a number"), std)


def _number(value: Any, where: str, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{where}={value}: expected {expected}")
    return float(value)


def _source(raw: Mapping[str, Any]) -> str:
    data = f"; {raw['data']}" if raw.get("data") else ""
    return f"{raw['paper']}, table {raw['table']}, page {raw['page']}, read from {raw['read_from']}{data}"
