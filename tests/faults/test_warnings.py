"""SIGTERM and SIGUSR1: a checkpoint at once and the exit code that requeues, wherever the run is; nothing is lost."""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from experiments.engine import checkpoints
from experiments.launch.exit_codes import REQUEUE
from tests.experiments.conftest import only_run
from tests.experiments.engine.support import curve_of, record_of
from tests.faults.counts import Tally
from tests.faults.families import FAMILIES, assert_equal, epoch_ends
from tests.faults.moments import Command, Fault, Moment

WORDS = FAMILIES["alm"]


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    command = Command(WORDS, data, tmp_path_factory.mktemp("unbroken"))
    command.ends_with(0)
    return only_run(command.results)


def assert_stopped(folder: Path, number: int, update: int) -> None:
    """The record says why, and the checkpoint has every update that was made."""
    record = record_of(folder)
    assert (record["status"], record["error"]) == ("interrupted", f"stopped by {signal.Signals(number).name}")
    found = checkpoints.newest_readable(folder / "checkpoints")
    assert found == (folder / "checkpoints" / checkpoints.LAST, update)
    assert record["updates"] == curve_of(folder)[-1]["update"] == update


def assert_resumes(moment: Moment, stopped_at: int, unbroken: Path, data: Path, tmp_path: Path, tally: Tally) -> None:
    broken = Command(WORDS, data, tmp_path)
    with tally(signal.Signals(moment.number).name):
        broken.ends_with(REQUEUE, moment)
        assert_stopped(only_run(tmp_path), moment.number, stopped_at)
        if moment.place == "in validation":
            assert curve_of(only_run(tmp_path))[-1]["split"] == "train", "it was left, and is owed"
        broken.ends_with(0)
        assert [segment["from_update"] for segment in record_of(only_run(tmp_path))["segments"]] == [0, stopped_at]
        assert_equal(only_run(tmp_path), unbroken)


def test_a_warning_in_a_validation_leaves_it_and_owes_it(
    unbroken: Path, data: Path, tmp_path: Path, tally: Tally
) -> None:
    assert_resumes(Moment("in validation", 4, signal.SIGUSR1), 4, unbroken, data, tmp_path, tally)


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize(
    ("place", "update", "stopped_at"),
    [
        ("in an update", 0, 1),
        ("in an update", 7, 8),  # a validation is due after it
        ("in validation", 4, 4),
        ("in validation", 12, 12),  # of the last update
        ("before the last checkpoint's name", 8, 9),
        ("before the last checkpoint's name", 12, 12),  # nothing but the test is left
        ("in a history row", 6, 6),
    ],
)
def test_a_warning_anywhere_saves_every_update(
    place: str, update: int, stopped_at: int, number: int, unbroken: Path, data: Path, tmp_path: Path, tally: Tally
) -> None:
    assert_resumes(Moment(place, update, number), stopped_at, unbroken, data, tmp_path, tally)


@pytest.mark.faults
def test_a_warning_between_two_epochs_saves_what_the_first_one_did(
    unbroken: Path, data: Path, tmp_path: Path, tally: Tally
) -> None:
    (end, *_) = epoch_ends(curve_of(unbroken))
    assert end % 4, "no checkpoint is due there"
    assert_resumes(Moment("between epochs", end, signal.SIGTERM), end + 1, unbroken, data, tmp_path, tally)


def both_end_with(code: int, command: Command, faults: Sequence[Fault | None] = (None, None)) -> None:
    """Two ranks, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [command.start(fault, RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank, fault in enumerate(faults)]
    for rank, fault in zip(ranks, faults, strict=True):
        command.ended(rank, code, fault)


@pytest.mark.faults
def test_a_warning_to_one_of_two_ranks_stops_both_at_the_same_update(data: Path, tmp_path: Path, tally: Tally) -> None:
    whole, broken = Command(WORDS, data, tmp_path / "whole"), Command(WORDS, data, tmp_path / "broken")
    both_end_with(0, whole)
    moments = [
        (1, Moment("in an update", 1, signal.SIGUSR1), 2),
        (1, Moment("in validation", 4, signal.SIGTERM), 4),
        (0, Moment("in an update", 8, signal.SIGUSR1), 9),
    ]
    for rank, moment, stopped_at in moments:
        with tally(f"{signal.Signals(moment.number).name} to one of two ranks"):
            both_end_with(REQUEUE, broken, [moment, None] if rank == 0 else [None, moment])
            assert_stopped(only_run(broken.results), moment.number, stopped_at)
    with tally("pair of ranks, resumed after warnings"):
        both_end_with(0, broken)
        assert_equal(only_run(broken.results), only_run(whole.results))
