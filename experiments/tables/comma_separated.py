"""The numbers of a table for machines: one line a row and column, unrounded."""

from __future__ import annotations

import csv
import io
from typing import Any

from experiments.tables.aggregate import Cell, Line, Results
from experiments.tables.comparison import Comparison
from experiments.tables.spec import Column

FIELDS = (
    "row", "label", "protocol", "metric", "header", "mean", "std", "mean_low", "mean_high", "seeds", "seeds_wanted",
    "best", "within_one_std_of_best", "paper", "paper_std", "difference_from_paper", "sibling_papers", "sibling_notes",
    "baseline", "difference_from_baseline", "paired_seeds", "paired_difference", "paired_low", "paired_high", "p_value",
    "p_holm", "seeds_needed", "rank", "rank_change", "identities",
)  # fmt: skip


def render_csv(results: Results) -> str:
    """Numbers are in the unit that the column shows; what is not there is an empty field. ``_low`` and ``_high`` are
    ends of confidence intervals, ``paired_`` is over the seeds shared with the baseline row, and ``seeds_needed`` is
    inf beyond what is looked for."""
    out = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for line in results.lines:
        for index, ((protocol, column), cell) in enumerate(zip(results.columns, line.cells, strict=True)):
            identities = " ".join(sorted({record["run"]["identity"] for record in line.records[protocol]}))
            writer.writerow(
                {
                    **_measured(line, protocol, column, cell),
                    **_published(results, cell),
                    **_compared(results, cell),
                    "rank": cell.rank,
                    "rank_change": results.rank_change(line, index),
                    "identities": identities,
                }
            )
    return out.getvalue()


def _measured(line: Line, protocol: str, column: Column, cell: Cell) -> dict[str, Any]:
    low, high = cell.interval or (None, None)
    return {
        "row": line.row.key,
        "label": line.row.label,
        "protocol": protocol,
        "metric": column.metric,
        "header": column.header,
        "mean": cell.mean,
        "std": cell.std,
        "mean_low": low,
        "mean_high": high,
        "seeds": cell.seeds,
        "seeds_wanted": cell.wanted,
        "best": int(cell.best),
        "within_one_std_of_best": int(cell.near_best),
    }


def _published(results: Results, cell: Cell) -> dict[str, object]:
    return {
        "paper": cell.reference.mean if cell.reference else None,
        "paper_std": cell.reference.std if cell.reference else None,
        "difference_from_paper": cell.difference,
        "sibling_papers": " ".join(str(figure.mean) for _, figure in sorted(cell.siblings.items())) or None,
        "sibling_notes": " | ".join(results.siblings[number - 1] for number in sorted(cell.siblings)) or None,
    }


def _compared(results: Results, cell: Cell) -> dict[str, object]:
    if cell.from_baseline is None:
        return {}
    found = cell.comparison or Comparison(0, 0.0)
    low, high = found.interval or (None, None)
    return {
        "baseline": results.spec.baseline,
        "difference_from_baseline": cell.from_baseline,
        "paired_seeds": found.seeds,
        "paired_difference": found.difference if found.seeds else None,
        "paired_low": low,
        "paired_high": high,
        "p_value": found.p_value,
        "p_holm": found.holm,
        "seeds_needed": found.seeds_needed,
    }
