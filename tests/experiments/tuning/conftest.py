"""Where a study's runs lie, and compositions of a config that are made once."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import pytest
from omegaconf import DictConfig, read_write

from experiments.config import compose
from experiments.tuning import request


@functools.cache
def composed_once(words: tuple[str, ...]) -> DictConfig:
    return compose(list(words))


@pytest.fixture(autouse=True)
def _places(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def quickly(words: list[str]) -> DictConfig:
        config = copy.deepcopy(composed_once(tuple(words)))
        if not any(word.startswith("paths.results=") for word in words):
            with read_write(config):
                config.paths.results = str(tmp_path)
        return config

    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path))
    monkeypatch.setattr(request, "compose", quickly)
