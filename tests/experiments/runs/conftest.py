"""A store with a run in every state, and the command line over it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from experiments.runs.__main__ import main
from tests.experiments.run_store import write_run

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """``python -m experiments.runs <words>`` over the store in ``tmp_path``: its exit code and what it printed."""

    def run(*words: str) -> tuple[int, str]:
        console = Console(file=io.StringIO(), width=80, soft_wrap=True, highlight=False)
        code = main([*words, f"results={tmp_path}"], console)
        return code, console.file.getvalue()

    return run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """rope twice, and of other encodings one run that failed, was interrupted, is running, was killed, is broken."""
    write_run(tmp_path, seed=1, loss=3.0)
    write_run(tmp_path, seed=2, loss=3.2)
    write_run(tmp_path, encoding="none", status="failed")
    write_run(tmp_path, encoding="spe", status="interrupted")
    write_run(tmp_path, encoding="lrpe_d", status="dead")
    write_run(tmp_path, encoding="permuteformer").record_path.write_text('{"schema": 1, "sta')
    with write_run(tmp_path, encoding="lrpe_unitary", status="dead").lock():
        yield tmp_path
