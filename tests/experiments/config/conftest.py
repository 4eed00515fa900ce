"""Configs of every family under both protocols, at the paper's width with one layer, on small data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from data_prep.api import prepare
from experiments.config import compose
from tests.data_prep.images.support import write_folder

Composed = Callable[..., Any]


@pytest.fixture(scope="session")
def composed(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Composed:
    """``composed(family, protocol, encoding)``: a validated config."""
    images = tmp_path_factory.mktemp("images")
    prepare("cifar10", out=images, source=write_folder(images / "source", train=12, valid=4), allow_other_counts=True)
    text = [f"data.folder={tiny_data / 'wikitext2'}"]
    data = {
        "alm": text,
        "blm": text,
        "glue": [*text, "pretraining.start=scratch"],
        "imagenet": ["data=cifar10", f"paths.data={images}", "recipe.batch_size=4"],
    }

    @cache
    def composed(family: str, protocol: str, encoding: str = "lrpe_orthogonal") -> Any:
        words = [f"experiment={family}", "profile=paper", f"protocol={protocol}", f"encoding={encoding}"]
        return compose([*words, "model.num_layers=1", *data[family]])

    return composed
