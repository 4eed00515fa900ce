"""What a person reads before a run starts, or when it cannot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from experiments.config import compose, run_directory
from experiments.engine import checkpoints
from experiments.engine.distributed import find_context
from experiments.engine.plan import make_plan
from experiments.engine.session import train_run
from experiments.util.errors import UserError
from lrpe.ops import registry
from tests.experiments.conftest import TINY


@pytest.fixture(autouse=True)
def _places(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path / "results"))


def test_the_plan_counts_what_the_encoding_brings_and_the_batch() -> None:
    config = compose([*TINY, "encoding=lrpe_unitary_learned", "engine.samples_per_device=2"])
    plan = make_plan(config, world_size=1)
    assert plan.encoding_parameters == 2 * 16, "one angle a feature of a head, in each of two layers"
    assert plan.counting.per_update == 4 * 32
    text = plan.text("a run", world_size=1)
    for said in ("32 of them new", "128 tokens per update", "2 samples x 2 passes x 1 devices", "1,536 tokens in all"):
        assert said in text
    none = make_plan(compose([*TINY, "encoding=none"]), world_size=1)
    assert plan.parameters - none.parameters == 32
    assert "new to the encoding" not in none.text("a run", world_size=1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["encoding=rope", "model.embed_dim=30"], "even"),
        (["encoding=lrpe_orthogonal", "encoding.options.projection=dft"], "unitary"),
        (["encoding=lrpe_orthogonal", "encoding.options.projection=houshold"], "householder"),
        (["encoding=lrpe_orthogonal", "encoding.options.angle_schedule=uniform"], "max_length"),
        (["attention.feature_map=cosformer"], "max_length"),
        (["engine.samples_per_device=3"], "engine.samples_per_device=2"),
        (["+engine.fairseq.common.fp17=true"], "fp16"),
        (["engine.device=cuda"], "no GPU"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    overrides: list[str], message: str, tmp_path: Path
) -> None:
    if "engine.device=cuda" in overrides and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    config = compose([*TINY, *overrides])
    with pytest.raises(UserError, match=message):
        train_run(config, run_directory(config))
    assert not list(tmp_path.glob("results/runs/*/*/seed*"))


def test_a_disk_too_small_is_said_before_the_first_update(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = compose([*TINY, "encoding=none"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match="make room"):
        train_run(config, run_directory(config))
    assert not list(tmp_path.glob("results/runs/*/*/seed*/record.json"))


def test_changed_data_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "wikitext2"
    shutil.copytree(tiny_data / "wikitext2", copy)
    with (copy / "train.bin").open("ab") as file:
        file.write(b"\x00\x00")
    config = compose([*TINY, f"data.folder={copy}"])
    with pytest.raises(UserError, match="train.bin"):
        train_run(config, run_directory(config))


def test_torchrun_and_slurm_places_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_context("cpu").world_size == 1
    for name, value in {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    place = find_context("cpu")
    assert (place.world_size, place.rank, place.local_rank, place.is_first) == (4, 3, 1, False)


def test_records_hold_no_secret(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.install()
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123456789abcdef01234567")
    config = compose([*TINY, "encoding=none", "recipe.max_update=1", "recipe.warmup_updates=1"])
    folder = run_directory(config)
    assert train_run(config, folder) == 0
    record = json.loads((folder / "record.json").read_text())
    assert record["status"] == "finished"
    assert record["manifest"]["encoding_backend"] in ("native", "torch")
    assert record["manifest"]["attention_backend"] == "torch"
    assert record["manifest"]["samples_per_device"] == 4
    assert record["manifest"]["compiled"] is False
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"0123456789abcdef" not in path.read_bytes(), path


def test_an_unknown_backend_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ENVIRONMENT", "tritn")
    monkeypatch.setattr(registry, "_resolved", {})
    with pytest.raises(UserError, match="LRPE_BACKEND='tritn'.*did you mean 'triton'"):
        find_context("cpu")


def test_native_code_that_cannot_be_built_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(registry, "ENVIRONMENT", "native")
    monkeypatch.setattr(registry, "_resolved", {})
    for name, value in {"CC": "/nonexistent", "XDG_CACHE_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="LRPE_BACKEND=native.*/nonexistent.*install a C compiler.*unset LRPE_BACKEND"):
        find_context("cpu")
