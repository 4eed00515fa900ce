"""``hydra/launcher=slurm``: one array for the runs of a sweep that are missing, and word of those that failed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.config import compose, run_directory
from experiments.launch.slurm.settings import slurm_settings
from experiments.launch.slurm.sweep import run_all
from experiments.launch.sweep import FAILURE
from experiments.runs.records import RunFolder
from hydra_plugins.lrpe_launchers.slurm import SlurmLauncher
from tests.experiments.conftest import TINY
from tests.experiments.launch.slurm.stand_in import StandIn

COMMON = [*TINY, "encoding=rope"]


@pytest.fixture(autouse=True)
def roots(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path))


def finish(words: Sequence[str]) -> int:
    """What a job does that trains its run, but seed 3's, which fails."""
    if "seed=3" in words:
        return 1
    config = compose([word for word in words if "=" in word])
    run = RunFolder(run_directory(config))
    run.begin({}, manifest={})
    run.close("finished", to_update=1)
    return 0


def jobs(folder: Path, *words: str) -> list[tuple[Path, list[str]]]:
    return [(folder / "sweep" / str(place), [*COMMON, word]) for place, word in enumerate(words)]


def test_the_missing_runs_are_one_array_and_the_failed_are_noted(
    slurm: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish([*COMMON, "seed=1"])

    def work() -> None:
        while len((slurm.folder / "queue").read_text().splitlines()) < 2:
            time.sleep(0.02)
        slurm.run(12, finish)

    threading.Thread(target=work, daemon=True).start()
    run_all(jobs(tmp_path, "seed=1", "seed=2", "seed=3", "model.num_heads=3"), COMMON, tmp_path, slurm_settings([], []))
    assert [command[1:] for command in slurm.commands(12)] == [
        ["-m", "experiments.train", *COMMON, seed] for seed in ("seed=2", "seed=3")
    ]
    said = capsys.readouterr().out
    assert "seed=1: finished before" in said
    assert "seed=2: finished" in said
    log = tmp_path / "slurm" / "logs" / "12_1.log"
    notes = {path.parent.name: json.loads(path.read_text()) for path in (tmp_path / "sweep").glob(f"*/{FAILURE}")}
    assert notes.keys() == {"2", "3"}
    assert notes["2"]["message"] == f"job 12_1 ended as FAILED; its log: {log}"
    assert notes["3"]["code"] == 2, "its config was found wrong before anything was submitted"


def test_a_job_gets_the_words_that_its_run_reads(
    slurm: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = jobs(tmp_path, "seed=1", "encoding=spe")
    shared = [(folder, [*words, "protocol.spe_resample=always"]) for folder, words in swept]
    run_all(shared, COMMON, tmp_path, {**slurm_settings([], []), "wait": False})
    assert [command[-1] for command in slurm.commands(12)] == ["seed=1", "protocol.spe_resample=always"]
    said = capsys.readouterr().out
    assert said.count("'protocol.spe_resample' has no effect in this run") == 1


def test_a_sweep_can_be_left(slurm: StandIn, tmp_path: Path) -> None:
    run_all(jobs(tmp_path, "seed=1", "seed=2"), COMMON, tmp_path, {**slurm_settings([], []), "wait": False})
    assert slurm.arrays == [12]


def test_a_refusal_is_one_line(slurm: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (slurm.folder / "refusal").write_text("sbatch: error: invalid account\n")
    launcher = SlurmLauncher(**slurm_settings([], []))
    sweep = {"sweep": {"dir": str(tmp_path / "sweep")}, "overrides": {"task": COMMON}}
    launcher.config = OmegaConf.create({"hydra": sweep, "paths": {"results": str(tmp_path)}})
    with pytest.raises(SystemExit, match="2"):
        launcher.launch([[*COMMON, "seed=1", "hydra/launcher=slurm"]], 0)
    assert capsys.readouterr().err == "error: hydra/launcher=slurm: sbatch: error: invalid account\n"
