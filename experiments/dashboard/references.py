"""Published figures for the page: the paper's and its siblings', with the settings of the runs that repeat them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.tables.reference import Figure, load_reference
from experiments.tables.siblings import PROTOCOL, load_siblings
from experiments.tables.spec import Column, TableSpec, load_table, table_names


def published_figures() -> list[dict[str, Any]]:
    """Each as ``{experiment, metric, label, source, mean, std, settings}``, in the unit of the record's metric.

    ``settings`` are config keys and values: a figure is drawn beside runs that have all of them. The paper's belong to
    runs of ``profile=paper``, a sibling's to those of its recipe, its data and the published protocol.

    Raises:
        UserError: one of the files is at fault.
    """
    return [figure for name in table_names() for figure in _of_table(load_table(name))]


def _of_table(spec: TableSpec) -> list[dict[str, Any]]:
    reference = load_reference(spec)
    found = _figures(spec, reference.figures, reference.source, {"profile.name": "paper"})
    for sibling in load_siblings(spec):
        settings = {"recipe.name": sibling.recipe, "data.name": sibling.data, "protocol.name": PROTOCOL}
        found += _figures(spec, sibling.figures, sibling.source, settings)
    return found


def _figures(
    spec: TableSpec, figures: Mapping[tuple[str, str], Figure], source: str, settings: Mapping[str, str]
) -> list[dict[str, Any]]:
    labels = {row.key: row.label for row in spec.rows}
    columns = {column.name: column for column in spec.columns if column.metric.startswith("metrics.")}
    return [
        {
            "experiment": spec.experiment,
            "metric": columns[name].metric.removeprefix("metrics."),
            "label": labels[key],
            "source": source,
            "mean": figure.mean / columns[name].scale,
            "std": None if figure.std is None else figure.std / columns[name].scale,
            "settings": {**settings, **_settings(columns[name])},
        }
        for (key, name), figure in figures.items()
        if name in columns
    ]


def _settings(column: Column) -> dict[str, str]:
    """A column's overrides as config keys: ``task=cola`` chooses a group's file, whose name is in the config."""
    words = [word.lstrip("+").partition("=") for word in column.overrides]
    return {
        key if "." in key else f"{key}.{'label' if key == 'encoding' else 'name'}": value for key, _, value in words
    }
