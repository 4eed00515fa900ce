"""A table's rows against its baseline row with confidence intervals, sorted: read from the CSV of the table."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from experiments.figures import style
from experiments.tables.comparison import ALPHA, CONFIDENCE
from experiments.tables.spec import load_table, table_names
from experiments.util.errors import UserError

_NEEDED = ("label", "protocol", "header", "baseline", "paired_difference", "paired_low", "paired_high", "p_holm")


@dataclass(frozen=True)
class Effect:
    """A row's mean difference from the baseline row over shared seeds, its interval, and whether p (Holm) is below
    :data:`experiments.tables.comparison.ALPHA`."""

    label: str
    difference: float
    low: float
    high: float
    significant: bool


@dataclass(frozen=True)
class Panel:
    """The effects in one column of a table under one protocol, the best first; ``sign`` is 1 where less is better, -1
    where more is."""

    header: str
    protocol: str
    baseline: str
    sign: int
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class TableEffects:
    """``identities`` are those of the runs behind the table."""

    title: str
    identities: frozenset[str]
    panels: tuple[Panel, ...]


def effects_of(path: Path) -> TableEffects:
    """What ``<table>-<profile>-<protocol>.csv`` tells; panels without an interval, for want of seeds, are left out.

    Raises:
        UserError: the file is no table of :mod:`experiments.table`, or was written before it had intervals.
    """
    name = path.stem.partition("-")[0]
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    if name not in table_names() or not all(key in line for line in lines for key in _NEEDED):
        raise UserError(
            f"{path} is no table with confidence intervals; render it again, e.g.  python -m experiments.table "
            f"table=alm profile=demo render_only=true, or move it away"
        )
    spec = load_table(name)
    directions = {column.header: column.direction for column in spec.columns}
    panels = []
    for header, protocol in dict.fromkeys((line["header"], line["protocol"]) for line in lines):
        compared = [line for line in lines if (line["header"], line["protocol"]) == (header, protocol)]
        sign = -1 if directions.get(header) == "max" else 1
        found = [_effect(line) for line in compared if line["paired_low"]]
        baseline = next((line["baseline"] for line in compared if line["baseline"]), "")
        if found:
            ordered = tuple(sorted(found, key=lambda effect: sign * effect.difference))
            panels.append(Panel(header, protocol, baseline, sign, ordered))
    identities = frozenset(word for line in lines for word in line["identities"].split())
    return TableEffects(f"{spec.title} ({path.stem.partition('-')[2]})", identities, tuple(panels))


def draw_effects(table: TableEffects, stem: Path) -> list[Path]:
    """Write ``<stem>-effects.png`` and ``.pdf``, a panel a column and protocol; the same table gives the same bytes.

    Returns no path where no panel has an interval.
    """
    if not table.panels:
        return []
    rows = max(len(panel.effects) for panel in table.panels)
    with style.new_figure(1.2 + 5.2 * len(table.panels), 1.6 + 0.36 * rows) as figure:
        for axes, panel in zip(figure.subplots(1, len(table.panels), squeeze=False)[0], table.panels, strict=True):
            _draw(axes, panel, len({panel.protocol for panel in table.panels}) > 1)
        figure.suptitle(style.literal(table.title))
        return style.save(figure, stem.with_name(f"{stem.name}-effects"))


def _draw(axes: Axes, panel: Panel, name_protocol: bool) -> None:
    places = range(len(panel.effects))
    for place, effect in zip(places, panel.effects, strict=True):
        color = style.COLORS[0] if effect.significant else "0.45"
        below, above = effect.difference - effect.low, effect.high - effect.difference
        axes.errorbar(
            effect.difference, place, xerr=[[below], [above]], fmt="o", color=color, capsize=3,
            markerfacecolor=color if effect.significant else "white",
        )  # fmt: skip
    axes.axvline(0, color="0.3", linewidth=1)
    axes.set_yticks(list(places), [style.literal(effect.label) for effect in panel.effects])
    axes.set_ylim(len(panel.effects) - 0.5, -0.5)
    better = "less" if panel.sign > 0 else "more"
    axes.set_xlabel(
        style.literal(f"Δ {panel.header} against {panel.baseline}, {CONFIDENCE:.0%} CI ({better} is better)\n")
        + f"filled: p (Holm) < {ALPHA}",
        fontsize="small",
    )
    if name_protocol:
        axes.set_title(panel.protocol, fontsize="medium")
    style.clean(axes)


def _effect(line: Mapping[str, str]) -> Effect:
    difference, low, high = (float(line[key]) for key in ("paired_difference", "paired_low", "paired_high"))
    return Effect(line["label"], difference, low, high, bool(line["p_holm"]) and float(line["p_holm"]) < ALPHA)


def draw_tables(folder: Path, identities: Sequence[str], out: Path, say: Callable[[str], None]) -> list[Path]:
    """A figure for each table in ``folder`` that has one of these runs behind it; a file that is no such table is said
    and left out."""
    written: list[Path] = []
    for path in sorted(folder.glob("*.csv")):
        try:
            table = effects_of(path)
        except UserError as error:
            say(str(error))
            continue
        if table.identities & set(identities):
            written += draw_effects(table, out / path.stem)
    return written
