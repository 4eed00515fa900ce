"""docs/add-a-data-set.md, docs/add-a-table.md and docs/add-a-family.md, carried out as they stand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from data_prep.api import prepare
from tests import walkthrough
from tests.experiments.conftest import SMALL, environment, only_run, write_corpus

SHORTER = [word for word in SMALL if not word.startswith(("recipe.max_update", "recipe.warmup_updates"))]


def run(checkout: Path, words: list[str], data: Path, results: Path) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=checkout, env=environment(data, results), capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def test_the_new_data_set_is_prepared_and_trained_by_the_commands(root: Path, tmp_path: Path) -> None:
    page = (root / "docs" / "add-a-data-set.md").read_text(encoding="utf-8")
    checkout = walkthrough.copy_with(page, root, tmp_path / "checkout")
    texts = checkout / "texts"
    texts.mkdir()
    for split, lines in (("train", 400), ("valid", 40), ("test", 40)):
        (texts / f"{split}.txt").write_text("".join(f"word{i % 7} says word{i % 5} twice\n" for i in range(lines)))
    prepare, train = walkthrough.commands(page)
    out = run(checkout, prepare, tmp_path / "data", tmp_path / "results")
    assert "identity" in out
    run(checkout, [*train, *SHORTER, "recipe.tokens_per_sample=32"], tmp_path / "data", tmp_path / "results")
    folder = only_run(tmp_path / "results")
    record = json.loads((folder / "record.json").read_text())
    assert record["status"] == "finished"
    assert record["manifest"]["data"]["name"] == "books"


def test_the_new_family_is_trained_and_evaluated_by_the_commands(root: Path, tmp_path: Path) -> None:
    data, results = tmp_path / "data", tmp_path / "results"
    prepare("wikitext2", out=data, source=write_corpus(data / "source"), allow_other_counts=True)
    page = (root / "docs" / "add-a-family.md").read_text(encoding="utf-8")
    checkout = walkthrough.copy_with(page, root, tmp_path / "checkout")
    train, evaluate = walkthrough.commands(page)
    run(checkout, [*train, *SHORTER, "recipe.tokens_per_sample=32"], data, results)
    folder = only_run(results)
    record = json.loads((folder / "record.json").read_text())
    assert record["run"]["experiment"] == "copying"
    assert record["status"] == "finished"
    copied = record["metrics"]["test_copied"]
    out = run(checkout, [word.replace("RUN", str(folder)) for word in evaluate], data, results)
    assert f"test: copied {copied:.4f}" in out
    assert 0 <= copied <= 100


def test_the_new_table_is_trained_and_rendered_by_the_commands(root: Path, tmp_path: Path) -> None:
    page = (root / "docs" / "add-a-table.md").read_text(encoding="utf-8")
    checkout = walkthrough.copy_with(page, root, tmp_path / "checkout")
    dry, train = walkthrough.commands(page)
    assert "2 of 2 runs to train" in run(checkout, dry, tmp_path / "data", tmp_path / "results")
    run(
        checkout,
        [*train, *SMALL, "recipe.max_update=2", "recipe.warmup_updates=1", "tracker=disabled"],
        tmp_path / "data",
        tmp_path / "results",
    )
    (table,) = (tmp_path / "results" / "tables").glob("mine*.md")
    assert "RoPE" in table.read_text(encoding="utf-8")
