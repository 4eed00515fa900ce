"""``python -m experiments.runs upload`` makes the server's rows those of ``history.jsonl``, whatever came before."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.runs.__main__ import main
from experiments.runs.records import RunFolder
from tests.experiments.tracking.support import assert_equal, begin, finish, row, rows, run_folder
from tests.faults.wandb_server import REFUSES_KEY, WandbServer


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run that was never tracked: 30 updates, a checkpoint after each, finished."""
    made = run_folder(tmp_path)
    begin(made)
    for found in rows(range(1, 31)):
        made.append(found)
    finish(made, 30)
    return made


def upload(folder: RunFolder, *words: str) -> int:
    return main(["upload", f"results={folder.path.parents[3]}", *words])


def test_a_run_that_was_never_tracked_is_sent_once(
    server: WandbServer, folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert upload(folder, "status=finished") == 0
    assert_equal(server, folder)
    assert "sent 30 of 30 updates" in capsys.readouterr().out
    described, summary = server.run.described, server.run.summary
    assert (described["displayName"], described["groupName"]) == ("rope seed 2", "alm/rope")
    assert (described["project"], described["entity"], described["jobType"]) == ("lrpe", "me", "train")
    assert described["tags"] == ["alm", "rope", "controlled", "demo", "pydoc"]
    assert "planted" not in described["config"], "secrets are masked"
    assert (summary["metrics/valid_perplexity"], summary["parameters/total"], summary["status"]) == (
        12.5,
        7,
        "finished",
    )
    before = (server.received, server.opened)
    assert upload(folder) == 0
    assert "up to date, 30 updates" in capsys.readouterr().out
    assert (server.received, server.opened) == before, "nothing is sent and the run is not opened"
    assert not (folder.path / "wandb").exists(), "wandb's own files are no part of a run"


def test_of_a_half_sent_run_only_the_missing_rows_are_sent(
    server: WandbServer, folder: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "1")
    server.keep_at_most = 17
    assert upload(folder) == 1, "wandb itself is content; the server is asked"
    assert "wandb failed (the server has 17 of 30 updates)" in capsys.readouterr().out
    server.recover()
    server.received = 0
    assert upload(folder) == 0
    assert server.received == 13
    assert_equal(server, folder)


def test_updates_of_a_killed_attempt_are_replaced(server: WandbServer, tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    begin(folder)
    for found in rows(range(1, 28)):
        folder.append(found)
    assert upload(folder) == 0, "of a dead run too"
    assert_equal(server, folder)
    assert server.run.summary["status"] == "dead"
    begin(folder, from_update=20)
    for found in rows(range(21, 31), speed=6.0):
        folder.append(found)
    folder.close("failed", to_update=30, error="RuntimeError: boom")
    server.received = 0
    assert upload(folder) == 0
    assert server.received == 10, "those after the checkpoint"
    assert_equal(server, folder)
    assert server.run.summary["error"] == "RuntimeError: boom"
    begin(folder, from_update=30)
    folder.append(row(31))
    finish(folder, 31)
    assert upload(folder) == 0
    assert_equal(server, folder)
    assert (server.run.summary["status"], server.run.summary["error"]) == ("finished", "")


def test_a_server_that_takes_nothing_back_keeps_them_and_it_is_said(
    server: WandbServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_folder(tmp_path)
    begin(folder)
    for found in rows(range(1, 8)):
        folder.append(found)
    server.rewinds = False
    assert upload(folder) == 0
    begin(folder, from_update=5)
    for found in rows(range(6, 11), speed=6.0):
        folder.append(found)
    finish(folder, 10)
    assert upload(folder) == 0
    assert "sent 3 of 10 updates; 2 sent by a killed attempt stay" in capsys.readouterr().out
    assert upload(folder) == 0
    assert "sent 0 of 10 updates; 2 sent by a killed attempt stay" in capsys.readouterr().out
    assert [found["update"] for found in server.run.rows.values()] == list(range(1, 11))
    assert [found["train/tokens_per_second"] for found in server.run.rows.values()] == [5.0] * 7 + [6.0] * 3


def test_a_refused_key_a_broken_run_and_one_in_training_do_not_keep_the_others(
    server: WandbServer, folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    server.mood = REFUSES_KEY
    assert upload(folder) == 1
    assert "wandb refuses the key" in capsys.readouterr().out
    server.recover()
    broken = folder.path.parents[1] / "alibi-89abcdef" / "seed1"
    broken.mkdir(parents=True)
    trained = RunFolder(folder.path.parents[1] / "none-89abcdef" / "seed1")
    trained.path.mkdir(parents=True)
    with trained.lock():
        assert upload(folder) == 1
    said = capsys.readouterr().out
    assert "record.json is missing" in said
    assert "none-89abcdef/seed1: is running; upload it when it has ended" in said
    assert "3 runs, 1 not uploaded" in said
    assert_equal(server, folder)
