"""Runs side by side: their logs, cores and GPUs, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.experiments.tables.support import ROOT
from tests.experiments.tables.workshop import Workshop


def test_several_jobs_write_logs_share_cores_and_show_the_tail(workshop: Workshop) -> None:
    workshop.broken.add("rope")
    assert workshop.table("rows=none,rope", "jobs=2") == 1
    log = workshop.root / "tables" / "logs" / "alm-demo-controlled" / "rope-controlled-seed1.log"
    assert log.read_text() == "log of rope\nlast words\n"
    assert "log of rope\nlast words" in workshop.text
    assert "finished in" in workshop.text
    assert "Valid ppl 91.00" in workshop.text
    assert all(int(environment["OMP_NUM_THREADS"]) >= 1 for environment in workshop.environments)


def test_several_gpus_are_shared_out(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    barrier: list[str] = []

    def launch(command: Sequence[str], log: Path | None, environment: Mapping[str, str]) -> int:
        barrier.append(environment["CUDA_VISIBLE_DEVICES"])
        deadline = time.monotonic() + 10
        while len(barrier) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        return workshop.launch(command, log, environment)

    assert workshop.table("rows=none,rope", "jobs=2", launch=launch) == 0
    assert sorted(barrier) == ["3", "5"]


def test_a_signal_ends_the_run_in_order_and_then_the_table(tmp_path: Path) -> None:
    """The real launcher: a child that catches the signal writes its last words before the table exits."""
    script = """
    import sys, threading
    from pathlib import Path
    from experiments.tables.plan import Job
    from experiments.tables.runner import Stopped, run_tasks
    from experiments.tables.spec import Column, Row
    child = '''
    import os, signal, sys, time
    def stop(number, frame):
        open(sys.argv[1], "a").write(f"signal {number};")
        time.sleep(0.3)
        open(sys.argv[1], "a").write("saved")
        sys.exit(1)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print("started in group", os.getpgid(0), flush=True)
    time.sleep(60)
    '''
    import textwrap
    class FakeJob(Job):
        command = property(lambda self: [sys.executable, "-c", textwrap.dedent(child), sys.argv[1]])
    jobs = [FakeJob(Row("r", "R", ()), "p", seed, (), Path("/nowhere"), "x") for seed in (1, 2)]
    try:
        run_tasks(jobs, 1, Path("/nowhere"), [Column("M", "min", 1, "m")], lambda text: None)
    except Stopped as stopped:
        sys.exit(128 + stopped.number)
    """
    path = tmp_path / "words"
    for number in (signal.SIGINT, signal.SIGTERM):
        path.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        *words, group = process.stdout.readline().split()
        assert words == ["started", "in", "group"], "one job at a time writes to this terminal"
        assert int(group) != process.pid, "the terminal's signal does not reach it twice"
        os.killpg(process.pid, number)  # as a terminal does: to the table and to whatever shares its group
        assert process.wait(timeout=30) == 128 + number
        process.stdout.close()
        assert path.read_text() == f"signal {number};saved", "one signal, for one child: the second job never starts"
