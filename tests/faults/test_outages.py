"""wandb's server away, silent, faulty or refusing, its service dead or stuck: training goes on, says so once, and one
``wandb sync`` sends the whole curve later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from experiments.runs.records import RunFolder
from experiments.tracking.tracker import Tracker, offline_segments
from tests.experiments.conftest import TINY, only_run
from tests.experiments.tracking.test_tracking import ROOT, read_segment
from tests.faults.counts import Tally
from tests.faults.moments import Command
from tests.faults.wandb_server import ERRORS, HANGS, REFUSES_KEY, WandbServer

UPDATES = 40
MANY = 2000  # rows, more than the way to wandb's service holds
TRAIN = """
    import sys
    from tests.experiments.tracking.test_tracking import CONFIG, RECORD, row
    from experiments.runs.records import RunFolder
    from experiments.tracking.tracker import Tracker
    folder, updates = RunFolder(sys.argv[1]), int(sys.argv[2])
    with Tracker.start("auto", folder, CONFIG, RECORD) as tracker:
        for update in range(1, updates + 1):
            if update == updates // 2:
                print("half", flush=True)
                sys.stdin.readline()
            folder.append(row(update))
            tracker.log(row(update))
    print("trained to the end")
"""
ENVIRONMENT = {
    "WANDB_API_KEY": "k" * 40,
    "WANDB_INIT_TIMEOUT": "2",
    "WANDB_FINISH_TIMEOUT": "2",
    "NETRC": "/nowhere",
}


def environment(url: str, **others: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    paths = f"{ROOT}:{ROOT / 'tests' / 'experiments'}"
    return {**clean, **ENVIRONMENT, "PYTHONPATH": paths, "WANDB_BASE_URL": url, **others}


def train(
    folder: Path,
    url: str,
    at_half: Callable[[psutil.Process], object] = lambda process: None,
    updates: int = UPDATES,
    **others: str,
) -> str:
    """Track a run to its end, something happening at its half; what it said."""
    command = [sys.executable, "-c", textwrap.dedent(TRAIN), str(folder), str(updates)]
    with subprocess.Popen(
        command,
        env=environment(url, **others),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        at_half(psutil.Process(process.pid))
        out, said = process.communicate("\n", timeout=120)
    assert (process.returncode, out) == (0, "trained to the end\n"), said
    return said


def signal_service(process: psutil.Process, number: int) -> None:
    """Send a signal to wandb's own process beside a run."""
    services = [child for child in process.children() if child.name() == "wandb-core"]
    assert services
    for service in services:
        service.send_signal(number)


def assert_kept(folder: Path, said: str, why: str, server: WandbServer, updates: int = UPDATES) -> None:
    """One line, in the log too; an offline run of all that the server lacks; after ``wandb sync``, every row once."""
    assert said.count("\n") == 1, said
    assert why in said
    assert (folder / "train.log").read_text().count(said.removeprefix("tracking: ")) == 1
    (segment,) = offline_segments(folder)
    assert said.endswith(f"wandb sync {segment}\n")
    kept = [row["update"] for row in read_segment(folder)[1]]
    assert [*(server.updates if server.history else []), *kept] == list(range(1, updates + 1))
    assert_syncs(segment, server, updates)


def assert_syncs(segment: Path, server: WandbServer, updates: int) -> None:
    server.recover()
    with server.listening() as url:
        wandb = Path(sys.executable).with_name("wandb")
        subprocess.run([wandb, "sync", segment], env=environment(url), capture_output=True, check=True, timeout=60)
    assert server.updates == list(range(1, updates + 1)), "no hole and nothing twice"
    assert len(server.finished) == 1


def test_a_key_that_is_refused_costs_nothing_but_a_line(tmp_path: Path, tally: Tally) -> None:
    server = WandbServer(REFUSES_KEY)
    with tally("wandb: key refused at the start"), server.listening() as url:
        assert_kept(tmp_path, train(tmp_path, url), "wandb refuses the key", server)


@pytest.mark.faults
@pytest.mark.parametrize("mood", [None, HANGS, ERRORS])
def test_a_server_that_cannot_be_used_at_the_start(mood: str | None, tmp_path: Path, tally: Tally) -> None:
    server = WandbServer(mood or HANGS)
    with tally(f"wandb: server {mood or 'unreachable'} at the start"), ExitStack() as listening:
        url = listening.enter_context(server.listening())
        if mood is None:
            listening.close()
        assert_kept(tmp_path, train(tmp_path, url), "wandb cannot be reached", server)


@pytest.mark.faults
def test_an_outage_after_half_of_the_rows_were_sent(tmp_path: Path, tally: Tally) -> None:
    def lose(mood: str | None) -> None:
        server, folder = WandbServer(), tmp_path / str(mood)

        def outage(process: psutil.Process) -> None:
            assert server.sent.wait(60)
            if mood is None:
                listening.close()
            else:
                server.mood = mood

        with tally(f"wandb: server {mood or 'unreachable'} from half of the run"), ExitStack() as listening:
            url = listening.enter_context(server.listening())
            said = train(folder, url, outage)
            assert 0 < len(server.updates) < UPDATES
            assert_kept(folder, said, "not everything reached wandb", server)

    moods = [None, HANGS, ERRORS, REFUSES_KEY]
    with ThreadPoolExecutor(len(moods)) as pool:  # side by side: wandb sends rows every 15 seconds
        list(pool.map(lose, moods))


@pytest.mark.faults
def test_an_outage_that_ends_before_the_run_is_not_worth_a_word(tmp_path: Path, tally: Tally) -> None:
    server = WandbServer()

    def short_outage(process: psutil.Process) -> None:
        server.mood = ERRORS
        threading.Timer(0.5, server.recover).start()

    with tally("wandb: server failing for a moment"), server.listening() as url:
        assert train(tmp_path, url, short_outage, WANDB_FINISH_TIMEOUT="60") == ""
        assert server.updates == list(range(1, UPDATES + 1))
        assert offline_segments(tmp_path) == []


@pytest.mark.faults
@pytest.mark.parametrize(
    ("kind", "number", "updates"),
    [("killed", signal.SIGKILL, UPDATES), ("stopped, its queue full", signal.SIGSTOP, MANY)],
)
def test_a_service_that_takes_no_more_rows(kind: str, number: int, updates: int, tmp_path: Path, tally: Tally) -> None:
    server = WandbServer()

    with tally(f"wandb: its service {kind}"), server.listening() as url:
        said = train(tmp_path, url, lambda process: signal_service(process, number), updates)
        assert_kept(tmp_path, said, "wandb is lost", server, updates)


@dataclass(frozen=True)
class ServiceDies:
    """At an update, for good: whatever replaces wandb's service dies too."""

    update: int

    def wait(self) -> None:
        send = Tracker._send

        def patched(tracker: Tracker, row: dict[str, object]) -> None:
            if row["update"] == self.update:
                signal_service(psutil.Process(), signal.SIGKILL)
            send(tracker, row)

        Tracker._send = patched


def run(results: Path, data: Path, url: str, fault: ServiceDies | None = None) -> tuple[RunFolder, list[str]]:
    """The whole of ``experiments.train tracker=wandb``; its folder, and what it said of tracking."""
    command = Command([*TINY, "tracker=wandb"], data, results)
    process = command.start(fault, **ENVIRONMENT, WANDB_BASE_URL=url)
    command.ended(process, 0)
    return RunFolder(only_run(results)), [line for line in command.log.read_text().splitlines() if "tracking" in line]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("mood", "when"),
    [
        (None, "at the start"),
        (ERRORS, "at the start"),
        (HANGS, "once the run is open"),
        (REFUSES_KEY, "once the run is open"),
    ],
)
def test_whole_training_runs(mood: str | None, when: str, tiny_data: Path, tmp_path: Path, tally: Tally) -> None:
    server = WandbServer() if when == "once the run is open" else WandbServer(mood or HANGS)
    with tally(f"wandb: server {mood or 'unreachable'} {when}, whole run"), ExitStack() as listening:
        url = listening.enter_context(server.listening())
        if when == "once the run is open":
            server.once_open = lambda: setattr(server, "mood", mood)
        elif mood is None:
            listening.close()
        folder, said = run(tmp_path, tiny_data, url)
        assert len(said) == 1, said
        record = folder.load()
        assert record is not None
        assert record.finished
        (segment,) = offline_segments(folder.path)
        assert_syncs(segment, server, record["updates"])


@pytest.mark.faults
def test_a_service_that_dies_again_ends_tracking_and_not_training(
    tiny_data: Path, tmp_path: Path, tally: Tally
) -> None:
    with tally("wandb: its service killed twice, whole run"), WandbServer().listening() as url:
        folder, said = run(tmp_path, tiny_data, url, ServiceDies(6))
        assert len(said) == 1, said
        assert "training goes on, history.jsonl keeps every row" in said[0]
        record = folder.load()
        assert record is not None
        assert record.finished
        assert [row["update"] for row in folder.history() if row["split"] == "train"] == list(range(1, 13))
