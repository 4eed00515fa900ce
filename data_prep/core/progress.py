"""One line that says how far a preparation is."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Progress:
    """Rewrites its line once a second on a terminal; elsewhere prints a line every half minute.

    Args:
        name: of the data set, at the start of each line.
        stream: standard error unless given, so that standard output stays the result's.
    """

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        self._name = name
        self._stream = stream if stream is not None else sys.stderr
        self._live = self._stream.isatty()
        self._interval = 1.0 if self._live else 30.0
        self._last = time.monotonic()
        self._open = False

    def show(self, step: str, count: int, unit: str = "tokens") -> None:
        """``name: step, 12,345,678 tokens``, if it is time for it."""
        now = time.monotonic()
        if now - self._last < self._interval:
            return
        self._last = now
        line = f"{self._name}: {step}, {count:,} {unit}"
        print(f"\r{line:<70}" if self._live else line, end="" if self._live else "\n", file=self._stream, flush=True)
        self._open = self._live

    def close(self) -> None:
        """Remove the live line."""
        if self._open:
            print(f"\r{'':<70}\r", end="", file=self._stream, flush=True)
            self._open = False
