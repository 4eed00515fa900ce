"""Jobs of the cluster under test: submitting them, finding their runs, and meeting them in the middle of training."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.experiments.conftest import ROOT, TINY, environment

SECONDS = 900  # against a hang: on a busy machine a start takes a minute, and up to six jobs start at once
UPDATES = 120
WORDS = [*TINY, f"recipe.max_update={UPDATES}", "recipe.validate_interval_updates=40", "engine.log_interval=1"]
SWEEP = ["-m", "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", *WORDS]
# The launcher of hydra-submitit-launcher as it is, but for what it asks SLURM for.
SUBMITIT = [
    *("-m", "hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=1440", "hydra.launcher.cpus_per_task=1"),
    *("hydra.launcher.signal_delay_s=300", "hydra.launcher.max_num_timeout=9", *WORDS),
]
OVER = threading.Event()  # the tests have ended, and whoever still waits shall not


def documented_script(which: int = 0) -> str:
    """A batch script of docs/clusters.md, which is what a reader copies: 0 of srun's ranks, 1 of torchrun's."""
    return re.findall(r"```bash\n(#!/bin/bash.*?)```", (ROOT / "docs" / "clusters.md").read_text(), re.DOTALL)[which]


class Account:
    """A person with a folder for results, who gives commands from the machine that submits.

    Args:
        data: the root of the prepared data (LRPE_DATA).
        results: where this person's runs go (LRPE_RESULTS).
        variables: what else is in the environment.
    """

    def __init__(self, data: Path, results: Path, **variables: str) -> None:
        self.results = results
        results.mkdir(parents=True, exist_ok=True)
        bin = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = environment(data, results) | {"PATH": bin} | variables

    def sbatch(self, script: str, words: Sequence[str] = (), options: Sequence[str] = ()) -> str:
        """Submit a script with its arguments; the job's id. Options given here come before those of the script."""
        log = self.results / "job-%j.log"
        command = ["sbatch", "--parsable", f"--output={log}", *options, "/dev/stdin", *words]
        done = subprocess.run(
            command, input=script, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, *words: str, module: str = "experiments.train") -> subprocess.Popen[str]:
        """A command on the machine that submits; its output is a pipe's, both streams together."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *words: str, module: str = "experiments.train") -> tuple[int, str]:
        """Such a command to its end: exit code and output."""
        process = self.start(*words, module=module)
        said = self.ended(process)
        return process.returncode, said

    def said(self, process: subprocess.Popen[str], text: str) -> str:
        """The lines of a command that goes on, up to the one that has ``text``."""
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or text not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], f"it ended: {''.join(lines)}"
        return "".join(lines)

    def ended(self, process: subprocess.Popen[str], code: int | None = None) -> str:
        """Wait for a command's end, with ``code`` where one is given; what it said."""
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            raise AssertionError(f"it hangs: {said[-3000:]}\n{self.logs()}") from None
        assert code in (None, process.returncode), f"exit code {process.returncode}: {said[-3000:]}\n{self.logs()}"
        return said

    def runs(self, experiment: str = "*") -> list[Path]:
        return sorted(path.parent for path in self.results.glob(f"runs/{experiment}/*/seed*/record.json"))

    def logs(self) -> str:
        """The ends of all that this person's jobs have printed, for a failed assertion."""
        paths = [*self.results.glob("job-*.log"), *self.results.rglob("*_log.out"), *self.results.rglob("*_log.err")]
        return "\n".join(f"== {path}\n{path.read_text(errors='replace')[-1500:]}" for path in paths)

    def wait_until(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not reached():
            assert not OVER.is_set(), f"{what}: not before the last test ended"
            assert time.monotonic() < deadline, f"{what}: not within {SECONDS} s\n{queue()}\n{self.logs()}"
            time.sleep(0.05)

    def finished(self, count: int = 1, experiment: str = "*") -> list[Path]:
        """Wait until ``count`` runs are finished; their folders."""

        def reached() -> bool:
            statuses = [json.loads((run / "record.json").read_text())["status"] for run in self.runs(experiment)]
            return statuses.count("finished") == count

        self.wait_until(reached, f"{count} finished runs")
        return self.runs(experiment)


def queue() -> str:
    return _output("squeue", "--array")


def state_of(job: str) -> str:
    """A job's state as squeue has it; empty once SLURM has forgotten the job, ten seconds after its end."""
    return _output("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T").strip()


def exit_code_of(job: str) -> int:
    """The exit code of a job that ended seconds ago."""
    found = re.search(r" ExitCode=(\d+):", _output("scontrol", "--oneliner", "show", "job", job))
    assert found, f"SLURM has forgotten job {job}"
    return int(found[1])


def command(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


def job_of(run: Path) -> tuple[str, int]:
    """The job and the process that train a run now, by its lease."""
    lease = json.loads(run.with_name(f"{run.name}.holder.json").read_text())
    return lease["job"], lease["pid"]


@contextmanager
def stood_still(account: Account, run: Callable[[], Path | None]) -> Iterator[tuple[str, int]]:
    """Hold a run still after its first updates, for as long as the block takes; its job's id and its process."""

    def begun() -> bool:
        found = run()
        return found is not None and _rows(found) >= 3

    account.wait_until(begun, "a run in training")
    found = run()
    assert found is not None
    job, pid = job_of(found)
    os.kill(pid, signal.SIGSTOP)
    try:
        account.wait_until(lambda: _status(pid)["State"].startswith("T"), f"process {pid} to stand still")
        assert _rows(found) < UPDATES, "it was in training"
        yield job, pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def in_the_middle(account: Account, run: Callable[[], Path | None]) -> Iterator[str]:
    """Hold a run still after its first updates, whatever the block does to its job, whose id it is given, until
    a signal has come; so that a signal that SLURM sends half a minute later meets it in training too."""
    with stood_still(account, run) as (job, pid):
        yield job
        account.wait_until(lambda: was_signaled(pid), f"a signal to job {job}")


def _rows(run: Path) -> int:
    history = run / "history.jsonl"
    return history.read_text().count('"train"') if history.exists() else 0


def was_signaled(pid: int) -> bool:
    """Whether a process that stood still has a signal pending, or goes on already."""
    try:
        status = _status(pid)
    except FileNotFoundError:
        return True
    pending = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
    return pending != 0 or not status["State"].startswith("T")


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def _output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout
