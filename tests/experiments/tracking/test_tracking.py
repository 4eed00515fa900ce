"""wandb is a view of history.jsonl: one curve a run, and no trouble with it reaches training."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path
from typing import Any

import pytest

from experiments.runs.records import RunFolder
from experiments.tracking import tracker as tracking
from experiments.tracking.rows import as_wandb_row
from experiments.tracking.tracker import Tracker, offline_segments
from experiments.util.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
RECORD = {
    "run": {
        "experiment": "alm",
        "encoding": "rope",
        "protocol": "controlled",
        "profile": "demo",
        "seed": 2,
        "identity": "0123abcd",
        "name": "rope seed 2",
    }
}
CONFIG = {"data": {"name": "pydoc"}, "seed": 2, "tracker": {"project": "lrpe", "entity": None, "api_key": "planted"}}


def row(update: int, split: str = "train") -> dict[str, Any]:
    values = {"loss": 1 / update, "perplexity": 2.0, "tokens_per_second": 5.0, "peak_memory_bytes": 9}
    return {"update": update, "tokens": update * 10, "epoch": 1, "split": split, "gradient_norm": None, **values}


def read_datastore(path: Path) -> list[Any]:
    """The protobuf records of a ``.wandb`` file: LevelDB's log format, 32 KiB blocks, after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, position, parts, records = path.read_bytes(), 7, b"", []
    assert data[:4] == b":W&B"
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            records.append(wandb_internal_pb2.Record.FromString(parts))
            parts = b""
    return records


def read_segment(folder: Path) -> tuple[Any, list[dict[str, Any]], dict[str, Any], list[Any]]:
    """Run, history rows, summary and metric definitions of the one current offline segment of a run folder."""
    (segment,) = (folder / "wandb").glob("offline-run-*")
    (store,) = segment.glob("run-*.wandb")
    records = read_datastore(store)
    rows = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    summary = {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for record in records
        if record.WhichOneof("record_type") == "summary"
        for item in record.summary.update
    }
    (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    metrics = [record.metric for record in records if record.WhichOneof("record_type") == "metric"]
    return run, rows, summary, metrics


def run_python(code: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    clean |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'experiments'}", "NETRC": "/nowhere", **environment}
    command = [sys.executable, "-c", textwrap.dedent(code), *words]
    return subprocess.run(command, env=clean, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.fixture
def no_wandb_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("WANDB_") or name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            monkeypatch.delenv(name)


class FakeRun:
    def __init__(self, arguments: dict[str, Any], step: int) -> None:
        self.arguments, self.id, self.step = arguments, arguments["id"], step
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.summary: dict[str, Any] = {}
        self.defined: dict[str, str | None] = {}
        self.exit_code: int | None = None
        self.fail_with: Exception | None = None
        kind = "run" if arguments["mode"] == "online" else "offline-run"
        self.dir = str(Path(arguments["dir"]) / "wandb" / f"{kind}-20260101_000000-{arguments['id']}" / "files")
        Path(self.dir).mkdir(parents=True)

    def log(self, values: dict[str, Any], step: int) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        self.rows.append((step, values))

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        if self.arguments["project"] == "broken":
            raise FakeWandb.Error("broken from the start")
        self.defined[name] = step_metric

    def finish(self, exit_code: int) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        self.exit_code = exit_code


class FakeWandb(types.ModuleType):
    """wandb at its boundary: ``init``, ``Settings``, ``teardown`` and its errors."""

    class Error(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("wandb")
        self.errors = types.SimpleNamespace(Error=FakeWandb.Error, UsageError=FakeWandb.Error)
        self.runs: list[FakeRun] = []
        self.server_step = 0
        self.unreachable = False
        self.teardowns = 0

    def Settings(self, **settings: Any) -> dict[str, Any]:
        return settings

    def init(self, **arguments: Any) -> FakeRun:
        if self.unreachable and arguments["mode"] == "online":
            raise FakeWandb.Error("no route to host\nsecond line")
        run = FakeRun(arguments, self.server_step if arguments["mode"] == "online" else 0)
        self.runs.append(run)
        return run

    def setup(self) -> None:
        """Its settings are in order."""

    def teardown(self) -> None:
        self.teardowns += 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, no_wandb_environment: None) -> FakeWandb:
    module = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    return module


def test_offline_for_real_everything_reaches_the_file(tmp_path: Path) -> None:
    code = """
    import sys
    from tests.experiments.tracking.test_tracking import CONFIG, RECORD, row
    from experiments.tracking.tracker import Tracker
    with Tracker.start("offline", sys.argv[1], CONFIG, RECORD) as tracker:
        tracker.log(row(10)); tracker.log(row(10, "valid")); tracker.log(row(20))
        tracker.finish({"valid_perplexity": 12.5, "parameters": {"total": 7}})
    """
    done = run_python(code, str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "wandb is silent"
    run, rows, summary, metrics = read_segment(tmp_path)
    assert (run.run_id, run.display_name, run.run_group) == ("0123abcd-seed2", "rope seed 2", "alm/rope")
    assert (run.project, run.job_type) == ("lrpe", "train")
    assert list(run.tags) == ["alm", "rope", "controlled", "demo", "pydoc"]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["seed"] == 2
    assert config["data"] == {"name": "pydoc"}
    assert config["tracker"]["api_key"] == "***"
    steps = {metric.name or metric.glob_name: metric.step_metric for metric in metrics}
    assert steps["train/*"] == steps["valid/*"] == "update"
    assert [(entry["update"], entry["_step"]) for entry in rows] == [(10, 10), (20, 20)]
    assert {name: rows[0][name] for name in ("tokens", "train/loss", "valid/loss", "train/tokens_per_second")} == {
        "tokens": 100,
        "train/loss": 0.1,
        "valid/loss": 0.1,
        "train/tokens_per_second": 5.0,
    }
    assert rows[0]["train/peak_memory_bytes"] == 9
    assert "train/gradient_norm" not in rows[0], "what is missing is left out"
    assert (summary["valid_perplexity"], summary["parameters/total"], summary["status"]) == (12.5, 7, "finished")
    assert [segment.parent.name for segment in offline_segments(tmp_path)] == ["wandb"]


def test_killed_and_resumed_offline_gives_one_curve_without_holes_or_doubles(tmp_path: Path) -> None:
    code = """
    import os, signal, sys
    from tests.experiments.tracking.test_tracking import CONFIG, RECORD, row
    from experiments.runs.records import RunFolder
    from experiments.tracking.tracker import Tracker
    start, stop, kill = (int(word) for word in sys.argv[2:])
    folder = RunFolder(sys.argv[1])
    folder.begin({**RECORD["run"]}, manifest={}, from_update=start)
    with Tracker.start("offline", folder, CONFIG, folder.load(), start) as tracker:
        for update in range(start + 1, stop + 1):
            for split in ("train", "valid") if update % 10 == 0 else ("train",):
                folder.append(row(update, split))
                tracker.log(row(update, split))
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_python(code, str(tmp_path), "0", "37", "1").returncode == -signal.SIGKILL
    time.sleep(1.1)  # wandb names segments by the second
    assert run_python(code, str(tmp_path), "30", "44", "1").returncode == -signal.SIGKILL
    time.sleep(1.1)
    done = run_python(code, str(tmp_path), "40", "50", "0")
    assert (done.returncode, done.stderr) == (0, "")
    _, rows, _, _ = read_segment(tmp_path)
    assert [entry["update"] for entry in rows] == list(range(1, 51))
    assert [entry["update"] for entry in rows if "valid/loss" in entry] == [10, 20, 30, 40, 50]
    assert all(entry["train/loss"] == pytest.approx(1 / entry["update"]) for entry in rows)
    assert len(list((tmp_path / "wandb" / "superseded").glob("offline-run-*"))) == 2


def test_a_server_that_cannot_be_reached_leads_to_offline_without_a_hang(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    code = """
    import sys
    from tests.experiments.tracking.test_tracking import CONFIG, RECORD, row
    from experiments.tracking.tracker import Tracker
    with Tracker.start("auto", sys.argv[1], CONFIG, RECORD) as tracker:
        tracker.log(row(1))
    """
    began = time.monotonic()
    environment = {"WANDB_BASE_URL": f"http://127.0.0.1:{port}", "WANDB_API_KEY": "k" * 40, "WANDB_INIT_TIMEOUT": "2"}
    done = run_python(code, str(tmp_path), **environment)
    assert done.returncode == 0
    assert time.monotonic() - began < 20
    assert done.stderr.count("\n") == 1
    assert "cannot be reached" in done.stderr
    assert [entry["update"] for entry in read_segment(tmp_path)[1]] == [1]


def test_a_dead_wandb_process_is_said_once_and_a_new_one_has_every_row(tmp_path: Path) -> None:
    code = """
    import sys, time
    import psutil
    from tests.experiments.tracking.test_tracking import CONFIG, RECORD, row
    from experiments.runs.records import RunFolder
    from experiments.tracking.tracker import Tracker
    folder = RunFolder(sys.argv[1])
    with Tracker.start("offline", folder, CONFIG, RECORD) as tracker:
        for update in range(1, 30):
            if update == 2:
                (core,) = [child for child in psutil.Process().children() if "wandb-core" in child.name()]
                core.kill()
            folder.append(row(update))
            tracker.log(row(update))
            time.sleep(0.02)
        print("trained to the end", tracker.active)
    """
    done = run_python(code, str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "trained to the end True\n")
    assert done.stderr.startswith("tracking: wandb is lost")
    assert done.stderr.count("\n") == 1
    assert done.stderr.removeprefix("tracking: ") in (tmp_path / "train.log").read_text()
    assert [entry["update"] for entry in read_segment(tmp_path)[1]] == list(range(1, 30))


def test_auto_without_credentials_is_offline_and_disabled_never_imports_wandb(tmp_path: Path) -> None:
    code = """
    import sys
    from tests.experiments.tracking.test_tracking import CONFIG, RECORD, row
    from experiments.tracking.tracker import Tracker
    with Tracker.start(sys.argv[2], sys.argv[1], CONFIG, RECORD) as tracker:
        tracker.log(row(1))
    print("wandb" in sys.modules)
    """
    assert run_python(code, str(tmp_path / "a"), "auto", HOME=str(tmp_path)).stdout == "True\n"
    assert len(offline_segments(tmp_path / "a")) == 1
    assert run_python(code, str(tmp_path / "b"), "disabled").stdout == "False\n"
    assert run_python(code, str(tmp_path / "b"), "auto", WANDB_MODE="disabled").stdout == "False\n"
    ranks = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}
    assert run_python(code, str(tmp_path / "b"), "offline", **ranks).stdout == "False\n"
    assert not (tmp_path / "b").exists()


def test_credentials_in_netrc_count(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai login user password {'k' * 40}\n")
    code = "import wandb; from experiments.tracking.setup import has_credentials; print(has_credentials(wandb))"
    nowhere = {"HOME": str(tmp_path), "WANDB_BASE_URL": "https://api.wandb.ai"}
    assert run_python(code, **nowhere).stdout == "False\n"
    assert run_python(code, **nowhere, NETRC=str(tmp_path / "netrc")).stdout == "True\n"


def test_online_names_the_run_and_resumes_the_same_id(fake: FakeWandb, tmp_path: Path) -> None:
    with Tracker.start("auto", tmp_path, CONFIG, RECORD) as tracker:
        tracker.log(row(1))
    (run,) = fake.runs
    assert {name: run.arguments[name] for name in ("mode", "id", "resume", "group", "project", "entity")} == {
        "mode": "online",
        "id": "0123abcd-seed2",
        "resume": "allow",
        "group": "alm/rope",
        "project": "lrpe",
        "entity": None,
    }
    assert run.arguments["settings"]["silent"] is True
    assert run.rows == [(1, as_wandb_row(row(1)))]
    assert (run.exit_code, run.summary["status"]) == (0, "finished")


def test_online_resume_sends_what_the_server_lacks_and_nothing_twice(fake: FakeWandb, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for update in range(1, 7):
        folder.append(row(update))
    fake.server_step = 4  # the server has updates 1 to 3; the checkpoint is at 5
    with Tracker.start("wandb", tmp_path, CONFIG, RECORD, resume_update=5) as tracker:
        tracker.log(row(6))
    assert [step for step, _ in fake.runs[0].rows] == [4, 5, 6]
    fake.server_step = 9  # killed after update 8, checkpoint at 5: updates 6 to 8 are trained again
    with Tracker.start("wandb", tmp_path / "again", CONFIG, RECORD, resume_update=5) as tracker:
        for update in range(6, 11):
            tracker.log(row(update))
    assert [step for step, _ in fake.runs[1].rows] == [9, 10]


@pytest.mark.parametrize("error", [FakeWandb.Error("gone"), ConnectionResetError("reset"), BrokenPipeError("pipe")])
def test_what_is_lost_is_said_once_and_goes_on_offline_from_the_history(
    fake: FakeWandb, tmp_path: Path, error: Exception
) -> None:
    said: list[str] = []
    folder = RunFolder(tmp_path)
    with Tracker.start("auto", folder, CONFIG, RECORD, say=said.append) as tracker:
        for update in range(1, 5):
            if update == 3:
                fake.runs[0].fail_with = error
            folder.append(row(update))
            tracker.log(row(update))
    lost, offline = fake.runs
    assert ([step for step, _ in lost.rows], offline.arguments["mode"]) == ([1, 2], "offline")
    assert [step for step, _ in offline.rows] == [1, 2, 3, 3, 4], "the row that failed, again: wandb joins the two"
    assert said == [
        f"wandb is lost ({error}); tracking offline, send it later with: wandb sync {Path(offline.dir).parent}"
    ]
    assert fake.teardowns == 1


def test_a_second_loss_ends_tracking(fake: FakeWandb, tmp_path: Path) -> None:
    said: list[str] = []
    with Tracker.start("auto", tmp_path, CONFIG, RECORD, say=said.append) as tracker:
        for update in range(1, 9):
            fake.runs[-1].fail_with = FakeWandb.Error("gone") if update in (2, 4) else None
            tracker.log(row(update))
        assert not tracker.active
    assert len(said) == len(fake.runs) == 2
    assert said[1] == "wandb is lost (gone); training goes on, history.jsonl keeps every row"


def test_an_upload_that_does_not_end_becomes_an_offline_run(fake: FakeWandb, tmp_path: Path) -> None:
    said: list[str] = []
    folder = RunFolder(tmp_path)
    tracker = Tracker.start("auto", folder, CONFIG, RECORD, say=said.append)
    folder.append(row(1))
    fake.runs[0].fail_with = TimeoutError("finish timed out")
    tracker.finish({"valid_perplexity": 12.5})
    _, offline = fake.runs
    assert (offline.arguments["mode"], offline.exit_code) == ("offline", 0)
    assert [step for step, _ in offline.rows] == [1]
    assert offline.summary == {"status": "finished", "valid_perplexity": 12.5}
    assert len(said) == 1
    assert said[0].startswith("not everything reached wandb (finish timed out)")
    assert said[0].endswith(f"wandb sync {Path(offline.dir).parent}")


def test_an_upload_that_wandb_gave_up_without_a_word_is_found_in_its_log(fake: FakeWandb, tmp_path: Path) -> None:
    said: list[str] = []
    tracker = Tracker.start("auto", tmp_path, CONFIG, RECORD, say=said.append)
    log = Path(fake.runs[0].dir).parent / "logs" / "debug-internal.log"
    log.parent.mkdir()
    log.write_text('{"msg":"all well"}\n{"msg":"filestream: fatal error: filestream: failed to upload: 401"}\n')
    tracker.finish()
    assert len(said) == 1
    assert said[0].startswith("not everything reached wandb (failed to upload: 401); tracking offline")


@pytest.mark.parametrize("value", ["soon", "0", "-1", "inf", "nan"])
def test_a_time_limit_that_is_none_is_refused(
    fake: FakeWandb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", value)
    with pytest.raises(UserError, match=f"WANDB_FINISH_TIMEOUT={value}: expected a number of seconds above 0"):
        Tracker.start("auto", tmp_path, CONFIG, RECORD)


def test_settings_that_wandb_refuses_are_one_message(tmp_path: Path) -> None:
    code = """
    import sys
    from tests.experiments.tracking.test_tracking import CONFIG, RECORD
    from experiments.util.errors import exit_on_user_error
    from experiments.tracking.tracker import Tracker
    exit_on_user_error(lambda: Tracker.start("offline", sys.argv[1], CONFIG, RECORD))
    """
    done = run_python(code, str(tmp_path), WANDB_BASE_URL="nonsense")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("error: WANDB_BASE_URL: ")


def test_an_unreachable_server_falls_back_to_a_whole_offline_curve(fake: FakeWandb, tmp_path: Path) -> None:
    folder, said = RunFolder(tmp_path), []
    for update in (1, 2, 3):
        folder.append(row(update))
    old = tmp_path / "wandb" / "offline-run-20250101_000000-0123abcd-seed2"
    other = tmp_path / "wandb" / "offline-run-20250101_000000-ffffffff-seed2"
    old.mkdir(parents=True)
    other.mkdir()
    fake.unreachable = True
    with Tracker.start("auto", tmp_path, CONFIG, RECORD, resume_update=2, say=said.append) as tracker:
        tracker.log(row(3))
    (run,) = fake.runs
    assert (run.arguments["mode"], run.arguments["resume"]) == ("offline", None)
    assert [step for step, _ in run.rows] == [1, 2, 3]
    assert len(said) == 1
    assert said[0].startswith("wandb cannot be reached (no route to host); tracking offline")
    assert (tmp_path / "wandb" / "superseded" / old.name).is_dir()
    assert other.is_dir(), "another run's segment stays"


def test_wandb_that_fails_from_the_start_is_given_up(fake: FakeWandb, tmp_path: Path) -> None:
    said: list[str] = []
    with Tracker.start("offline", tmp_path, {"tracker": {"project": "broken"}}, RECORD, say=said.append) as tracker:
        assert not tracker.active
        tracker.log(row(1))
    assert said == ["wandb failed (broken from the start); training goes on, history.jsonl keeps every row"]


def test_errors_that_are_not_wandbs_are_not_swallowed(fake: FakeWandb, tmp_path: Path) -> None:
    tracker = Tracker.start("auto", tmp_path, CONFIG, RECORD)
    fake.runs[0].fail_with = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        tracker.log(row(1))


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("boom"), "failed"), (KeyboardInterrupt(), "interrupted"), (None, "finished")]
)
def test_leaving_the_context_always_finishes_the_run(
    fake: FakeWandb, tmp_path: Path, error: BaseException | None, status: str
) -> None:
    def train() -> None:
        with Tracker.start("auto", tmp_path, CONFIG, RECORD):
            if error is not None:
                raise error

    if error is None:
        train()
    else:
        with pytest.raises(type(error)):
            train()
    assert fake.runs[0].summary["status"] == status
    assert fake.runs[0].exit_code == (0 if error is None else 1)


def test_a_run_is_closed_once(fake: FakeWandb, tmp_path: Path) -> None:
    with Tracker.start("auto", tmp_path, CONFIG, RECORD) as tracker:
        tracker.fail("interrupted", status="interrupted")
    assert fake.runs[0].summary == {"status": "interrupted", "error": "interrupted"}


@pytest.mark.parametrize(
    ("mode", "variable", "opened"),
    [("auto", "offline", "offline"), ("auto", "online", "online"), ("offline", "online", "offline")],
)
def test_wandb_mode_decides_for_auto_only(
    fake: FakeWandb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, variable: str, opened: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", variable)
    Tracker.start(mode, tmp_path, CONFIG, RECORD).finish()
    assert fake.runs[0].arguments["mode"] == opened


def test_bad_modes_and_missing_credentials_are_one_message(
    fake: FakeWandb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="did you mean 'offline'"):
        Tracker.start("ofline", tmp_path, CONFIG, RECORD)
    monkeypatch.setattr(tracking, "has_credentials", lambda wandb: False)
    with pytest.raises(UserError, match="wandb login"):
        Tracker.start("wandb", tmp_path, CONFIG, RECORD)
    monkeypatch.setenv("WANDB_MODE", "onlin")
    with pytest.raises(UserError, match=r"WANDB_MODE=onlin.*did you mean 'online'"):
        Tracker.start("auto", tmp_path, CONFIG, RECORD)


def test_synchronized_and_superseded_segments_are_not_listed(tmp_path: Path) -> None:
    for name in ("offline-run-1-a", "offline-run-2-a", "superseded/offline-run-0-a"):
        (tmp_path / "wandb" / name).mkdir(parents=True)
    (tmp_path / "wandb" / "offline-run-1-a" / "run-a.wandb.synced").touch()
    assert [segment.name for segment in offline_segments(tmp_path)] == ["offline-run-2-a"]
