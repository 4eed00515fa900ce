"""A full disk or a read-only one ends a run with one message; nothing is lost, and the same command goes on."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.config import run_directory
from experiments.engine import checkpoints
from experiments.engine.disk import CHECKPOINT_OVERHEAD, bytes_needed
from experiments.engine.plan import make_plan
from experiments.launch.exit_codes import REQUEUE
from tests.experiments.conftest import only_run
from tests.experiments.engine.support import record_of
from tests.faults.counts import Tally
from tests.faults.disks import FullDisk, Peak, checksums, fill, make_room, remount, small_disk
from tests.faults.families import FAMILIES, assert_equal
from tests.faults.moments import Command, Moment

WORDS = [*FAMILIES["alm"], "recipe.max_update=16"]  # rows for more than a page


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    command = Command(WORDS, data, tmp_path_factory.mktemp("unbroken"))
    command.ends_with(0)
    return only_run(command.results)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Where the runs of ``tmp_path`` are kept; what they print is kept elsewhere."""
    with small_disk(tmp_path / "runs") as mounted:
        yield mounted


def refusal(command: Command) -> str:
    """The one message of a command's processes so far, which are then forgotten."""
    said = command.log.read_text()
    command.log.write_text("")
    assert "Traceback" not in said, said
    (message,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return message


def assert_survives_a_full_disk(
    place: str, update: int, saved: int, unbroken: Path, data: Path, disk: Path, tmp_path: Path, tally: Tally
) -> None:
    command = Command(WORDS, data, tmp_path)
    folder = run_directory(command.config)
    full = FullDisk(place, update, disk=disk, noted=tmp_path / "checksums.json")
    with tally(f"full disk, {place}"):
        command.ends_with(2, full)
        message = refusal(command)
        assert f"in {folder}: " in message
        assert "No space left" in message
        assert "make room" in message
        assert checksums(disk, "*.pt") == json.loads(full.noted.read_text()), "no checkpoint is lost"
        assert not list(disk.rglob("*.partial-*")), "nothing is half-written"
        found = checkpoints.newest_readable(folder / "checkpoints")
        assert (found[1] if found else 0) == saved
        make_room(disk)
        command.ends_with(0)
        assert_equal(folder, unbroken)


def test_a_disk_full_in_a_checkpoint_keeps_the_one_before(
    unbroken: Path, data: Path, disk: Path, tmp_path: Path, tally: Tally
) -> None:
    assert_survives_a_full_disk("in a checkpoint", 8, 4, unbroken, data, disk, tmp_path, tally)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("place", "update", "saved"),
    [
        ("before a record", 0, 0),
        ("before a record", 16, 16),
        ("in a row that needs room", 0, 0),
        ("in a row that needs room", 2, 12),
        ("in a log line", 0, 0),
        ("in a log line", 7, 4),
        ("in a checkpoint", 4, 0),
        ("in a checkpoint", 16, 12),
        ("in an update", 5, 4),
        ("in validation", 8, 4),
    ],
)
def test_a_full_disk_loses_nothing(
    place: str, update: int, saved: int, unbroken: Path, data: Path, disk: Path, tmp_path: Path, tally: Tally
) -> None:
    assert_survives_a_full_disk(place, update, saved, unbroken, data, disk, tmp_path, tally)


@pytest.mark.faults
def test_a_disk_that_is_full_before_the_start_is_said(data: Path, disk: Path, tmp_path: Path, tally: Tally) -> None:
    command = Command(WORDS, data, tmp_path)
    with tally("full disk, before the start"):
        fill(disk)
        command.ends_with(2)
        assert "make room" in refusal(command)
        assert not list(disk.rglob("record.json"))
        make_room(disk)
        command.ends_with(0)


def test_a_read_only_store_is_said_and_nothing_is_half_written(
    data: Path, disk: Path, tmp_path: Path, tally: Tally
) -> None:
    command = Command(WORDS, data, tmp_path)
    with tally("read-only store, at the start"):
        remount(disk, "ro")
        command.ends_with(2)
        message = refusal(command)
        assert str(run_directory(command.config)) in message
        assert "Read-only file system" in message
        assert "LRPE_RESULTS" in message
        assert not list(disk.iterdir())


@pytest.mark.faults
def test_a_read_only_store_leaves_a_broken_run_as_it_is(
    unbroken: Path, data: Path, disk: Path, tmp_path: Path, tally: Tally
) -> None:
    command = Command(WORDS, data, tmp_path)
    with tally("read-only store, of a broken run", 2):
        for moment in (Moment("in an update", 5, signal.SIGTERM), Moment("in a checkpoint", 8)):
            command.ends_with(REQUEUE if moment.number == signal.SIGTERM else -moment.number, moment)
            before = checksums(disk, "*")
            remount(disk, "ro")
            command.log.write_text("")
            command.ends_with(2)
            assert "LRPE_RESULTS" in refusal(command)
            assert checksums(disk, "*") == before
            remount(disk, "rw")
    command.ends_with(0)
    assert_equal(only_run(tmp_path), unbroken)
    with tally("read-only store, of a finished run"):
        remount(disk, "ro")
        command.ends_with(0)
        assert "nothing to do" in command.log.read_text()


LOGS = 1 << 17  # of the part before a stop, asked for once more by the part after it
LARGER = [
    *WORDS,
    "model.embed_dim=256",
    "recipe.validate_interval_updates=2",
    "+engine.fairseq.checkpoint.maximize_best_checkpoint_metric=true",  # the first checkpoint stays the best
]


@pytest.mark.faults
@pytest.mark.parametrize("keep", [1, 3])
def test_a_run_fits_on_a_disk_of_the_size_that_is_asked_for(
    keep: int, data: Path, tmp_path: Path, tally: Tally
) -> None:
    command = Command([*LARGER, f"engine.keep_checkpoints={keep}"], data, tmp_path)
    plan = make_plan(command.config, world_size=1)
    checkpoint = plan.checkpoint_bytes + CHECKPOINT_OVERHEAD
    needed = bytes_needed(plan.checkpoint_bytes, keep, plan.updates)
    peak = Peak(tmp_path / "runs", tmp_path / "peak.txt")
    with tally("disk of the size that is asked for"), small_disk(peak.disk, needed + LOGS):
        command.ends_with(REQUEUE, Moment("in an update", 8, signal.SIGTERM))
        command.ends_with(0, peak)
        assert needed - checkpoint < int(peak.noted.read_text()) <= needed, "not a checkpoint too many or too few"
        assert record_of(only_run(tmp_path))["status"] == "finished"
        kept = [path.name for path in (only_run(tmp_path) / "checkpoints").iterdir() if path.name[11].isdigit()]
        assert len(kept) == keep
    with tally("disk a checkpoint too small"), small_disk(tmp_path / "smaller" / "runs", needed - checkpoint) as disk:
        smaller = Command(command.words, data, tmp_path / "smaller")
        smaller.ends_with(2)
        assert "make room" in refusal(smaller)
        assert not list(disk.rglob("*.pt"))


@pytest.mark.faults
@pytest.mark.parametrize(
    "words",
    [[*WORDS, "model.embed_dim=128"], [*FAMILIES["imagenet"], "recipe.average_decay=0.9"]],
    ids=["alm", "average"],
)
def test_a_checkpoint_is_as_large_as_the_estimate_says(words: list[str], data: Path, tmp_path: Path) -> None:
    command = Command(words, data, tmp_path)
    command.ends_with(0)
    expected = make_plan(command.config, world_size=1).checkpoint_bytes
    size = (only_run(tmp_path) / "checkpoints" / checkpoints.LAST).stat().st_size
    assert expected < size <= expected + CHECKPOINT_OVERHEAD
