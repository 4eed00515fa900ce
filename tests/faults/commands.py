"""Entry points as a person calls them, in this process: what imports cost is paid once."""

from __future__ import annotations

import contextlib
import io
import logging
import runpy
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from hydra.core.singleton import Singleton

SECONDS = 300  # against a hang; how long a command takes is not tested


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The one message of a refusal.

        Raises:
            AssertionError: it ended in another way than a refusal does.
        """
        assert "Traceback" not in self.err + self.out, self.err[-3000:]
        assert self.code == 2, f"exit code {self.code}: {self.err[-2000:]}"
        assert self.err.count("error: ") >= 1, self.err
        return self.err.partition("error: ")[2].strip()


class TooLong(BaseException):
    """A command did not end in time."""


def call(module: str, *words: str, seconds: int = SECONDS) -> Outcome:
    """``python -m module words...``; an exception that would reach a person becomes its traceback on standard error."""
    out, err = io.StringIO(), io.StringIO()
    argv, state, handlers = sys.argv, Singleton.get_state(), logging.getLogger().handlers[:]
    sys.argv = [module, *words]
    code: str | int | None = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _limit(seconds):
        try:
            runpy.run_module(module, run_name="__main__")
        except SystemExit as end:
            code = end.code
            if isinstance(code, str):
                print(code, file=sys.stderr)
                code = 1
        except Exception:
            traceback.print_exc()
            code = 1
        finally:
            sys.argv = argv
            Singleton.set_state(state)
            logging.getLogger().handlers[:] = handlers
    return Outcome(int(code or 0), out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _limit(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise TooLong(f"no end after {seconds} seconds")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
