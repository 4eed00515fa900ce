"""Pruning deletes what failed or died, when asked to, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.runs import pruning, scan
from experiments.runs.pruning import folder_size
from tests.experiments.run_store import edit_record, write_run
from tests.experiments.runs.conftest import Command


def encodings(results: Path) -> list[str]:
    return sorted(run.keys["encoding"] for run in scan(results))


def test_without_yes_it_only_lists(store: Path, command: Command) -> None:
    before = encodings(store)
    code, text = command("prune")
    assert code == 0
    assert "2 runs, " in text
    assert "nothing was deleted" in text
    assert encodings(store) == before


def test_with_yes_failed_and_dead_runs_go(store: Path, command: Command) -> None:
    code, text = command("prune", "yes=true")
    assert code == 0
    assert "2 of 2 runs deleted" in text
    assert encodings(store) == ["lrpe_unitary", "permuteformer", "rope", "rope", "spe"]
    assert not list(store.glob("runs/alm/none-*")), "nothing is left of an identity without runs"
    assert not list(store.glob("runs/alm/lrpe_d-*"))
    assert command("prune", "yes=true") == (0, f"no failed or dead runs below {store}/runs\n")


def test_filters_narrow_it(store: Path, command: Command) -> None:
    command("prune", "yes=true", "encoding=none")
    assert "lrpe_d" in encodings(store)
    assert "none" not in encodings(store)


def test_other_seeds_of_an_identity_stay(tmp_path: Path, command: Command) -> None:
    write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=2, status="failed")
    command("prune", "yes=true")
    assert [run.keys["seed"] for run in scan(tmp_path)] == ["1"]


def test_a_run_that_was_resumed_meanwhile_is_kept(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, failed = write_run(tmp_path, status="dead"), write_run(tmp_path, encoding="none", status="failed")
    measure = pruning.folder_size

    def while_listing(folder: Path) -> int:
        if folder == failed.path:
            edit_record(failed, status="finished")
        return measure(folder)

    monkeypatch.setattr(pruning, "folder_size", while_listing)
    with dead.lock():
        assert command("prune", "yes=true")[1].startswith("no failed") is False
        assert dead.path.exists(), "it is running again"
    code, text = command("prune", "yes=true")
    assert code == 0
    assert "1 of 1 runs deleted" in text
    assert failed.path.exists(), "it is finished now"


def test_hard_links_count_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10_000)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert 10_000 <= folder_size(tmp_path) < 20_000
