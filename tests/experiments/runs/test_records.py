"""Records and histories survive kills, and finished ones are safe."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from experiments.runs.records import Record, RunFolder, load_record
from experiments.runs.store import scan
from experiments.util.errors import UserError
from experiments.util.files import FIELD, record_checksum

ROOT = Path(__file__).resolve().parents[3]
RUN = {"experiment": "alm", "encoding": "rope", "protocol": "controlled", "profile": "demo", "seed": 1}
RUN |= {"identity": "0123abcd", "name": "rope seed 1"}


def row(update: int, split: str = "train", **values: Any) -> dict[str, Any]:
    return {"update": update, "tokens": update * 10, "split": split, "loss": 1.0 / update, **values}


def begun(path: Path, **options: Any) -> RunFolder:
    folder = RunFolder(path)
    folder.begin(RUN, manifest={"python": "3.11"}, parameters={"total": 10, "encoding": 2}, **options)
    return folder


def in_another_process(code: str, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_run_from_begin_to_finish(tmp_path: Path) -> None:
    folder = begun(tmp_path / "seed1")
    running = folder.load()
    assert running is not None
    assert (running["schema"], running["status"], running["run"]) == (1, "running", RUN)
    assert running["parameters"] == {"total": 10, "encoding": 2}
    folder.close("finished", to_update=50, metrics={"valid_loss": 2.0}, tokens_per_second=5.0, tokens=500)
    record = folder.load()
    assert record is not None
    assert record.finished
    assert record.folder == tmp_path / "seed1"
    assert (record["updates"], record["tokens"], record["metrics"]) == (50, 500, {"valid_loss": 2.0})
    assert record["segments"][0]["to_update"] == 50
    assert record["wall_seconds"] == record["segments"][0]["seconds"] >= 0


def test_a_finished_record_cannot_be_begun_or_closed_again(tmp_path: Path) -> None:
    folder = begun(tmp_path / "seed1")
    folder.append(row(1))
    folder.close("finished", to_update=1, metrics={"valid_loss": 2.0})
    before = folder.record_path.read_bytes()
    with pytest.raises(UserError, match="finished and cannot be begun again"):
        begun(tmp_path / "seed1")
    with pytest.raises(UserError, match="finished and cannot be marked failed"):
        folder.close("failed", to_update=0)
    assert folder.record_path.read_bytes() == before
    assert len(folder.history()) == 1


def test_wall_time_is_the_sum_over_segments_and_a_killed_one_ends_at_its_last_row(tmp_path: Path) -> None:
    folder = begun(tmp_path / "seed1")
    for update in (10, 20, 30):
        folder.append(row(update))
    started = datetime.fromisoformat(folder.load()["segments"][0]["started"])
    last_sign_of_life = (started + timedelta(seconds=100)).timestamp()
    os.utime(folder.history_path, (last_sign_of_life, last_sign_of_life))
    folder.begin(RUN, manifest={}, from_update=20)
    segments = folder.load()["segments"]
    assert segments[0]["to_update"] == 30
    assert segments[0]["seconds"] == pytest.approx(100, abs=0.01)
    assert segments[1]["from_update"] == 20
    assert [entry["update"] for entry in folder.history()] == [10, 20]
    folder.close("failed", to_update=25, error="boom")
    record = folder.load()
    assert (record["status"], record["error"]) == ("failed", "boom")
    assert record["wall_seconds"] == pytest.approx(sum(segment["seconds"] for segment in record["segments"]))
    assert record["wall_seconds"] >= 100
    assert record["parameters"] == {"total": 10, "encoding": 2}, "a resumed run keeps what was counted before"


def test_closing_needs_an_open_segment_a_known_status_and_known_fields(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no open segment"):
        RunFolder(tmp_path / "seed1").close("finished", to_update=1)
    folder = begun(tmp_path / "seed1")
    with pytest.raises(ValueError, match="status='done'"):
        folder.close("done", to_update=1)
    with pytest.raises(ValueError, match="speed=3"):
        folder.close("finished", to_update=1, speed=3)


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    folder = begun(tmp_path / "seed1")
    folder.append(row(1, perplexity=float("inf")))
    folder.close("finished", to_update=1, metrics={"valid_loss": float("nan")})
    assert folder.history()[0]["perplexity"] is None
    assert folder.load()["metrics"]["valid_loss"] is None


def test_a_torn_last_line_is_ignored_and_then_replaced(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "seed1")
    folder.append(row(1))
    folder.append(row(2))
    with open(folder.history_path, "a") as file:
        file.write('{"update": 3, "split": "tr')
    assert [entry["update"] for entry in folder.history()] == [1, 2]
    folder.append(row(3))
    assert [entry["update"] for entry in folder.history()] == [1, 2, 3]
    assert folder.history_path.read_bytes().count(b"\n") == 3


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "seed1")
    folder.append(row(1))
    with open(folder.history_path, "a") as file:
        file.write("{broken}\n")
    folder.append(row(3))
    with pytest.raises(UserError, match=r"history.jsonl, line 2"):
        folder.history()


def test_the_last_row_of_an_update_and_split_counts(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "seed1")
    for entry in (row(1), row(2), row(2, "valid"), {**row(2), "loss": 9.0}):
        folder.append(entry)
    assert [(entry["update"], entry["split"], entry["loss"]) for entry in folder.history()] == [
        (1, "train", 1.0),
        (2, "train", 9.0),
        (2, "valid", 0.5),
    ]


def test_truncation_keeps_the_checkpoints_update(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "seed1")
    for update in (1, 2, 3):
        folder.append(row(update))
    folder.truncate_history(2)
    assert [entry["update"] for entry in folder.history()] == [1, 2]
    folder.truncate_history(0)
    assert folder.history() == []


def test_records_are_whole_after_twenty_kills(tmp_path: Path) -> None:
    code = """
import sys
from experiments.runs.records import RunFolder
folder = RunFolder(sys.argv[1])
run = {"experiment": "alm", "seed": 1, "identity": "0123abcd", "protocol": "controlled"}
folder.begin(run, manifest={"filler": "x" * 200_000})
print("ready", flush=True)
update = 0
while True:
    update += 1
    folder.begin(run, manifest={"filler": "x" * 200_000}, from_update=10**9)
    folder.append({"update": int(sys.argv[2]) + update, "split": "train", "loss": 1.0, "filler": "y" * 5_000})
"""
    path = tmp_path / "seed1"
    kept = 0
    for kill in range(20):
        writer = in_another_process(code, str(path), str(kill * 100_000))
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n", writer.communicate()[1]
        time.sleep(0.003 * kill)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        record = load_record(path)
        assert record is not None
        assert len(record["manifest"]["filler"]) == 200_000
        rows = RunFolder(path).history()
        assert all(len(entry["filler"]) == 5_000 for entry in rows)
        kept = max(kept, len(rows))
    assert kept > 0, "the writer was never killed while it wrote the history"
    RunFolder(path).begin(RUN, manifest={})
    assert list(path.glob(".*.partial-*")) == [], "a killed writer's leftovers are swept up"


def test_a_failed_write_leaves_the_old_record_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = begun(tmp_path / "seed1")
    before = folder.record_path.read_bytes()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        folder.close("finished", to_update=1)
    assert folder.record_path.read_bytes() == before
    assert sorted(entry.name for entry in folder.path.iterdir()) == ["record.json"]


def test_a_second_process_is_told_who_holds_the_run(tmp_path: Path) -> None:
    code = """
import sys
from experiments.util.errors import UserError
from experiments.runs.records import RunFolder
try:
    with RunFolder(sys.argv[1]).lock():
        print("taken")
except UserError as error:
    print(error)
"""
    path = tmp_path / "runs" / "seed1"
    with RunFolder(path).lock():
        refused = in_another_process(code, str(path)).communicate()[0]
    assert f"process {os.getpid()} on {socket.gethostname()}" in refused
    assert str(path) in refused
    assert in_another_process(code, str(path)).communicate()[0] == "taken\n", "the lock was released"
    assert list(path.parent.glob("*.holder.json")) == [], "nobody is named who no longer holds it"


def test_a_killed_holder_releases_the_run(tmp_path: Path) -> None:
    code = """
import sys, time
from experiments.runs.records import RunFolder
with RunFolder(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(60)
"""
    holder = in_another_process(code, str(tmp_path / "seed1"))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"process {holder.pid} "), RunFolder(tmp_path / "seed1").lock():
        pytest.fail("the lock was given twice")
    holder.kill()
    holder.communicate()
    with RunFolder(tmp_path / "seed1").lock():
        pass


def test_finding_runs_by_experiment(tmp_path: Path) -> None:
    for experiment, seed in (("alm", 2), ("alm", 1), ("blm", 1)):
        path = tmp_path / "runs" / experiment / "rope-0123abcd" / f"seed{seed}"
        RunFolder(path).begin({**RUN, "experiment": experiment, "seed": seed}, manifest={})
    (tmp_path / "runs" / "alm" / "rope-0123abcd" / "seed3").mkdir()
    assert [run.keys["seed"] for run in scan(tmp_path, "alm")] == ["1", "2", "3"]
    assert len(scan(tmp_path)) == 4
    assert scan(tmp_path / "nowhere") == []
    assert [isinstance(run.record, Record) for run in scan(tmp_path)] == [True, True, False, True]


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"schema": 2, "status": "finished"}), '{"schema": 1}'])
def test_a_record_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(UserError, match=r"record\.json"):
        load_record(tmp_path)


def test_a_finished_record_takes_further_metrics_and_is_sealed_anew(tmp_path: Path) -> None:
    folder = begun(tmp_path / "seed1")
    before = folder.close("finished", to_update=50, metrics={"test_perplexity": 9.0})
    after = folder.add_metrics({"test_perplexity_at_512": 10.0, "test_perplexity_at_1024": float("inf")})
    assert after["metrics"] == {
        "test_perplexity": 9.0, "test_perplexity_at_512": 10.0, "test_perplexity_at_1024": None,
    }  # fmt: skip
    assert after == folder.load()
    assert after[FIELD] == record_checksum(after)
    assert {key for key in after if after[key] != before[key]} == {"metrics", FIELD}


def test_a_metric_is_never_replaced_and_only_a_finished_run_takes_more(tmp_path: Path) -> None:
    folder = begun(tmp_path / "seed1")
    with pytest.raises(ValueError, match="only a finished run"):
        folder.add_metrics({"test_perplexity_at_512": 10.0})
    folder.close("finished", to_update=50, metrics={"test_perplexity": 9.0})
    folder.add_metrics({"test_perplexity": 9.0})
    with pytest.raises(ValueError, match=r"test_perplexity is 9\.0, and now 8\.0 was measured"):
        folder.add_metrics({"test_perplexity": 8.0})
