"""Vocabularies shared by the tests of sentence tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.api import prepare_task

from .support import word_tokens


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus of words."""
    return word_tokens(tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="session")
def pydoc_order(pydoc_bpe: Path, embedded: Path) -> Path:
    """An embedded task in the embedded corpus' pieces."""
    return prepare_task("pydoc_order", pydoc_bpe, embedded)


@pytest.fixture(scope="session")
def glue(shared_data: Path) -> Path:
    """GLUE's own folders, the real ones."""
    folder = shared_data / "glue"
    if not folder.is_dir():
        pytest.skip(f"no GLUE at {folder}")
    return folder
