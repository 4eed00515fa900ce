"""From a plan's finished records to the table: its numbers, and its cells as text."""

from __future__ import annotations

from experiments.tables.aggregate import Results, aggregate
from experiments.tables.grid import Grid, make_grid
from experiments.tables.measurements import unmeasurable
from experiments.tables.plan import Plan
from experiments.tables.provenance import footer
from experiments.tables.reference import load_reference
from experiments.tables.siblings import figures_beside, load_siblings


def render(plan: Plan) -> tuple[Results, Grid]:
    """Whatever of the plan is finished, with the published figures that belong beside it.

    Raises:
        UserError: a file of published figures is at fault, or a record is another run's.
    """
    reference, siblings = load_reference(plan.spec), load_siblings(plan.spec)
    results = aggregate(
        plan.spec,
        plan.rows,
        plan.columns,
        plan.request.protocols,
        len(plan.seeds),
        plan.finished(),
        reference.figures,
        figures_beside(plan, siblings),
        [sibling.note for sibling in siblings],
    )
    notes = footer(results, plan.request.profile, plan.request.overrides, reference.source, unmeasurable(plan))
    return results, make_grid(results, notes)
