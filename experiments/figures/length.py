"""Quality against the length of the evaluated sequences: does a model trained on short ones read long ones?"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.figures import style
from experiments.figures.groups import Group, Setting

_AT_LENGTH = re.compile(r"test_(?P<quantity>\w+)_at_(?P<length>\d+)$")


def at_lengths(metrics: Mapping[str, Any], quantity: str = "perplexity") -> dict[int, float]:
    """``metrics.test_<quantity>_at_<length>`` of a record, by length; what was not finite is not there."""
    found: dict[int, float] = {}
    for name, value in metrics.items():
        match = _AT_LENGTH.match(name)
        if match and match["quantity"] == quantity and value is not None:
            found[int(match["length"])] = float(value)
    return dict(sorted(found.items()))


def draw_quality_against_length(setting: Setting, stem: Path, quantity: str = "perplexity") -> list[Path]:
    """Write ``<stem>-length.png`` and ``.pdf``: mean over seeds and their range, the training length marked.

    Returns no path where no record was evaluated at two lengths.
    """
    measured = {group.label: _over_seeds(group, quantity) for group in setting.groups}
    lengths = sorted({length for values in measured.values() for length in values})
    if len(lengths) < 2:
        return []
    with style.new_figure(6.4, 4.4) as figure:
        axes = figure.subplots()
        for group in setting.groups:
            if values := measured[group.label]:
                look = style.look(group.look)
                means = [statistics.fmean(seeds) for seeds in values.values()]
                axes.plot(list(values), means, **look, label=style.literal(group.label))
                if len(group.runs) > 1:
                    low, high = [min(seeds) for seeds in values.values()], [max(seeds) for seeds in values.values()]
                    axes.fill_between(
                        list(values), low, high, color=look["color"], alpha=style.BAND_OPACITY, linewidth=0
                    )
        for length in _training_lengths(setting):
            axes.axvline(length, color="0.5", linewidth=1, linestyle=":")
            place = axes.get_xaxis_transform()
            axes.annotate(" trained", (length, 0.98), xycoords=place, color="0.35", fontsize="small", va="top")
        if quantity == "perplexity":
            style.log_scale(axes)
        style.length_axis(axes, lengths)
        axes.set(xlabel="tokens in a sequence", ylabel=f"test {quantity}")
        style.clean(axes)
        axes.legend(frameon=False, fontsize="small")
        axes.set_title(style.literal(setting.title))
        return style.save(figure, stem.with_name(f"{stem.name}-length"))


def _over_seeds(group: Group, quantity: str) -> dict[int, list[float]]:
    values: dict[int, list[float]] = {}
    for run in group.runs:
        for length, value in at_lengths(run.metrics, quantity).items():
            values.setdefault(length, []).append(value)
    return dict(sorted(values.items()))


def _training_lengths(setting: Setting) -> set[int]:
    recipes = [group.first.config_or_nothing().get("recipe") or {} for group in setting.groups]
    return {recipe["tokens_per_sample"] for recipe in recipes if "tokens_per_sample" in recipe}
