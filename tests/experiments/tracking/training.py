"""A process that tracks a run as training does, without training."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import psutil

from experiments.runs.records import RunFolder
from tests.experiments.conftest import ROOT

UPDATES = 30
TRAIN = """
    import logging, sys
    from experiments.runs.records import RunFolder
    from experiments.tracking.tracker import Tracker
    from tests.experiments.tracking.support import begin, finish, rows
    logging.basicConfig(format="%(message)s")
    folder, start, stop = RunFolder(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    begin(folder, start)
    with Tracker.start("auto", folder) as tracker:
        found = rows(range(start + 1, stop + 1), speed=float(start))
        for row in found:
            if row is found[len(found) // 2]:
                print("half", flush=True)
                sys.stdin.readline()
            folder.append(row)
            tracker.check()
        finish(folder, stop)
    print("trained to the end")
"""


def train(
    folder: RunFolder, at_half: Callable[[psutil.Process], object] = lambda process: None, start: int = 0, code: int = 0
) -> str:
    """Track a run to its end, something happening at its half; what it said."""
    command = [sys.executable, "-c", textwrap.dedent(TRAIN), str(folder.path), str(start), str(start + UPDATES)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        at_half(psutil.Process(process.pid))
        out, said = process.communicate(None if process.poll() is not None else "\n", timeout=120)
    assert (process.returncode, out) == (code, "" if code else "trained to the end\n"), said
    return said


def service(process: psutil.Process) -> psutil.Process:
    """wandb's own process, below the one that follows the run."""
    (found,) = [child for child in process.children(recursive=True) if child.name() == "wandb-core"]
    return found
