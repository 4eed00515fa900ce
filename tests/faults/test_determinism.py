"""One seed, one machine: the same numbers, whoever loads the data. Another seed: others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.conftest import only_run
from tests.experiments.engine.support import curve_of, record_of, same_weights, weights_of
from tests.faults.counts import Tally
from tests.faults.families import FAMILIES
from tests.faults.moments import Command

OWN = {"glue": ["pretraining.start=scratch"]}


@pytest.mark.faults
@pytest.mark.parametrize("family", FAMILIES)
def test_loader_processes_change_nothing_and_seeds_do(family: str, data: Path, tmp_path: Path, tally: Tally) -> None:
    def trained(name: str, word: str) -> Path:
        command = Command([*FAMILIES[family], *OWN.get(family, []), word], data, tmp_path / name)
        command.ends_with(0)
        return only_run(command.results, family)

    alone = trained("alone", "engine.num_workers=0")
    for workers in (1, 2):
        with tally(f"loader processes, {family}"):
            helped = trained(f"{workers} workers", f"engine.num_workers={workers}")
            assert helped.parent.name == alone.parent.name
            assert same_weights(weights_of(helped), weights_of(alone))
            assert curve_of(helped) == curve_of(alone)
            assert record_of(helped)["metrics"] == record_of(alone)["metrics"]
    other = trained("other", "seed=2")
    assert not same_weights(weights_of(other), weights_of(alone))
    said = record_of(alone)["manifest"]
    assert "GPU" in said["not_guaranteed"]
    assert said["hardware"]["cpu"], "the machine that the promise is for"
