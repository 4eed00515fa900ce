"""One make target a table."""

from __future__ import annotations

import os
import subprocess

import pytest

from experiments.tables.spec import table_names
from tests.experiments.tables.support import ROOT

# What a make that runs the tests hands down: its flags, and the variables of its command line.
OUTER = (
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "MAKEOVERRIDES",
    "ARGS",
    "PROFILE",
    "PROTOCOL",
    "SEEDS",
    "JOBS",
    "LAUNCHER",
)


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """``make`` as a person calls it; with -n nothing is run, nor set up."""
    inner = {name: value for name, value in os.environ.items() if name not in OUTER}
    return subprocess.run(
        ["make", *words], cwd=ROOT, env=inner, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("name", table_names())
def test_every_table_is_a_target(name: str) -> None:
    (command,) = [
        line
        for line in make("-n", f"table-{name}", "PROFILE=small", "SEEDS=2", "PROTOCOL=both").stdout.splitlines()
        if "experiments.table" in line
    ]
    assert command.split()[1:] == [
        "-m", "experiments.table", "profile=small", "protocol=both", "seeds=2", f"table={name}",
    ]  # fmt: skip


def test_jobs_and_the_launcher_are_passed_on_only_where_they_are_given() -> None:
    """``jobs=`` has no effect on a cluster, where it is refused."""
    assert "jobs=4" in make("-n", "table-alm", "JOBS=4").stdout
    assert "jobs=" not in make("-n", "table-imagenet").stdout, "the table itself knows how many runs the cores hold"
    for name in ("alm", "imagenet"):
        on_slurm = make("-n", f"table-{name}", "LAUNCHER=slurm").stdout
        assert "launcher=slurm" in on_slurm
        assert "jobs=" not in on_slurm


def test_tables_makes_all_of_them() -> None:
    lines = [line for line in make("-n", "tables").stdout.splitlines() if "experiments.table" in line]
    assert sorted(line.rpartition("table=")[2] for line in lines) == table_names()


def test_a_wrong_name_lists_the_right_ones_and_needs_no_set_up() -> None:
    done = make("table-alme")
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"no table 'alme' (conf/table/alme.yaml); there are: {' '.join(table_names())}" in done.stderr


def test_help_shows_the_papers_tables() -> None:
    shown = make("help").stdout
    assert all(f"  table-{name}" in shown for name in ("alm", "blm", "glue", "imagenet", "%"))
