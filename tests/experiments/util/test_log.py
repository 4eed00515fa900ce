"""One logger: ours on standard error, fairseq's lines in a run's log, and nobody else's handlers touched."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.util import log

OURS, THEIRS = logging.getLogger("experiments.test"), logging.getLogger("fairseq.trainer")


@pytest.fixture
def terminal() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = others = [handler for handler in before if handler.name != log.__name__]
    log.set_up()
    log.set_up()
    assert len(root.handlers) == len(others) + 1, "once, beside the handlers that were there"
    yield
    root.handlers[:] = before


@pytest.mark.usefixtures("terminal")
def test_messages_are_lines_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    OURS.info("100%% of %d", 3)
    OURS.warning("careful")
    logging.getLogger("library").info("chatter")
    logging.getLogger("library").warning("it matters")
    assert capsys.readouterr() == ("", "100% of 3\nwarning: careful\nwarning: it matters\n")


@pytest.mark.usefixtures("terminal")
def test_in_training_fairseqs_lines_go_to_the_log_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with log.log_to(tmp_path / "train.log"):
        THEIRS.info("begin training epoch 1")
        warnings.warn("of torch", stacklevel=1)
        OURS.warning("careful")
    THEIRS.info("after the run")
    assert capsys.readouterr().err == "warning: careful\n"
    lines = (tmp_path / "train.log").read_text()
    assert " | INFO | fairseq.trainer | begin training epoch 1\n" in lines
    assert "of torch" in lines
    assert " | WARNING | experiments.test | careful\n" in lines
    assert "after the run" not in lines


@pytest.mark.usefixtures("terminal")
def test_a_full_disk_ends_the_run_and_a_closed_terminal_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull) as closed:
        monkeypatch.setattr("sys.stderr", closed)
        OURS.warning("nobody reads this")
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match="No space left"), log.log_to(full):
        THEIRS.info("no room for this")
