"""A SLURM of stand-ins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from experiments.launch.slurm.executor import SlurmExecutor
from tests.experiments.launch.slurm.stand_in import StandIn


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{stand_in.bin}:{os.environ['PATH']}")
    monkeypatch.setattr(SlurmExecutor, "look_seconds", 0.02)
    monkeypatch.setattr(SlurmExecutor, "line_seconds", 0.0)
    return stand_in
