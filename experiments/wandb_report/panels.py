"""What people see in wandb: a workspace view an experiment, and one report, built from the names that runs log.

Runs are grouped as they are logged, ``<experiment>/<encoding>``; lines are means over seeds with their range as a band.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import wandb_workspaces.reports.v2.interface as wr
import wandb_workspaces.workspaces as ws

from experiments.figures.curves import Series, validation_quantity
from experiments.figures.groups import Group, Setting
from experiments.figures.style import COLORS
from experiments.runs.presentation import headline, speed
from experiments.util.console import NONE, number

GROUP = "Group"
MAX_RUNS = 100  # wandb draws ten where nothing is said
COLUMNS = ("parameters/total", "tokens_per_second", "images_per_second", "updates", "wall_seconds")


def build_workspace(settings: Sequence[Setting], entity: str, project: str) -> ws.Workspace:
    """The view of one experiment; ``settings`` are all of its figures' worth of runs."""
    experiment = settings[0].experiment
    panels = [panel for setting in settings for panel in _curves(setting)] + _bars(settings)
    distinct = {_title(panel): panel for panel in panels}
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"lrpe {experiment}",
        sections=[ws.Section(name=experiment, panels=list(distinct.values()), is_open=True, pinned=True)],
        settings=ws.WorkspaceSettings(x_axis="update", max_runs=MAX_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=[ws.Tags().isin([experiment])],
            groupby=[ws.Metric(GROUP)],
            group_colors={_group_of(group): _color(group) for setting in settings for group in setting.groups},
            pinned_columns=[f"summary:{name}" for name in _columns(settings)],
        ),
    )


def build_report(settings: Sequence[Setting], entity: str, project: str) -> wr.Report:
    """A section for each experiment, data set, profile and protocol: panels, runs, and the summary of the records."""
    blocks: list[Any] = [wr.TableOfContents()]
    for setting in settings:
        tags = (setting.experiment, setting.data, setting.profile, setting.protocol)
        blocks += [
            wr.H2(setting.title),
            wr.MarkdownBlock(summary_table(setting)),
            wr.PanelGrid(
                runsets=[
                    wr.Runset(
                        entity=entity,
                        project=project,
                        name=setting.title,
                        filters=[ws.Tags().isin([tag]) for tag in tags],
                        groupby=["group"],
                        pinned_columns=[f"summary:{name}" for name in _columns([setting])],
                    )
                ],
                custom_run_colors={_colored(setting, group): _color(group) for group in setting.groups},
                panels=[*_curves(setting), *_bars([setting])],
            ),
        ]
    return wr.Report(
        entity=entity,
        project=project,
        title="Linearized relative positional encodings",
        description="Written by python -m experiments.wandb_report from records of finished runs.",
        blocks=blocks,
        width="fluid",
    )


def summary_table(setting: Setting) -> str:
    """Markdown: mean ± sample standard deviation over seeds of the metric that sums an experiment up."""
    name = next((found[0] for group in setting.groups if (found := headline(group.first.metrics))), "")
    lines = [f"| encoding | seeds | {name.replace('_', ' ')} | parameters | speed |", "|---|---:|---:|---:|---:|"]
    for group in setting.groups:
        values = [value for run in group.runs if (value := run.metrics.get(name)) is not None]
        spread = f" ± {number(statistics.stdev(values))}" if len(values) > 1 else ""
        measured = f"{number(statistics.fmean(values))}{spread}" if values else NONE
        record: Mapping[str, Any] = group.first.record or {}
        parameters = number(record["parameters"].get("total"))
        lines.append(f"| {group.label} | {len(values)} | {measured} | {parameters} | {speed(record)} |")
    return "\n".join(lines)


def _curves(setting: Setting) -> list[wr.LinePlot]:
    series = [Series(group.label, [group.first.files.history()]) for group in setting.groups]
    quantity = validation_quantity(series)
    return [_line(f"valid/{quantity}", log=quantity == "perplexity"), _line("train/loss"), _line("valid/loss")]


def _line(metric: str, log: bool = False) -> wr.LinePlot:
    return wr.LinePlot(
        title=metric,
        x="update",
        y=[metric],
        log_y=log,
        groupby=GROUP,
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        max_runs_to_show=MAX_RUNS,
    )


def _bars(settings: Sequence[Setting]) -> list[wr.BarPlot]:
    names = [name for name in _columns(settings) if name.startswith("metrics/") and "_at_" not in name]
    return [
        wr.BarPlot(
            title=name.removeprefix("metrics/"),
            metrics=[wr.SummaryMetric(name)],
            groupby=GROUP,
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            max_runs_to_show=MAX_RUNS,
        )
        for name in names
    ]


def _columns(settings: Sequence[Setting]) -> list[str]:
    """The summary's names of the metrics of the valid and test splits, and what a run cost."""
    metrics = [name for setting in settings for group in setting.groups for name in group.first.metrics]
    shown = [f"metrics/{name}" for name in dict.fromkeys(metrics) if name.startswith(("valid_", "test_"))]
    return [*shown, *COLUMNS]


def _group_of(group: Group) -> str:
    """The name under which its runs are logged (experiments.tracking.setup)."""
    return f"{group.first.keys['experiment']}/{group.first.keys['encoding']}"


def _colored(setting: Setting, group: Group) -> wr.RunsetGroup:
    return wr.RunsetGroup(setting.title, (wr.RunsetGroupKey(wr.Metric(GROUP), _group_of(group)),))


def _color(group: Group) -> str:
    return COLORS[group.look % len(COLORS)]


def _title(panel: wr.LinePlot | wr.BarPlot) -> str:
    return panel.title or ""
