"""Figures of the finished runs, as PDF and PNG, from records and checkpoints only.

    python -m experiments.figures [results=results] [out=results/figures]
    python -m experiments.figures experiment=alm profile=paper only=curves,length

Keys:
    out       where the figures go                                              [<results>/figures]
    only      curves   training curves, mean and range over seeds
              length   test perplexity against length (metrics.test_perplexity_at_<length>)
              cost     time a token takes against length: of records made at several lengths, else of a benchmark of
                       one attention layer, measured here and kept in <out>/cost.json with its machine
              kernel   heat map of the positional kernel of each encoding as trained
              effects  of each table in <results>/tables: rows against the baseline row, sorted, with intervals
                                                                            [all five]
    measure   true measures the cost again                                      [false]

Filters, each a value, a pattern or several with commas: experiment, encoding, protocol, profile, data, seed.
results=FOLDER is where runs/ lies [LRPE_RESULTS, else results].
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.figures import cost, cost_benchmark
from experiments.figures.curves import Series, draw_training_curves
from experiments.figures.effects import draw_tables
from experiments.figures.groups import Setting, group_runs
from experiments.figures.kernel import draw_kernels
from experiments.figures.length import draw_quality_against_length
from experiments.runs import Selection, StoredRun
from experiments.tables.comparison import MIN_SEEDS
from experiments.util.arguments import parse
from experiments.util.errors import UserError, exit_on_user_error, nearest

KINDS = ("curves", "length", "cost", "kernel", "effects")
_OF_SETTINGS = ("curves", "length", "kernel")


@dataclass
class Arguments(Selection):
    out: str | None = None
    only: str | None = None
    measure: bool = False


def main(words: Sequence[str]) -> int:
    """Draw what there is data for, and say what there is none for.

    Raises:
        UserError: bad input, or no finished run.
    """
    arguments = parse(Arguments, list(words), __doc__ or "")
    kinds = _kinds(arguments.only)
    runs = [run for run in arguments.runs() if run.state == "finished"]
    if not runs:
        raise UserError(f"no such finished run below {arguments.results}/runs: train one first, e.g.  make demo")
    out = Path(arguments.out or Path(arguments.results) / "figures")
    settings = group_runs(runs)
    written: list[Path] = []
    for setting in settings:
        for kind in kinds:
            if kind in _OF_SETTINGS:
                written += _draw(kind, setting, out / setting.stem)
    if "cost" in kinds:
        written += _draw_cost(settings, runs, out, arguments.measure)
    if "effects" in kinds:
        drawn = draw_tables(Path(arguments.results) / "tables", [run.keys["identity"] for run in runs], out, _say)
        if not drawn:
            _say(
                f"no table with intervals in {arguments.results}/tables, so there is no figure of effects; it takes "
                f"{MIN_SEEDS} seeds, e.g.  make table-alm SEEDS={MIN_SEEDS}"
            )
        written += drawn
    print("\n".join(str(path) for path in written))
    return 0


def _draw(kind: str, setting: Setting, stem: Path) -> list[Path]:
    if kind == "curves":
        series = [
            Series(group.label, [run.files.history() for run in group.runs], group.look) for group in setting.groups
        ]
        return draw_training_curves(series, stem, setting.title)
    if kind == "kernel":
        return draw_kernels(setting, stem, _say)
    paths = draw_quality_against_length(setting, stem)
    if not paths:
        _say(f"{setting.title}: no record was evaluated at several lengths, so there is no figure of them")
    return paths


def _draw_cost(settings: Sequence[Setting], runs: Sequence[StoredRun], out: Path, measure: bool) -> list[Path]:
    looks = {group.label: group.look for setting in settings for group in setting.groups}
    found = {} if measure else cost.costs_of_records(runs)
    if found:
        titles = {setting: setting.partition("\n")[0] for setting in found}
        return [
            path
            for number, (setting, costs) in enumerate(found.items(), start=1)
            for path in cost.draw_cost(
                costs, out / ("cost" if len(found) == 1 else f"cost-{number}"), f"training, {titles[setting]}", looks
            )
        ]
    names = [name for name in sorted({run.keys["encoding"] for run in runs}) if _is_relative(name)]
    content = cost_benchmark.load_or_measure(out / "cost.json", cost.encoding_settings(names), measure, _say)
    title = f"one attention layer, forward and backward\n{cost.describe(content['machine'], content['threads'])}"
    return cost.draw_cost(cost.costs_of_benchmark(content), out / "cost", title, looks)


def _is_relative(name: str) -> bool:
    """Absolute positions are added before the first layer; in a layer there is nothing of them to measure."""
    return not name.startswith("absolute")


def _kinds(only: str | None) -> list[str]:
    wanted = [word.strip() for word in (only or ",".join(KINDS)).split(",") if word.strip()]
    for word in wanted:
        if word not in KINDS:
            raise UserError(f"only={word}: unknown{nearest(word, KINDS)} (choices: {', '.join(KINDS)})")
    return wanted


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    exit_on_user_error(lambda: main(sys.argv[1:]))
