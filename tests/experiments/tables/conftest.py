"""A table command whose runs are made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.tables.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return Workshop(tmp_path / "results")
