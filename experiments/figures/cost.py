"""Cost against length: how the time a token takes grows with the sequence."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.config import compose
from experiments.figures import style
from experiments.figures.cost_benchmark import SOFTMAX
from experiments.runs.comparison import is_place
from experiments.runs.store import StoredRun
from experiments.util.files import flatten

# label -> length -> seconds per token, with what was measured and on which machine.
Costs = Mapping[str, Mapping[int, float]]


def costs_of_records(runs: Sequence[StoredRun]) -> dict[str, Costs]:
    """Seconds a token of training by what was run, encoding and length, where records at two lengths or more tell.

    Records are compared only where everything but encoding, length, batch and seed agrees, the machine included.
    """
    speeds: dict[str, dict[str, dict[int, list[float]]]] = {}
    for run in runs:
        speed = run.record.get("tokens_per_second") if run.record is not None and run.state == "finished" else None
        if not speed:
            continue
        config = run.config_or_nothing()
        length = (config.get("recipe") or {}).get("tokens_per_sample")
        if length is not None:
            seconds = 1 / speed
            by_length = speeds.setdefault(_setting(run, config), {}).setdefault(run.keys["encoding"], {})
            by_length.setdefault(length, []).append(seconds)
    return {
        setting: {
            label: {length: statistics.median(seconds) for length, seconds in sorted(lengths.items())}
            for label, lengths in sorted(labels.items())
        }
        for setting, labels in speeds.items()
        if any(len(lengths) > 1 for lengths in labels.values())
    }


def costs_of_benchmark(content: Mapping[str, Any]) -> Costs:
    """The same from :func:`experiments.figures.cost_benchmark.measure`."""
    costs: dict[str, dict[int, float]] = {}
    for point in content["points"]:
        costs.setdefault(point["label"], {})[point["length"]] = point["seconds"] / point["length"]
    return costs


def describe(machine: Mapping[str, Any], threads: int | None = None) -> str:
    """The machine of a measurement in a few words."""
    gpus = machine.get("gpus") or []
    where = gpus[0] if gpus else f"{machine.get('cpu')}, {machine.get('cores')} cores"
    return where if threads is None or gpus else f"{where}, {threads} thread{'s' * (threads != 1)}"


def encoding_settings(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Each encoding of ``conf/encoding`` as the library takes it."""
    settings = {}
    for name in names:
        encoding = compose([f"encoding={name}"]).encoding
        options = {key: value for key, value in encoding.options.items() if value is not None}
        settings[name] = {"name": encoding.name, **options}
    return settings


def draw_cost(costs: Costs, stem: Path, title: str, looks: Mapping[str, int]) -> list[Path]:
    """Write ``<stem>.png`` and ``.pdf``: microseconds per token against length; ``looks`` are places in the palette."""
    with style.new_figure(6.4, 4.4) as figure:
        axes = figure.subplots()
        for label, values in costs.items():
            look = style.look(looks.get(label, len(looks)))
            if label == SOFTMAX:
                look = {"color": "0.45", "linestyle": (0, (4, 2)), "linewidth": 2.4, "marker": "o", "markersize": 5}
            microseconds = [1e6 * seconds for seconds in values.values()]
            axes.plot(list(values), microseconds, **look, label=style.literal(label))
        style.length_axis(axes, sorted({length for values in costs.values() for length in values}))
        style.log_scale(axes)
        axes.set(xlabel="tokens in a sequence", ylabel="microseconds per token")
        style.clean(axes)
        axes.legend(frameon=False, fontsize="small")
        axes.set_title(style.literal(title), fontsize="medium")
        return style.save(figure, stem)


def _setting(run: StoredRun, config: Mapping[str, Any]) -> str:
    """One text for what has to agree: experiment, model, engine and machine."""
    free = ("encoding.", "protocol.", "profile.", "data.", "recipe.")
    same = {key: value for key, value in flatten(config).items() if not is_place(key) and not key.startswith(free)}
    names = f"{run.keys['experiment']} {same.get('model.name', '')}".strip()
    rest = {key: value for key, value in same.items() if key != "model.name"}
    machine = describe((run.record or {})["manifest"].get("hardware") or {})
    return f"{names}, {machine}\n{sorted(rest.items())}"
