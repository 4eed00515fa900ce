"""The ablations: what each is about differs between its runs, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from experiments.config import compose
from experiments.engine.families import family_of
from experiments.tables.plan import Resolved, make_plan
from experiments.tables.request import parse_request
from experiments.tables.spec import TableSpec, load_table, table_names
from experiments.util.files import flatten

# Keys that may differ between two runs of a row, or of a column.
ABOUT = {
    "projection": ("encoding.options.projection", "encoding.options.learn_projection"),
    "angles": ("encoding.options.angle_schedule", "encoding.options.learn_angles", "encoding.options.max_length"),
    "decay": ("encoding.options.decay", "encoding.label"),
    "feature_map": ("attention.feature_map", "attention.feature_map_options"),
    "normalizer": ("protocol.normalizer",),
    "backbone": ("attention.name", "attention.feature_map"),
}
LENGTH = "length"  # its rows are encodings, as those of the main tables
DEMO_RUNS = {
    "projection": 4, "angles": 4, "decay": 3, "feature_map": 4, "normalizer": 9, "backbone": 6, LENGTH: 5,
}  # fmt: skip


def resolve(overrides: list[str]) -> Resolved:
    """The config, and a folder for each; no data is looked at."""
    config = compose(overrides)
    plain = OmegaConf.to_container(config)
    return Resolved(Path("/runs", " ".join(overrides), "seed1"), "0" * 8, Path("/results"), (), plain)


def cross(name: str) -> TableSpec:
    """The table with the columns of all profiles: the first row has all of its own, every other row one alone."""
    spec = load_table(name)
    rows = [row.key for row in spec.rows]
    only = {row: [column.name for column in spec.columns if column.has(row)][-1] for row in rows[1:]}
    columns = tuple(
        replace(
            column,
            profiles=(),
            rows=tuple(row for row in rows if column.has(row) and only.get(row, column.name) == column.name),
        )
        for column in spec.columns
    )
    return replace(spec, columns=tuple(column for column in columns if column.rows), rows_by_profile={})


@pytest.mark.parametrize("name", ABOUT)
def test_every_run_differs_in_what_the_table_is_about_and_can_be_built(name: str, tiny_data: Path) -> None:
    spec = cross(name)
    plan = make_plan(spec, parse_request([f"table={name}", f"data.folder={tiny_data / 'wikitext2'}"]), resolve)
    rows_are_the_topic = name not in ("normalizer", "backbone")
    seen: dict[str, list[dict[str, object]]] = {}
    for job in plan.jobs:
        group = " ".join(job.variant) if rows_are_the_topic else job.row.key
        seen.setdefault(group, []).append(flatten(job.config))
        config = OmegaConf.create(dict(job.config))
        assert isinstance(config, DictConfig)
        with torch.device("meta"):
            family_of(config).build(config)
    for configs in seen.values():
        keys = {key for config in configs for key in config}
        differing = {key for key in keys if len({repr(config.get(key)) for config in configs}) > 1}
        assert bool(differing) == (len(configs) > 1)
        assert [key for key in differing if not key.startswith(ABOUT[name])] == []
        distinct = {repr(sorted(config.items(), key=str)) for config in configs}
        assert len(distinct) == len(configs), "no two rows are the same run"


@pytest.mark.parametrize("name", [*ABOUT, LENGTH])
def test_a_demo_is_a_few_runs(name: str) -> None:
    spec = load_table(name)
    rows, columns = spec.select("demo", None), spec.columns_of("demo")
    runs = {(row.key, column.overrides) for row in rows for column in columns if column.has(row.key)}
    assert len(runs) * len(spec.seeds("demo")) == DEMO_RUNS[name]
    assert [len(spec.seeds(profile)) for profile in ("laptop", "small", "paper")] == [3, 3, 5]
    assert spec.baseline in {row.key for row in rows}, "differences have something to be from"


def test_every_ablation_is_here() -> None:
    assert set(table_names()) - {"alm", "anchors", "blm", "glue", "imagenet"} == {*ABOUT, LENGTH}


def test_the_length_table_asks_for_one_two_four_and_eight_times_the_training_length() -> None:
    spec = load_table("length")
    for profile in ("demo", "laptop", "small", "paper"):
        recipe = compose([f"profile={profile}"]).recipe
        lengths = [int(column.metric.rpartition("_")[2]) for column in spec.columns_of(profile)]
        assert lengths == [factor * recipe.tokens_per_sample for factor in (1, 2, 4, 8)]
