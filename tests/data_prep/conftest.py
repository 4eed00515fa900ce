"""The embedded corpora, prepared once."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.api import prepare


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root of prepared data for what needs no download; tests add to it and change nothing that is there."""
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture(scope="session")
def pydoc(embedded: Path) -> Path:
    """The embedded corpus in words."""
    return prepare("pydoc", embedded)


@pytest.fixture(scope="session")
def pydoc_bpe(embedded: Path) -> Path:
    """The embedded corpus in pieces."""
    return prepare("pydoc_bpe", embedded)
