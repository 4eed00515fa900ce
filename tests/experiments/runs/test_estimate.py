"""How long the missing runs will take: what finished ones like them took, or unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.runs.estimate import Estimates, total
from experiments.runs.records import RunFolder
from tests.experiments.run_store import config_of, edit_record, write_run


def finished(results: Path, seconds: float, **changes: Any) -> RunFolder:
    """A finished run of 30 updates."""
    folder = write_run(results, **changes)
    edit_record(folder, seal=True, wall_seconds=seconds)
    return folder


def left(results: Path, runs: Path | None = None, **changes: Any) -> float | None:
    """Seconds of a run that has not begun."""
    folder = results / "runs" / "alm" / "none-00000000" / "seed1"
    return Estimates(runs or results).left(config_of(**changes), folder)


def test_similar_runs_updates_give_the_time(tmp_path: Path) -> None:
    finished(tmp_path, 60.0, seed=1)
    finished(tmp_path, 90.0, seed=2)
    finished(tmp_path, 600.0, seed=3)
    assert left(tmp_path) == pytest.approx(90.0), "the median"
    assert left(tmp_path, recipe__max_update=300) == pytest.approx(900.0)


def test_the_same_encoding_says_more_than_another(tmp_path: Path) -> None:
    finished(tmp_path, 60.0, encoding="rope")
    finished(tmp_path, 90.0, encoding="spe")
    assert left(tmp_path, encoding="spe") == pytest.approx(90.0)
    assert left(tmp_path, encoding="none") == pytest.approx(75.0), "of both"


@pytest.mark.parametrize(
    "changes",
    [
        {"model__num_layers": 12},
        {"recipe__tokens_per_sample": 512},
        {"attention__name": "softmax"},
        {"data__name": "wikitext103"},
        {"experiment": "blm"},
    ],
)
def test_another_cost_an_update_says_nothing(tmp_path: Path, changes: dict[str, Any]) -> None:
    finished(tmp_path, 60.0)
    assert left(tmp_path, **changes) is None


def test_unfinished_runs_and_broken_records_say_nothing(tmp_path: Path) -> None:
    finished(tmp_path, 60.0, status="failed", seed=1)
    finished(tmp_path, 60.0, seed=2).record_path.write_text("{")
    assert left(tmp_path) is None
    assert left(tmp_path, tmp_path / "nowhere") is None


def test_a_run_that_was_begun_has_the_rest_to_do(tmp_path: Path) -> None:
    finished(tmp_path, 60.0, seed=1)
    begun = write_run(tmp_path, seed=2, status="failed")  # at update 10 of 30
    assert Estimates(tmp_path).left(config_of(seed=2), begun.path) == pytest.approx(40.0)


def test_what_is_unknown_is_counted_and_not_guessed() -> None:
    assert total([60.0, None, 30.0, None]) == (90.0, 2)
