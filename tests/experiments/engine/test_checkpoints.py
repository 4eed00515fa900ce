"""Checkpoints: safe to read, atomic to write, and the newest readable one is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from fairseq.file_io import PathManager

from experiments.engine import checkpoints
from experiments.util.errors import UserError


@pytest.fixture(autouse=True)
def _installed() -> None:
    checkpoints.install()


def _save(path: Path, updates: int) -> None:
    torch.save({"optimizer_history": [{"num_updates": updates}], "model": {}}, path)


class _Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.target}",)


def test_a_hostile_checkpoint_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    bait, path = tmp_path / "bait", tmp_path / "checkpoint_last.pt"
    torch.save({"optimizer_history": [{"num_updates": 1}], "model": _Hostile(bait)}, path)
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        checkpoints.read(path)
    assert not bait.exists()


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint at .*nothing\.pt"):
        checkpoints.read(tmp_path / "nothing.pt")


def test_the_newest_readable_checkpoint_wins(tmp_path: Path) -> None:
    assert checkpoints.newest_readable(tmp_path) is None
    assert checkpoints.newest_readable(tmp_path / "not there") is None
    _save(tmp_path / "checkpoint_1_40.pt", 40)
    _save(tmp_path / "checkpoint_2_200.pt", 200)
    _save(tmp_path / "checkpoint_last.pt", 240)
    assert checkpoints.newest_readable(tmp_path) == (tmp_path / "checkpoint_last.pt", 240)
    (tmp_path / "checkpoint_last.pt").write_bytes((tmp_path / "checkpoint_last.pt").read_bytes()[:100])
    assert checkpoints.newest_readable(tmp_path) == (tmp_path / "checkpoint_2_200.pt", 200)


def test_unreadable_checkpoints_are_an_error_and_not_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "checkpoint_last.pt").write_bytes(b"PK torn")
    with pytest.raises(UserError, match="None of the 1 checkpoints"):
        checkpoints.newest_readable(tmp_path)


def test_fairseq_copies_replace_in_one_step_and_keep_the_source(tmp_path: Path) -> None:
    source, target = tmp_path / "checkpoint_1_4.pt", tmp_path / "checkpoint_last.pt"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    assert PathManager.copy(str(source), str(target), overwrite=True)
    assert target.read_bytes() == b"new"
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["checkpoint_1_4.pt", "checkpoint_last.pt"]
    assert not PathManager.copy(str(source), str(target))
