"""Child processes: start them, wait for them, pass signals on to them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

from experiments.launch.early_signals import WARNINGS
from experiments.launch.exit_codes import REQUEUE
from experiments.runs.records import RunFolder

GRACE_SECONDS = 60
LOOK_SECONDS = 0.5  # between two looks at a run that another process holds


class Stopped(KeyboardInterrupt):
    """A signal asked for the end; the runs have been asked to end too."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Children:
    """The training processes that are running now.

    Each is a session of its own, so that one Ctrl-C reaches it once, from here, and it can end in order.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def wait_for(self, path: Path, name: str, say: Callable[[str], None]) -> bool:
        """Wait while another process holds the run of a folder; False where a signal ended the waiting."""
        folder, said = RunFolder(path), False
        while folder.held() and not self._stopping:
            if not said:
                say(f"{name}: in use by {folder.holder()}; waiting for it")
                said = True
            time.sleep(LOOK_SECONDS)
        return not self._stopping

    def launch(self, command: Sequence[str], log: Path | None, environment: Mapping[str, str]) -> int:
        """Run a command to its end, on this terminal or into ``log``, and return its exit code."""
        with open(log, "wb") if log else nullcontext() as out:
            with self._lock:
                if self._stopping:
                    return REQUEUE
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT if out else None,
                    env={**os.environ, **environment},
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                return process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)

    @property
    def stopping(self) -> bool:
        """Whether they have been asked to end; no further one starts then."""
        return self._stopping

    def stop(self, number: int) -> None:
        """Pass a signal on, and kill what has not ended a minute later."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for process in running:
            process.send_signal(number)
        deadline = time.monotonic() + GRACE_SECONDS
        try:
            for process in running:
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            for process in running:
                process.kill()


Launch = Callable[[Sequence[str], Path | None, Mapping[str, str]], int]


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Turn the signals that end a program into :class:`Stopped`, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    with _handling(stop):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """What must not be left half done: a signal is obeyed at the end of the context."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    try:
        with _handling(lambda number, frame: came.append(number)):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGHUP, *WARNINGS)}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
