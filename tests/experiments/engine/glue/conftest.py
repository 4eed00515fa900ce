"""Three sentence tasks, and a fine-tuning on one of them with the pretraining that it asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.api import prepare_task
from experiments.engine import checkpoints
from tests.experiments.conftest import TINY_GLUE, run_module
from tests.experiments.engine.glue.support import ENCODING, write_tables


@pytest.fixture(scope="session")
def data(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data root with the small corpus and three sentence tasks in its words."""
    tables = write_tables(tmp_path_factory.mktemp("tables"))
    for task in ("cola", "rte", "stsb"):
        prepare_task(task, tiny_data / "wikitext2", out=tiny_data, source=tables, allow_other_counts=True)
    return tiny_data


@pytest.fixture(scope="session")
def results(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretraining and the fine-tuning on RTE that asked for it."""
    folder = tmp_path_factory.mktemp("glue")
    run_module("experiments.train", data, folder, *TINY_GLUE, ENCODING, "task=rte")
    return folder


@pytest.fixture
def _places(data: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_DATA", str(data))
    monkeypatch.setenv("LRPE_RESULTS", str(results))
    checkpoints.install()
