"""``python -m experiments.dashboard`` as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.dashboard.__main__ import PORT, read_arguments
from experiments.util.errors import UserError
from tests.experiments.dashboard.conftest import Write, rows_of

ROOT = Path(__file__).resolve().parents[3]


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "experiments.dashboard", *words]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_page_is_written_and_counted(write_run: Write, results: Path) -> None:
    write_run("rope", 1, rows=rows_of([5.0]))
    write_run("rope", 2, status="failed", error="boom")
    write_run("none", 1).record_path.write_text("{")
    done = run(LRPE_RESULTS=str(results))
    assert done.returncode == 0, done.stderr
    assert "3 runs (1 failed, 1 finished, 1 unreadable)" in done.stdout
    assert "warning:" in done.stderr
    assert "not a readable record" in done.stderr
    assert (results / "dashboard.html").read_text().startswith("<!doctype html>")


def test_the_page_can_lie_elsewhere(write_run: Write, results: Path, tmp_path: Path) -> None:
    write_run()
    done = run(f"results={results}", f"out={tmp_path / 'new' / 'page.html'}")
    assert done.returncode == 0, done.stderr
    assert '"root":"../results"' in (tmp_path / "new" / "page.html").read_text()
    assert not (results / "dashboard.html").exists()


def test_without_a_run_it_says_what_to_do(tmp_path: Path) -> None:
    done = run(f"results={tmp_path}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: no run below {tmp_path / 'runs'}")
    assert "make demo" in done.stderr


@pytest.mark.parametrize(
    ("words", "port"),
    [(["--serve"], PORT), (["--serve", "9000"], 9000), (["--serve", "0"], 0), (["serve=80"], 80), ([], None)],
)
def test_the_port_is_optional(words: list[str], port: int | None) -> None:
    assert read_arguments(words).serve == port
    assert read_arguments([*words, "results=x"]).results == "x"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reslts=x"], "did you mean 'results'"),
        (["--serve", "out=x.html"], "either out=<file>"),
        (["serve=many"], "serve=many"),
        (["--port"], "expected key=value"),
    ],
)
def test_mistakes_are_named(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_arguments(words)
