"""SIGKILL at any moment: the same command goes on, and ends with an unbroken run's weights, history and metrics."""

from __future__ import annotations

import random
import shutil
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from data_prep import prepare, prepare_task
from experiments.checksums import FIELD, file_checksum, record_checksum
from tests.data_prep.images.support import write_folder
from tests.data_prep.sentence_tasks.support import write_task
from tests.experiments.conftest import TINY, TINY_BLM, TINY_GLUE, only_run, write_corpus
from tests.experiments.engine.imagenet.conftest import TINY as TINY_IMAGENET
from tests.experiments.engine.support import curve_of, record_of, same_weights, weights_of
from tests.faults.counts import Tally
from tests.faults.moments import Command, Moment

ENCODING = "encoding=lrpe_unitary_learned"
FAMILIES = {
    "alm": [*TINY, ENCODING],
    "blm": [*TINY_BLM, ENCODING],
    "glue": [*TINY_GLUE, ENCODING, "task=rte"],
    "imagenet": [*TINY_IMAGENET, ENCODING],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root (LRPE_DATA) with what every family's small run reads."""
    folder = tmp_path_factory.mktemp("data")
    prepare("wikitext2", out=folder, source=write_corpus(folder / "text", lines=60), allow_other_counts=True)
    tables = write_task(folder / "tables", "rte", rows=40)
    prepare_task("rte", folder / "wikitext2", out=folder, source=tables, allow_other_counts=True)
    images = write_folder(folder / "images", train=12, valid=4)
    prepare("cifar10", out=folder, source=images, allow_other_counts=True)
    return folder


def twenty_moments(draw: random.Random, unbroken: Path) -> list[Moment]:
    """Places that a run comes to once or twice, and random updates, in the order in which the run comes to them."""
    rows = curve_of(unbroken)
    trained = [row for row in rows if row["split"] == "train"]
    validated = [row["update"] for row in rows if row["split"] == "valid"]
    ends = [row["update"] for row, following in pairwise(trained) if row["epoch"] != following["epoch"]]
    updates = range(len(trained) - 4)
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


def assert_equal(broken: Path, unbroken: Path) -> None:
    record = record_of(broken)
    assert record["status"] == "finished"
    assert record[FIELD] == record_checksum({key: value for key, value in record.items() if key != FIELD})
    assert record["history_sha256"] == file_checksum(broken / "history.jsonl")
    assert record["metrics"] == record_of(unbroken)["metrics"]
    assert curve_of(broken) == curve_of(unbroken), "no hole and nothing twice"
    for name in ("checkpoint_last.pt", "checkpoint_best.pt"):
        assert same_weights(weights_of(broken, name), weights_of(unbroken, name))
    assert not [path for path in broken.rglob("*") if path.name.endswith(".tmp") or ".partial-" in path.name]


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
@pytest.mark.parametrize("family", ["alm", "blm"])
def test_twenty_kills_lose_nothing(family: str, data: Path, tmp_path: Path, tally: Tally) -> None:
    assert_survives(family, None, data, tmp_path, tally)
