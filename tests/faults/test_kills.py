"""SIGKILL at any moment: the same command goes on, and ends with an unbroken run's weights, history and metrics."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path

import pytest

from tests.experiments.conftest import only_run
from tests.experiments.engine.support import curve_of, record_of
from tests.faults.counts import Tally
from tests.faults.families import FAMILIES, assert_equal, epoch_ends
from tests.faults.moments import Command, Moment


def twenty_moments(draw: random.Random, unbroken: Path) -> list[Moment]:
    """Places that a run comes to once or twice, and random updates, in the order in which the run comes to them."""
    rows = curve_of(unbroken)
    trained = [row["update"] for row in rows if row["split"] == "train"]
    validated = [row["update"] for row in rows if row["split"] == "valid"]
    ends, updates = epoch_ends(rows), range(len(trained) - 4)
    found = [Moment("in a record")]
    found += [Moment("in an update", draw.choice(updates)) for _ in range(3)]
    found += [Moment("soon after", draw.choice(updates), delay=draw.uniform(0, 0.02)) for _ in range(2)]
    found += [Moment("in a history row", draw.choice(updates)) for _ in range(2)]
    found += [Moment("at an epoch's end", draw.choice(ends)) for _ in range(2)]
    found += [Moment("in validation", draw.choice(validated)) for _ in range(2)]
    found += [Moment("in a checkpoint", draw.choice(validated)) for _ in range(3)]
    found += [Moment("before a checkpoint's name", draw.choice(validated[:-1])) for _ in range(2)]
    found += [Moment("before the last checkpoint's name", draw.choice(validated)) for _ in range(1)]
    found.sort(key=lambda moment: moment.update)
    return [*found, Moment("after the last update"), Moment("in a record", len(trained))]


def assert_survives(family: str, moments: list[Moment] | None, data: Path, tmp_path: Path, tally: Tally) -> None:
    whole = Command(FAMILIES[family], data, tmp_path / "whole")
    whole.ends_with(0)
    unbroken = only_run(whole.results, family)
    broken = Command(FAMILIES[family], data, tmp_path / "broken")
    if family == "glue":
        shutil.copytree(whole.results / "runs" / "blm", broken.results / "runs" / "blm")
    moments = moments or twenty_moments(random.Random(family), unbroken)
    with tally(f"SIGKILL, {family}", len(moments)):
        for moment in moments:
            broken.ends_with(-signal.SIGKILL, moment)
        broken.ends_with(0)
        folder = only_run(broken.results, family)
        assert len(record_of(folder)["segments"]) == len(moments) + 1 - before_the_first_segment(moments)
        assert_equal(folder, unbroken)


def before_the_first_segment(moments: list[Moment]) -> int:
    """A kill before the record has its name opens no segment."""
    return sum(moment == Moment("in a record") for moment in moments)


def test_three_kills_of_a_causal_model_lose_nothing(data: Path, tmp_path: Path, tally: Tally) -> None:
    moments = [Moment("in a history row", 2), Moment("in a checkpoint", 8), Moment("in validation", 12)]
    assert_survives("alm", moments, data, tmp_path, tally)


@pytest.mark.faults
@pytest.mark.parametrize("family", FAMILIES)
def test_twenty_kills_lose_nothing(family: str, data: Path, tmp_path: Path, tally: Tally) -> None:
    assert_survives(family, None, data, tmp_path, tally)
