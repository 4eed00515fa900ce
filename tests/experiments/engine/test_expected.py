"""The demo presets reach the losses that results/expected keeps, so that a wrong installation is seen early."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_prep.api import load_manifest, prepare
from experiments.config import compose, identity
from experiments.runs.expected import LOOSE_TOLERANCE, TOLERANCE, Watch, load_expected
from tests.experiments.conftest import only_run, run_module
from tests.experiments.engine.support import curve_of

UPDATES = (20, 40)


@pytest.fixture(scope="module")
def pydoc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    prepare("pydoc", out=root)
    return root


@pytest.mark.parametrize("encoding", [pytest.param("none", marks=pytest.mark.slow), "lrpe_unitary"])
def test_the_first_updates_of_the_demo_are_as_expected(encoding: str, pydoc: Path, tmp_path: Path) -> None:
    expected = load_expected("alm", "demo")
    overrides = [f"encoding={encoding}", "profile=demo", "recipe.max_update=40", "tracker=disabled", "engine.threads=1"]
    run_module("experiments.train", pydoc, tmp_path, *overrides)
    rows = [json.loads(line) for line in (only_run(tmp_path) / "history.jsonl").read_text().splitlines()]
    found = {row["update"]: row["loss"] for row in rows if row["split"] == "train"}
    same_text = load_manifest(pydoc / "pydoc")["identity"] == expected["data"]["identity"]
    for update in UPDATES:
        losses = expected["encodings"][encoding]["train"]
        assert found[update] == pytest.approx(losses[update], abs=TOLERANCE if same_text else LOOSE_TOLERANCE)


def test_the_first_updates_of_the_masked_demo_are_as_expected(pydoc: Path, tmp_path: Path) -> None:
    prepare("pydoc_bpe", out=pydoc)
    expected = load_expected("blm", "demo")
    words = ["experiment=blm", "encoding=rope", "profile=demo", "tracker=disabled", "engine.threads=1"]
    # the learning rate falls towards the last update, so that the schedule keeps its own
    words += ["recipe.max_update=40", "+engine.fairseq.lr_scheduler.total_num_update=400"]
    run_module("experiments.train", pydoc, tmp_path, *words)
    found = {row["update"]: row["loss"] for row in curve_of(only_run(tmp_path)) if row["split"] == "train"}
    same_text = load_manifest(pydoc / "pydoc_bpe")["identity"] == expected["data"]["identity"]
    for update in UPDATES:
        losses = expected["encodings"]["rope"]["train"]
        assert found[update] == pytest.approx(losses[update], abs=TOLERANCE if same_text else LOOSE_TOLERANCE)


def test_every_row_of_the_masked_demo_table_is_far_below_a_unigram_model() -> None:
    expected = load_expected("blm", "demo")["encodings"]
    assert set(expected) >= {"none", "rope", "lrpe_unitary", "lrpe_orthogonal", "lrpe_permutation"}
    for encoding in expected.values():
        assert min(encoding["valid"].values()) < 6.15, "a unigram model has 6.38"


def test_every_row_of_the_demo_table_has_expected_losses_far_below_a_unigram_model() -> None:
    expected = load_expected("alm", "demo")["encodings"]
    assert set(expected) >= {"none", "rope", "lrpe_unitary", "lrpe_orthogonal", "lrpe_permutation"}
    for encoding in expected.values():
        assert min(encoding["valid"].values()) < 5.1, "a unigram model has 5.9"


def test_a_run_that_differs_is_told(pydoc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_DATA", str(pydoc))
    config = compose(["encoding=none", "profile=demo"])
    same = {"split": "valid", "update": 100, "loss": 5.0}
    content = {"encodings": {"none": {"identity": identity(config), "seed": 1, "train": {}, "valid": {100: 5.0}}}}
    monkeypatch.setattr("experiments.runs.expected.load_expected", lambda experiment, profile: content)
    watch = Watch(config, identity(config))
    assert watch.warning(same) is None
    assert watch.warning({**same, "update": 101, "loss": 9.0}) is None
    assert "computes something else" in (watch.warning({**same, "loss": 5.2}) or "")
    assert Watch(compose(["encoding=none", "seed=2"]), identity(config)).warning({**same, "loss": 9.0}) is None
