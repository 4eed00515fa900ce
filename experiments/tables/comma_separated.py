"""The numbers of a table for machines: one line a row and column, unrounded."""

from __future__ import annotations

import csv
import io

from experiments.tables.aggregate import Results

FIELDS = (
    "row", "label", "protocol", "metric", "mean", "std", "seeds", "seeds_wanted", "best", "within_one_std_of_best",
    "paper", "paper_std", "difference_from_paper",
    "sibling_papers", "sibling_notes", "difference_from_baseline", "p_value", "rank", "rank_change",
    "identities",
)  # fmt: skip


def render_csv(results: Results) -> str:
    """Numbers are in the unit that the column shows; what is not there is an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for line in results.lines:
        for index, ((protocol, column), cell) in enumerate(zip(results.columns, line.cells, strict=True)):
            identities = " ".join(sorted({record["run"]["identity"] for record in line.records[protocol]}))
            writer.writerow(
                [
                    line.row.key,
                    line.row.label,
                    protocol,
                    column.metric,
                    cell.mean,
                    cell.std,
                    cell.seeds,
                    cell.wanted,
                    int(cell.best),
                    int(cell.near_best),
                    cell.reference.mean if cell.reference else None,
                    cell.reference.std if cell.reference else None,
                    cell.difference,
                    " ".join(str(figure.mean) for _, figure in sorted(cell.siblings.items())) or None,
                    " | ".join(results.siblings[number - 1] for number in sorted(cell.siblings)) or None,
                    cell.from_baseline,
                    cell.p_value,
                    cell.rank,
                    results.rank_change(line, index),
                    identities,
                ]
            )
    return out.getvalue()
