"""Three lines of what a table shows, which say no more than its seeds allow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from experiments.config import compose
from experiments.tables.summary import summary
from tests.experiments.tables.support import results
from tests.experiments.tables.workshop import Workshop


def test_one_seed_is_never_more_than_chance() -> None:
    assert summary(results({"none": [20.0], "rope": [18.0], "lrpe": [21.5]})) == [
        "Test ppl: best Label rope 18.00, next Label none 20.00, of 3 rows",
        "better than Label none 20.00: Label rope (-2.00); not better: Label lrpe (+1.50)",
        "one seed a row: any difference may be chance; from 3 seeds on there are intervals and p-values",
    ]


def test_several_seeds_name_what_the_corrected_test_finds() -> None:
    found = summary(results({"none": [20.0, 21, 22], "rope": [18.0, 19.1, 20], "lrpe": [20.5, 20.0, 22.5]}))
    assert found[2] == ("3 seeds a row: different from Label none with p < 0.05 after Holm's correction: Label rope")


def test_several_seeds_that_show_nothing() -> None:
    found = summary(results({"none": [20.0, 21, 22], "rope": [21.0, 20.5, 22.1], "lrpe": [20.5, 20.0, 22.5]}))
    assert found[1] == "none is better than Label none 21.00"
    assert found[2] == "3 seeds a row: no difference from Label none has p < 0.05 after Holm's correction"


@pytest.mark.parametrize("values", [{}, {"none": [20.0]}, {"none": [None], "rope": [18.0]}], ids=str)
def test_nothing_is_said_of_fewer_than_two_rows(values: dict[str, list[float | None]]) -> None:
    assert summary(results(values)) == []


def test_without_the_baseline_the_rows_are_compared_with_each_other_alone() -> None:
    found = summary(results({"rope": [18.0], "lrpe": [21.5]}))
    assert len(found) == 2
    assert found[0].startswith("Test ppl: best Label rope 18.00")


def test_the_demo_ends_with_what_it_shows_and_what_to_type_next(workshop: Workshop) -> None:
    workshop.table()
    shown, _, following = workshop.text.partition("what it shows:\n")[2].partition("\nnext:\n")
    assert len(shown.strip().splitlines()) == 3
    assert "best No position (NoPE) 92.00" in shown
    steps = following.strip().splitlines()
    assert steps[0].endswith("-m experiments.table table=alm profile=demo seeds=3")
    run = os.path.relpath(workshop.root / "runs" / "alm" / "none-cont0000" / "seed1")
    assert any(
        f"experiments.generate run={run if not run.startswith('..') else workshop.root}" in step for step in steps
    )
    workshop.table("profile=small", "seeds=1")
    assert "\nnext:" not in workshop.text


def test_the_demo_computes_on_one_thread_whatever_the_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tmp_path))
    assert compose(["experiment=alm", "profile=demo"]).engine.threads == 1
