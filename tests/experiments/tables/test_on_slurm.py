"""``launcher=slurm``: every table, the ablations included, is an array of jobs, one for each run that is missing."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest

from experiments.launch.slurm.executor import SlurmExecutor
from experiments.table import main
from experiments.tables.spec import load_table, table_names
from tests.experiments.conftest import TINY
from tests.experiments.launch.slurm.stand_in import StandIn
from tests.experiments.tables.workshop import Workshop

TABLES = [name for name in table_names() if load_table(name).experiment == "alm"]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{stand_in.bin}:{os.environ['PATH']}")
    return stand_in


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_language_models_is_one_array_of_training_commands(
    name: str, slurm: StandIn, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path))
    rows = ",".join(row.key for row in load_table(name).rows[:2])
    words = [f"table={name}", "profile=demo", f"rows={rows}", "seeds=1", *TINY]
    assert main([*words, "launcher=slurm", "hydra.launcher.partition=gpu", "wait=false"]) == 0
    training, *measuring = slurm.arrays
    assert slurm.option(training, "partition") == "gpu"
    commands = slurm.commands(training)
    assert len(commands) >= 2
    assert len({tuple(command) for command in commands}) == len(commands)
    for command in commands:
        assert command[1:3] == ["-m", "experiments.train"]
        assert "experiment=alm" in command
        assert not [word for word in command if word.startswith(("hydra", "launcher"))]
    # models that are measured at other lengths once they are trained
    assert len(measuring) == (len(commands) if name == "length" else 0)
    for place, array in enumerate(measuring):
        assert slurm.option(array, "dependency") == f"afterok:{training}_{place}"


def test_the_results_of_an_array_are_rendered(
    workshop: Workshop, slurm: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SlurmExecutor, "look_seconds", 0.02)
    words = ["rows=none,rope", "seeds=1", "launcher=slurm", "hydra.launcher.partition=gpu"]
    assert workshop.table(*words, "wait=false") == 0
    assert slurm.arrays == [12]
    assert slurm.option(12, "partition") == "gpu"
    assert "submitted 12_[0-1]: 2 jobs; logs:" in workshop.text
    assert workshop.table("rows=none,rope", "seeds=1", "render_only=true") == 0
    assert "2 of 2 runs are not finished" in workshop.text
    workshop.broken.add("rope")
    slurm.run(12, lambda command: workshop.launch(command, None, {}))
    slurm.set("12_1", "RUNNING")
    (log := workshop.root / "slurm" / "logs" / "12_1.log").write_text("last words of rope\n")
    workshop.output = io.StringIO()

    def die() -> None:
        slurm.wait_until(lambda: "queued or running already" in workshop.text)
        slurm.set("12_1", "FAILED")

    threading.Thread(target=die).start()
    assert workshop.table(*words) == 1
    assert slurm.arrays == [12], "neither the finished run nor the running one was submitted again"
    assert "1 jobs are queued or running already: 12_1" in workshop.text
    assert f"job 12_1 ended as FAILED; its log: {log}\nlast words of rope" in workshop.text


def test_a_run_of_two_tables_is_one_job(
    slurm: StandIn,
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LRPE_DATA", str(tiny_data))
    monkeypatch.setenv("LRPE_RESULTS", str(tmp_path))
    words = ["profile=demo", "seeds=1", *TINY, "launcher=slurm", "wait=false"]
    assert main(["table=alm", "rows=lrpe_orthogonal", *words]) == 0
    assert main(["table=projection", "rows=householder,dct", "columns=orthogonal", *words]) == 0
    assert [len(slurm.commands(array)) for array in slurm.arrays] == [1, 1]
    assert "encoding.options.projection=dct" in slurm.commands(13)[0]
    assert "1 jobs are queued or running already: 12_0" in capsys.readouterr().out
