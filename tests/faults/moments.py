"""Runs that a signal meets at a chosen moment: hooks patched into a process that is forked warm, so that a start costs
no imports."""

from __future__ import annotations

import io
import json
import logging
import mmap
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import torch
import torch._dynamo
from fairseq.trainer import Trainer
from omegaconf import DictConfig

from experiments import train
from experiments.config import compose
from experiments.engine import session
from experiments.engine.progress import RunProgress
from experiments.engine.signals import Stopping
from experiments.runs.records import RunFolder
from experiments.util.errors import UserError
from experiments.util.log import set_up

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([__name__])
IMPORTED_LATE = (session, torch._dynamo)  # by a run; here before the fork
SECONDS = 300  # against a hang; how long a run takes is not tested

_save = torch.save


@dataclass(frozen=True)
class Moment:
    """The first time that a process comes to ``place`` with ``update`` updates behind it; ``number`` is sent then."""

    place: str
    update: int = 0
    number: int = signal.SIGKILL
    delay: float = 0.0

    def wait(self) -> None:
        """Patch this process so that the moment comes."""
        reached, met = [0], []

        def now(chosen: bool = True) -> bool:
            return chosen and not met and reached[0] >= self.update

        def strike() -> None:
            met.append(True)
            self.strike()

        def count(trainer: Trainer, updates: int) -> None:
            reached[0] = updates

        _before(Trainer, "set_num_updates", count)
        _PLACES[self.place](self, now, strike)

    def strike(self) -> None:
        os.kill(os.getpid(), self.number)


def _before(owner: Any, name: str, act: Callable[..., None]) -> None:
    original = getattr(owner, name)

    def patched(*arguments: Any, **options: Any) -> Any:
        act(*arguments, **options)
        return original(*arguments, **options)

    setattr(owner, name, patched)


def _in_method(owner: Any, name: str, moment: Moment, now: Callable[..., bool], strike: Callable[[], None]) -> None:
    _before(owner, name, lambda *arguments, **options: strike() if now() else None)


def _in_a_checkpoint(moment: Moment, now: Callable[..., bool], strike: Callable[[], None]) -> None:
    def half(state: Any, file: Any) -> None:
        if now():
            whole = io.BytesIO()
            _save(state, whole)
            file.write(whole.getvalue()[: whole.tell() // 2])
            file.flush()
            strike()

    _before(torch, "save", half)


def _before_a_name(pattern: str, moment: Moment, now: Callable[..., bool], strike: Callable[[], None]) -> None:
    _before(os, "replace", lambda source, target: strike() if now(Path(target).match(pattern)) else None)


def _in_a_history_row(moment: Moment, now: Callable[..., bool], strike: Callable[[], None]) -> None:
    def torn(folder: RunFolder, row: Mapping[str, Any]) -> None:
        if now():
            with open(folder.history_path, "a", encoding="utf-8") as file:
                file.write('{"update": 1')
            strike()

    _before(RunFolder, "append", torn)


def _in_a_row_that_needs_room(moment: Moment, now: Callable[..., bool], strike: Callable[[], None]) -> None:
    def grow(folder: RunFolder, row: Mapping[str, Any]) -> None:
        size = folder.history_path.stat().st_size if folder.history_path.exists() else 0
        if now(_needs_room(size, len(json.dumps(row)) + 1)):
            strike()

    _before(RunFolder, "append", grow)


def _in_a_log_line(moment: Moment, now: Callable[..., bool], strike: Callable[[], None]) -> None:
    def pad(handler: logging.FileHandler, line: logging.LogRecord) -> None:
        log = Path(handler.baseFilename)
        if now(log.name == "train.log"):
            with log.open("a") as file:
                file.write("\n" * (-log.stat().st_size % mmap.PAGESIZE))
            strike()

    _before(logging.FileHandler, "emit", pad)


def _needs_room(size: int, more: int) -> bool:
    """Whether a file that grows so needs another page: within its last one it grows on a full disk too."""
    return -(-(size + more) // mmap.PAGESIZE) > -(-size // mmap.PAGESIZE)


def _at_an_epochs_end(moment: Moment, now: Callable[..., bool], strike: Callable[[], None]) -> None:
    _before(Stopping, "_after_update", lambda *arguments: strike() if now(arguments[-1]) else None)


def _soon_after(moment: Moment, now: Callable[..., bool], strike: Callable[[], None]) -> None:
    def begin(*arguments: Any, **options: Any) -> None:
        if now():
            threading.Timer(moment.delay, strike).start()

    _before(Trainer, "train_step", begin)


_PLACES: dict[str, Callable[[Moment, Callable[..., bool], Callable[[], None]], None]] = {
    "in a record": partial(_before_a_name, "record.json"),
    "before a record": partial(_in_method, RunFolder, "_write"),
    "in an update": partial(_in_method, Trainer, "clip_grad_norm"),
    "soon after": _soon_after,
    "in a row that needs room": _in_a_row_that_needs_room,
    "in a log line": _in_a_log_line,
    "in a history row": _in_a_history_row,
    "at an epoch's end": _at_an_epochs_end,
    "between epochs": partial(_in_method, Trainer, "lr_step"),
    "in validation": partial(_in_method, Stopping, "check_validation"),
    "in a checkpoint": _in_a_checkpoint,
    "before a checkpoint's name": partial(_before_a_name, "checkpoint_[0-9]*_*.pt"),
    "before the last checkpoint's name": partial(_before_a_name, "checkpoint_last.pt"),
    "after the last update": partial(_in_method, RunProgress, "close"),
}


class Fault(Protocol):
    """What happens to a process."""

    def wait(self) -> None: ...


def _run(config: DictConfig, environment: Mapping[str, str], log: Path, fault: Fault | None) -> None:
    with log.open("a") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.environ.update(environment)
    logging.getLogger().handlers.clear()  # fairseq was imported before the command could set up logging
    set_up()
    multiprocessing.set_start_method("fork", force=True)  # of data loaders: a process of its own has it
    if fault is not None:
        fault.wait()
    try:
        code = train.run(config)
    except UserError as error:
        code = 2
        print(f"error: {error}", file=sys.stderr)
    raise SystemExit(code)


@dataclass(frozen=True)
class Command:
    """``python -m experiments.train words...`` with its data and results."""

    words: Sequence[str]
    data: Path
    results: Path

    @cached_property
    def config(self) -> DictConfig:
        return compose([*self.words, f"paths.data={self.data}", f"paths.results={self.results}"])

    @property
    def log(self) -> Path:
        """What its processes printed."""
        return self.results / "printed.txt"

    def start(self, fault: Fault | None = None, **environment: str) -> BaseProcess:
        self.results.mkdir(parents=True, exist_ok=True)
        process = SERVER.Process(target=_run, args=(self.config, environment, self.log, fault))
        process.start()
        return process

    def ends_with(self, code: int, fault: Fault | None = None) -> None:
        """Run it; a signal's number is negative.

        Raises:
            AssertionError: it ended otherwise.
        """
        self.ended(self.start(fault), code, fault)

    def ended(self, process: BaseProcess, code: int, fault: Fault | None = None) -> None:
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
        assert process.exitcode == code, f"{fault}: exit code {process.exitcode}\n{self.log.read_text()[-3000:]}"
