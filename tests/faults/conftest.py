"""The data that tests of faults read."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.api import prepare, prepare_task
from tests.data_prep.images.support import write_folder
from tests.data_prep.sentence_tasks.support import write_task
from tests.experiments.conftest import tiny_data, write_corpus  # noqa: F401 - a fixture


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root (LRPE_DATA) with what every family's small run reads."""
    folder = tmp_path_factory.mktemp("data")
    prepare("wikitext2", out=folder, source=write_corpus(folder / "text", lines=60), allow_other_counts=True)
    tables = write_task(folder / "tables", "rte", rows=40)
    prepare_task("rte", folder / "wikitext2", out=folder, source=tables, allow_other_counts=True)
    images = write_folder(folder / "images", train=12, valid=4)
    prepare("cifar10", out=folder, source=images, allow_other_counts=True)
    return folder
