"""Where a study's runs lie, and compositions of a config that are made once."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from experiments.config import compose
from experiments.tuning import request


@functools.cache
def composed_once(words: tuple[str, ...]) -> dict[str, Any]:
    return OmegaConf.to_container(compose(list(words)))  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _places(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def quickly(words: list[str]) -> DictConfig:
        config = OmegaConf.create(composed_once(tuple(words)))
        if not any(word.startswith("paths.results=") for word in words):
            config.paths.results = str(tmp_path)
        return config

    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path))
    monkeypatch.setattr(request, "compose", quickly)
