"""wandb as a view of a run: it never prompts, never prints, and never stops training.

``history.jsonl`` is the truth. A process beside the run reads it and sends it to wandb
(:mod:`experiments.tracking.follow`); training waits for that process at its end only, and not for long. Whatever goes
wrong there is said once, with the command that sends the rest.
"""

from __future__ import annotations

import logging
import os
import select
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from experiments.launch.ranks import read_ranks
from experiments.runs.records import RunFolder
from experiments.tracking.follow import ANONYMOUS, READY, REFUSED
from experiments.tracking.setup import Limits, mode_from_environment
from experiments.tracking.waiting import GRACE_SECONDS
from experiments.util.errors import UserError, nearest

LOGGER = logging.getLogger(__name__)
MODES = ("auto", "wandb", "offline", "disabled")


class Tracker:
    """The tracker of one run; use it as a context manager around the run, its record closed inside."""

    def __init__(
        self, folder: RunFolder, process: subprocess.Popen[str] | None, limits: Limits, quiet: bool = True
    ) -> None:
        self._folder, self._process, self._limits = folder, process, limits
        self._quiet = quiet  # about missing credentials

    @classmethod
    def start(cls, mode: str, folder: RunFolder) -> Self:
        """Follow the run in ``folder``, whose record was begun.

        ``mode``: ``auto`` (``WANDB_MODE`` where it is set; else online where wandb has credentials), ``wandb``
        (online), ``offline`` (to be uploaded later) or ``disabled``. Ranks other than 0 track nothing.

        Raises:
            UserError: an unknown mode or time limit; under ``wandb`` also settings that wandb refuses, and no
                credentials.
        """
        if mode not in MODES:
            raise UserError(f"tracker.mode={mode}: expected one of {', '.join(MODES)}{nearest(mode, MODES)}")
        chosen = mode_from_environment() or mode if mode == "auto" else mode
        if read_ranks().rank != 0 or chosen == "disabled":
            return cls(folder, None, Limits())
        limits = Limits.from_environment()
        if chosen == "offline":
            if mode == "offline":
                LOGGER.info("tracking offline; %s", _later(folder))
            return cls(folder, None, limits)
        process = _follow(folder)
        if mode == "wandb":
            _check(process, limits.start)
        return cls(folder, process, limits, quiet=chosen == "auto")

    @property
    def active(self) -> bool:
        """Whether rows still reach wandb, as far as is known."""
        return self._process is not None

    def check(self) -> None:
        """Say, once, where the process has given up; a call costs microseconds."""
        if self._process is not None and self._process.poll() is not None:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.write("ended\n")
            self._process.stdin.flush()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2 * self._limits.finish + 2 * GRACE_SECONDS)
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        code = process.poll()
        why = "wandb cannot be reached" if code is None else _said(process) or f"wandb failed (exit code {code})"
        if code != 0 and not (code == ANONYMOUS and self._quiet):
            LOGGER.warning("%s; training goes on, history.jsonl keeps every row; %s", why, _later(self._folder))
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):
                assert stream is not None
                stream.close()


def _follow(folder: RunFolder) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.tracking.follow", str(folder.path.absolute())],
        env={name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"},  # of another process
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is the run's
    )


def _check(process: subprocess.Popen[str], seconds: float) -> None:
    """Wait for the process's first words.

    Raises:
        UserError: it refuses the settings, or has no credentials.
    """
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], seconds)[0]:
        return  # a slow machine; what goes wrong later is said later
    first = process.stdout.readline().strip()
    if first == READY:
        return
    with suppress(subprocess.TimeoutExpired):
        code = process.wait(GRACE_SECONDS)
        if code == ANONYMOUS:
            raise UserError(f"tracker=wandb: {first}. Or give tracker=offline")
        if code == REFUSED:
            raise UserError(first)


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.read().strip().removeprefix(READY).strip()


def _later(folder: RunFolder) -> str:
    """The command that uploads a run."""
    experiment, name, seed = folder.path.parts[-3:]
    words = [f"experiment={experiment}", f"encoding={name.rpartition('-')[0]}", f"seed={seed.removeprefix('seed')}"]
    if (results := folder.path.parents[3]) != Path("results"):
        words.append(f"results={results}")
    return f"upload it later with: python -m experiments.runs upload {shlex.join(words)}"
