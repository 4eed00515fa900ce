"""The batch script of an array, run by bash over stand-ins; the settings that become sbatch's options."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from experiments.config import groups
from experiments.config.groups import CONF
from experiments.launch.slurm.commands import seconds_of, shown
from experiments.launch.slurm.script import batch_script, sbatch_options
from experiments.launch.slurm.settings import slurm_settings
from experiments.util.errors import UserError


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("code", "state", "requeued"),
    [
        (75, "RUNNING", True),
        (138, "RUNNING", True),
        (75, "COMPLETING", False),
        (75, "", False),
        (0, "RUNNING", False),
        (1, "RUNNING", False),
    ],
)
def test_a_job_requeues_itself_after_a_checkpoint_unless_slurm_is_ending_it(
    code: int, state: str, requeued: bool, tmp_path: Path
) -> None:
    put(tmp_path, "srun", f'echo "$#: $@" > {tmp_path}/ran; exit {code}')
    put(tmp_path, "squeue", f"echo {state}")
    put(tmp_path, "scontrol", f'echo "$@" > {tmp_path}/requeued')
    script = batch_script("t", [["first"], ["train", "a=b c", "d='e'"]], {"setup": ["export X=1"]}, "/logs")
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "1", "SLURM_JOB_ID": "7"}
    done = subprocess.run(["bash"], input=script, env=variables, text=True, check=False, capture_output=True)
    assert done.returncode == code
    assert done.stderr == ""
    assert (tmp_path / "ran").read_text() == "3: train a=b c d='e'\n"
    assert (tmp_path / "requeued").exists() == requeued
    if requeued:
        assert (tmp_path / "requeued").read_text() == "requeue 7\n"


def test_settings_become_options() -> None:
    settings = slurm_settings(
        ["experiment=alm", "profile=paper", "encoding=rope"],
        ["hydra.launcher.partition=gpu", "hydra.launcher.additional_parameters={nice: 10, exclusive: true}"],
    )
    assert sbatch_options(settings) == [
        "--partition=gpu", "--time=1440", "--signal=USR1@300", "--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=8",
        "--gpus-per-node=1", "--mem=64G", "--nice=10", "--exclusive",
    ]  # fmt: skip
    assert not [word for word in sbatch_options(slurm_settings(["profile=demo"], [])) if "gpu" in word]


def test_what_a_site_needs_is_in_a_file_of_its_own_and_a_word_changes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = shutil.copytree(CONF, tmp_path / "conf")
    (conf / "local").mkdir(exist_ok=True)
    (conf / "local" / "slurm.yaml").write_text("partition: a100\naccount: lab\nadditional_parameters: {nice: 5}\n")
    monkeypatch.setattr(groups, "CONF", conf)
    monkeypatch.setattr(groups, "_compose", groups._compose.__wrapped__)  # nothing of another folder's is kept
    options = sbatch_options(slurm_settings(["profile=small"], ["hydra.launcher.partition=h100"]))
    assert {"--partition=h100", "--account=lab", "--nice=5", "--gpus-per-node=1"} <= set(options)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("hydra.launcher.partitio=gpu", "did you mean 'hydra.launcher.partition'"),
        ("hydra.launcher.wait=false", "has no effect here"),
        ("hydra.launcher.additional_parameters.x=${oc.env:HOME}", "no resolver"),
    ],
)
def test_a_setting_that_is_none_is_refused(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        slurm_settings(["profile=demo"], [word])


@pytest.mark.parametrize(
    ("time", "seconds"), [("0:05", 5), ("1:02:03", 3723), ("2-00:00:01", 172801), ("INVALID", 0), ("", 0)]
)
def test_squeues_times(time: str, seconds: float) -> None:
    assert seconds_of(time) == seconds


def test_jobs_as_scancel_takes_them() -> None:
    assert shown(["12_0", "12_2", "12_1", "12_5", "13_4"]) == ["12_[0-2,5]", "13_4"]
