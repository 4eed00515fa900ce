"""What SLURM's commands say: ``sbatch`` of a script, ``squeue`` and, where there is accounting, ``sacct`` of jobs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from experiments.util.errors import UserError

# What squeue's manual lists as states of a job that has not ended, or comes back.
LIVE = frozenset({
    *("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING"),
    *("RESV_DEL_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED"),
})  # fmt: skip
SECONDS = 60  # for one command: a controller under load answers late


class NoAnswer(Exception):
    """SLURM's controller cannot be asked now; the message is its own."""


@dataclass(frozen=True)
class State:
    """A job's state in SLURM's word, why it is pending, and for how long it has run since its last start."""

    word: str
    reason: str = ""
    seconds: float = 0.0

    @property
    def live(self) -> bool:
        return self.word in LIVE

    @property
    def running(self) -> bool:
        return self.live and self.word != "PENDING"


def submit(script: str) -> str:
    """``sbatch``; the job's number.

    Raises:
        UserError: there is no sbatch here, or it refuses: in its own words.
    """
    try:
        done = _run(["sbatch", "--parsable"], script)
    except FileNotFoundError:
        raise UserError("no sbatch on this machine; give the command where SLURM's commands are") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"sbatch does not answer within {SECONDS} s; the same command tries again") from None
    if done.returncode:
        raise UserError(refusal(done.stderr))
    return done.stdout.strip().partition(";")[0]


def refusal(message: str) -> str:
    """What sbatch said, in one line."""
    said = [line.strip() for line in message.splitlines() if line.strip().startswith("sbatch: ")]
    return "; ".join(said) or " ".join(message.split())


def states(jobs: Iterable[str]) -> dict[str, State]:
    """The states of array jobs (``12_0``) that SLURM knows, of all users; those that ended minutes ago too.

    Raises:
        NoAnswer: squeue fails for another reason than not knowing the jobs.
    """
    wanted = set(jobs)
    if not wanted:
        return {}
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%M|%r", f"--jobs={_arrays(wanted)}"]
    try:
        done = _run(command)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoAnswer(str(error)) from None
    if done.returncode and "Invalid job id" not in done.stderr:
        raise NoAnswer(" ".join(done.stderr.split()) or f"squeue: exit code {done.returncode}")
    found: dict[str, State] = {}
    for line in done.stdout.splitlines():
        job, word, time, reason = (*line.strip().split("|", 3), "", "", "")[:4]
        if job in wanted:
            found[job] = State(word, "" if reason == "None" else reason, seconds_of(time))
    return found


def ends(jobs: Iterable[str]) -> dict[str, State]:
    """The states of jobs that squeue has forgotten, from SLURM's accounting; empty where there is none."""
    wanted = set(jobs)
    if not wanted:
        return {}
    command = ["sacct", "--noheader", "--allocations", "--parsable2", "--format=JobID,State,ElapsedRaw"]
    try:
        done = _run([*command, f"--jobs={_arrays(wanted)}"])
    except (OSError, subprocess.TimeoutExpired):
        return {}
    rows = [line.split("|") for line in done.stdout.splitlines() if line.count("|") == 2]
    return {
        job: State(word.split()[0], seconds=float(seconds or 0))  # "CANCELLED by 0"
        for job, word, seconds in rows
        if job in wanted and word
    }


def seconds_of(time: str) -> float:
    """squeue's ``days-hours:minutes:seconds``, of which the front may be missing; 0 where it is no time."""
    days, _, rest = time.rpartition("-")
    try:
        parts = [int(part) for part in rest.split(":")]
        return sum(part * 60**place for place, part in enumerate(reversed(parts))) + 86_400 * int(days or 0)
    except ValueError:
        return 0.0


def shown(jobs: Sequence[str]) -> list[str]:
    """Jobs as SLURM's commands take them: ``12_0 12_1 12_2 13_4`` as ``12_[0-2] 13_4``."""
    arrays: dict[str, list[int]] = {}
    for job in jobs:
        array, _, index = job.partition("_")
        arrays.setdefault(array, []).append(int(index or 0))
    return [
        f"{array}_[{_ranges(indices)}]" if len(indices) > 1 else f"{array}_{indices[0]}"
        for array, indices in arrays.items()
    ]


def _ranges(numbers: Sequence[int]) -> str:
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _arrays(jobs: Iterable[str]) -> str:
    """The arrays of the jobs, for ``--jobs=``: a list of hundreds of tasks would be a long command line."""
    return ",".join(sorted({job.partition("_")[0] for job in jobs}, key=int))


def _run(command: Sequence[str], given: str | None = None) -> subprocess.CompletedProcess[str]:
    # SQUEUE_USERS, SQUEUE_PARTITION and so on would hide jobs
    plain: Mapping[str, str] = {
        name: value for name, value in os.environ.items() if not name.startswith(("SQUEUE_", "SACCT_"))
    }
    return subprocess.run(
        command, input=given, env={**plain, "LC_ALL": "C"}, capture_output=True, text=True, check=False,
        timeout=SECONDS, stdin=subprocess.DEVNULL if given is None else None, start_new_session=True,  # for Ctrl-C
    )  # fmt: skip
