"""A dry run says how long the missing runs would take."""

from __future__ import annotations

from experiments.tables.plan import Needed
from tests.experiments.run_store import config_of
from tests.experiments.runs.test_estimate import finished
from tests.experiments.tables.workshop import Workshop


def test_a_dry_run_says_the_time_of_every_missing_run_and_of_those_before_them(workshop: Workshop) -> None:
    finished(workshop.root, 60.0)
    finished(workshop.root, 3600.0, experiment="blm")
    workshop.config = config_of()
    workshop.required = Needed(workshop.root / "runs" / "blm" / "rope-1" / "seed1", config_of("blm"))
    assert workshop.table("rows=rope,none", "seeds=2", "dry_run=true") == 0
    assert workshop.text.count("to train, about 1 min 00 s") == 4
    assert workshop.text.count("trained before them, about 1 h 00 min") == 2, "one per seed"
    assert "time one after another: about 2 h 04 min" in workshop.text
    assert workshop.trained == []


def test_a_dry_run_without_similar_runs_says_so(workshop: Workshop) -> None:
    assert workshop.table("rows=rope", "dry_run=true") == 0
    assert "to train, time unknown" in workshop.text
    assert "time one after another: unknown (no finished run has" in workshop.text
