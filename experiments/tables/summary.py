"""What a table shows in three lines, and what a person may type next: for who sees it for the first time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from experiments.config.schema import SCHEMAS
from experiments.tables.aggregate import Cell, Results
from experiments.tables.comparison import ALPHA, MIN_SEEDS
from experiments.tables.plan import Plan
from experiments.tables.spec import Column

Measured = tuple[str, Cell, float]  # label, cell, mean


def summary(results: Results) -> list[str]:
    """Three lines on the first column that is compared with the baseline: which row is best, which rows beat the
    baseline, and what the number of seeds lets one conclude. Empty where fewer than two rows are measured.
    """
    index = next((place for place, (_, column) in enumerate(results.columns) if column.compare), None)
    if index is None:
        return []
    rows = [(line.row, line.cells[index]) for line in results.lines]
    found: list[Measured] = [(row.label, cell, cell.mean) for row, cell in rows if cell.mean is not None]
    column = results.columns[index][1]
    if len(found) < 2 or column.direction == "none":
        return []
    found.sort(key=lambda item: item[2], reverse=column.direction == "max")
    origin = next((cell for row, cell in rows if row.key == results.spec.baseline), None)
    baseline = next((item for item in found if item[1] is origin), None)
    header = results.header(index)
    lines = [f"{header}: best {_shown(found[0], column)}, next {_shown(found[1], column)}, of {len(found)} rows"]
    if baseline is not None:
        lines.append(_against(found, baseline, column))
    return [*lines, _evidence(found, baseline)]


def next_steps(plan: Plan, results: Results) -> list[str]:
    """Commands that go on from here, on the best row's run."""
    best = next((line for line in results.lines for cell in line.cells if cell.best), None)
    runs = [record.folder for records in best.records.values() for record in records] if best else []
    python, table = _short(Path(sys.executable)), f"table={plan.spec.name} profile={plan.request.profile}"
    steps = [f"{python} -m experiments.table {table} seeds={max(MIN_SEEDS, len(plan.seeds) + 2)}"]
    if runs:
        run = _short(runs[0])
        steps.append(f"{python} -m experiments.evaluate run={run} split=valid")
        if SCHEMAS[plan.spec.experiment].causal:
            steps.append(f'{python} -m experiments.generate run={run} prompt="the module defines"')
        steps.append(f"{python} -m experiments.export run={run} to=exported")
    return [*steps, "make dashboard"]


def _against(found: list[Measured], baseline: Measured, column: Column) -> str:
    sign = -1 if column.direction == "max" else 1
    others = [item for item in found if item is not baseline]
    parts = []
    for word, chosen in (
        ("better than", [item for item in others if sign * (item[2] - baseline[2]) < 0]),
        ("not better", [item for item in others if sign * (item[2] - baseline[2]) >= 0]),
    ):
        if chosen:
            listed = ", ".join(f"{label} ({mean - baseline[2]:+.{column.digits}f})" for label, _, mean in chosen)
            parts.append(f"{word}{f' {_shown(baseline, column)}' if word == 'better than' else ''}: {listed}")
    return "; ".join(parts) if parts[0].startswith("better") else f"none is better than {_shown(baseline, column)}"


def _evidence(found: list[Measured], baseline: Measured | None) -> str:
    seeds = min(cell.seeds for _, cell, _ in found)
    if seeds < MIN_SEEDS:
        count = "one seed a row" if seeds == 1 else f"{seeds} seeds a row"
        return f"{count}: any difference may be chance; from {MIN_SEEDS} seeds on there are intervals and p-values"
    tested = [(label, cell.comparison.holm) for label, cell, _ in found if cell.comparison]
    sure = [label for label, holm in tested if holm is not None and holm < ALPHA]
    against = baseline[0] if baseline else "the baseline"
    if not sure:
        return f"{seeds} seeds a row: no difference from {against} has p < {ALPHA} after Holm's correction"
    return f"{seeds} seeds a row: different from {against} with p < {ALPHA} after Holm's correction: {', '.join(sure)}"


def _shown(item: Measured, column: Column) -> str:
    return f"{item[0]} {item[2]:.{column.digits}f}"


def _short(path: Path) -> str:
    """Relative to the folder one is in, where it lies below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
