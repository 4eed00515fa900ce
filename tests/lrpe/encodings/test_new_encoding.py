"""docs/add-an-encoding.md, carried out: one file and one YAML are a new encoding, and nothing else is edited."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import walkthrough
from tests.experiments.conftest import SMALL, environment, only_run, write_corpus


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "add-an-encoding.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def checkout(root: Path, page: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the product with the page's two files in it."""
    return walkthrough.copy_with(page, root, tmp_path_factory.mktemp("walkthrough") / "checkout")


def test_the_new_encoding_is_what_its_matrix_says(checkout: Path, page: str) -> None:
    *_, example = walkthrough.blocks(page, "python")
    done = subprocess.run([sys.executable, "-c", example], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_new_encoding_trains_by_the_command(checkout: Path, page: str, tmp_path: Path) -> None:
    from data_prep.api import prepare

    prepare("wikitext2", out=tmp_path / "data", source=write_corpus(tmp_path / "source"), allow_other_counts=True)
    (words,) = walkthrough.commands(page)
    small = [word for word in SMALL if not word.startswith(("recipe.max_update", "recipe.warmup_updates"))]
    done = subprocess.run(
        [sys.executable, *words, *small, "recipe.tokens_per_sample=32"],
        cwd=checkout, env=environment(tmp_path / "data", tmp_path / "results"), capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    folder = only_run(tmp_path / "results")
    assert json.loads((folder / "record.json").read_text())["status"] == "finished"
    assert "name: cosformer" in (folder / "config.yaml").read_text()
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows if row["split"] == "train"] == [1, 2]


def test_images_are_refused_to_an_encoding_of_sequences(checkout: Path) -> None:
    code = (
        "from lrpe.models import VisionConfig, VisionTransformer\n"
        "VisionTransformer(VisionConfig.tiny(encoding={'name': 'cosformer'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=False)
    assert "'cosformer' has no option 'ndim', so it encodes sequences alone" in done.stderr
