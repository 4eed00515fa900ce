"""Runs side by side: their logs, cores and GPUs, whom they wait for, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from experiments.runs.records import RunFolder
from experiments.tables.plan import Job
from experiments.tables.spec import Row
from tests.experiments.conftest import TINY, environment, only_run
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


def test_the_runs_of_several_columns_have_logs_of_their_own() -> None:
    jobs = [Job(Row("rope", "R", ()), "p", 1, (), Path("/x"), "0", (word,)) for word in ("task=cola", "task=a/b")]
    assert [job.stem for job in jobs] == ["rope-cola-p-seed1", "rope-a_b-p-seed1"]


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


def held_elsewhere(workshop: Workshop, encoding: str, then: Callable[[], object]) -> threading.Thread:
    """Hold a run as another process would, do ``then`` once the table says that it waits, and let go."""
    folder = workshop.resolve(["profile=demo", "protocol=controlled", f"encoding={encoding}", "seed=1"]).folder
    holds = threading.Event()

    def hold() -> None:
        with RunFolder(folder).lock():
            holds.set()
            deadline = time.monotonic() + 20
            while "in use by" not in workshop.text and time.monotonic() < deadline:
                time.sleep(0.01)
            then()

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(timeout=10)
    return thread


TRAIN = ["python", "-m", "experiments.train", "profile=demo", "protocol=controlled", "seed=1"]


def test_a_run_that_another_process_trains_is_waited_for_and_not_trained_twice(workshop: Workshop) -> None:
    thread = held_elsewhere(workshop, "rope", lambda: workshop.launch([*TRAIN, "encoding=rope"], None, {}))
    assert workshop.table("rows=rope") == 0
    thread.join()
    assert workshop.trained == [("rope", 1)]
    assert f"in use by process {os.getpid()} on" in workshop.text
    assert "92.00" in workshop.file("md")


def test_a_run_that_another_process_gave_up_is_trained_here(workshop: Workshop) -> None:
    thread = held_elsewhere(workshop, "rope", lambda: None)
    assert workshop.table("rows=rope") == 0
    thread.join()
    assert workshop.trained == [("rope", 1)]


def test_a_held_run_is_put_off_while_others_are_free(workshop: Workshop) -> None:
    thread = held_elsewhere(workshop, "none", lambda: None)
    assert workshop.table("rows=none,rope") == 0
    thread.join()
    assert workshop.trained == [("rope", 1), ("none", 1)]


def test_where_another_process_was_faster_its_run_counts(workshop: Workshop) -> None:
    threads = []

    def refused(command: Sequence[str], log: Path | None, environment: Mapping[str, str]) -> int:
        """What a child does that finds its run taken between our look and its start."""
        threads.append(held_elsewhere(workshop, "rope", lambda: workshop.launch([*TRAIN, "encoding=rope"], None, {})))
        return 2

    assert workshop.table("rows=rope", launch=refused) == 0
    threads[0].join()
    assert len(threads) == 1
    assert workshop.trained == [("rope", 1)]


def test_two_tables_side_by_side_train_a_run_once(tiny_data: Path, tmp_path: Path) -> None:
    """The real commands, as ``make -j`` starts them."""
    words = ["table=alm", "rows=none", "seeds=1", *TINY, "recipe.max_update=4"]
    tables = [
        subprocess.Popen(
            [sys.executable, "-m", "experiments.table", *words],
            cwd=ROOT,
            env=environment(tiny_data, tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [table.communicate(timeout=300)[0] for table in tables]
    assert [table.returncode for table in tables] == [0, 0], outputs
    record = RunFolder(only_run(tmp_path)).load()
    assert record is not None
    assert len(record["segments"]) == 1, "one training, not begun again"


def test_a_signal_ends_the_run_in_order_and_then_the_table(tmp_path: Path) -> None:
    """The real launcher: a child that catches the signal writes its last words before the table exits."""
    script = """
    import sys, threading
    from pathlib import Path
    from experiments.tables.plan import Job
    from experiments.tables.runner import (run_tasks)
    from experiments.launch.executors import (LocalExecutor)
    from experiments.launch.processes import (Stopped)
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
    signal.signal(signal.SIGUSR1, stop)
    print("started in group", os.getpgid(0), flush=True)
    time.sleep(60)
    '''
    import textwrap
    class FakeJob(Job):
        command = property(lambda self: [sys.executable, "-c", textwrap.dedent(child), sys.argv[1]])
    jobs = [FakeJob(Row("r", "R", ()), "p", seed, (), Path("/nowhere"), "x") for seed in (1, 2)]
    try:
        executor = LocalExecutor(1, None, lambda text: None)
        run_tasks(jobs, executor, [Column("M", "min", 1, "m")], lambda text: None)
    except Stopped as stopped:
        sys.exit(128 + stopped.number)
    """
    path = tmp_path / "words"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
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
