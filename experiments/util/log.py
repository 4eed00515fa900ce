"""Messages to the person at the terminal: every module's go through ``logging``, and from there to standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OWN = ("experiments", "data_prep")
FAIRSEQ = ("fairseq", "fairseq_cli", "py.warnings")  # during training: to its log alone


def set_up() -> None:
    """Show messages on standard error, from INFO on and those of libraries from WARNING on: by rich on a terminal, as
    lines elsewhere. Commands call it before they import fairseq, which else sets logging up for standard output."""
    logging.raiseExceptions = False  # a log that cannot be written ends no command
    for name in OWN:
        logging.getLogger(name).setLevel(logging.INFO)
    root = logging.getLogger()
    if not any(handler.name == __name__ for handler in root.handlers):
        handler = _terminal() if sys.stderr.isatty() else _Lines()
        handler.name = __name__
        root.addHandler(handler)


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """All messages to a file too, and fairseq's, which are many, to the file alone.

    Raises:
        OSError: at the message that the disk does not take.
    """
    file = _LogFile(path)
    file.setFormatter(logging.Formatter("%(asctime)s | %(levelname)s | %(name)s | %(message)s"))
    root, quiet = logging.getLogger(), [logging.getLogger(name) for name in FAIRSEQ]
    before = [(logger.level, logger.propagate) for logger in quiet]
    root.addHandler(file)
    for logger in quiet:
        logger.addHandler(file)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(file)
        for logger, (level, propagate) in zip(quiet, before, strict=True):
            logger.removeHandler(file)
            logger.setLevel(level)
            logger.propagate = propagate
        file.close()


def _terminal() -> logging.Handler:
    from rich.console import Console
    from rich.logging import RichHandler

    return RichHandler(console=Console(stderr=True), show_time=False, show_path=False, highlighter=None)


class _Lines(logging.StreamHandler):
    """``warning: ...``, and information as it is, on what is standard error at that time."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        return level + super().format(record)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _LogFile(logging.FileHandler):
    """A log whose disk fails the run, as its other files do, instead of printing a traceback for every line."""

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exception(), OSError):
            raise
        super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):  # every line was flushed; the one that could not be has been reported
            super().close()
