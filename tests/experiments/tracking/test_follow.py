"""Tracked while it trains, a run has every row on the server, and nothing that happens to wandb reaches it."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.experiments.tracking.support import assert_equal, run_folder
from tests.experiments.tracking.training import UPDATES, service, train
from tests.faults.wandb_server import REFUSES_KEY, WandbServer


def test_every_row_is_there_when_the_run_ends(server: WandbServer, tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    assert train(folder) == "", "wandb is silent"
    assert_equal(server, folder)


@pytest.mark.slow  # wandb sends every 15 seconds
def test_rows_arrive_while_the_run_goes_on(server: WandbServer, tmp_path: Path) -> None:
    folder = run_folder(tmp_path)

    def half(process: psutil.Process) -> None:
        assert server.sent.wait(120)
        assert 0 < server.run.last_step < UPDATES

    train(folder, half)
    assert_equal(server, folder)


def test_a_killed_run_goes_on_where_its_checkpoint_was(server: WandbServer, tmp_path: Path) -> None:
    folder = run_folder(tmp_path)

    def kill(process: psutil.Process) -> None:
        assert server.opened_once.wait(120)
        followers = process.children(recursive=True)
        process.kill()
        psutil.wait_procs(followers, timeout=120)

    train(folder, kill, code=-signal.SIGKILL)
    assert server.run.state == "failed", "what followed the run has closed it"
    assert train(folder, start=10) == ""
    assert_equal(server, folder)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("killed", "wandb failed"),
        pytest.param("stopped", "wandb cannot be reached", marks=pytest.mark.slow),  # wandb waits half a minute
    ],
)
def test_a_service_that_is_lost_is_said_once(
    fault: str, why: str, server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "1")
    folder = run_folder(tmp_path)

    def lose(process: psutil.Process) -> None:
        assert server.opened_once.wait(120)
        service(process).send_signal(signal.SIGKILL if fault == "killed" else signal.SIGSTOP)

    said = train(folder, lose)
    assert said.count("\n") == 1, said
    assert said.startswith(why)
    assert "upload it later with: python -m experiments.runs upload" in said


def test_a_refused_key_costs_a_line(server: WandbServer, tmp_path: Path) -> None:
    server.mood = REFUSES_KEY
    said = train(run_folder(tmp_path))
    assert said.count("\n") == 1, said
    assert said.startswith("wandb refuses the key")
