"""Ranks: torchrun's variables, or those of a SLURM step; a batch script without srun is one process."""

from __future__ import annotations

import os

import pytest
import torch

from experiments.engine.distributed import find_context
from experiments.launch.ranks import Ranks, first_node, read_ranks, rendezvous
from experiments.util.errors import UserError

BATCH = {"SLURM_JOB_ID": "41", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
STEP = {
    **BATCH,
    "SLURM_STEP_ID": "1",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "n[1-2]",
    "SLURM_PROCID": "1",
}


def set_environment(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_step_of_srun_has_its_tasks_as_ranks() -> None:
    assert read_ranks(STEP) == Ranks(rank=1, local_rank=0, world_size=2)


@pytest.mark.parametrize("environment", [{}, BATCH, {**STEP, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}])
def test_one_process_is_one_rank_and_meets_nobody(environment: dict[str, str]) -> None:
    assert read_ranks(environment) == Ranks()
    assert rendezvous(environment) == {}


def test_torchrun_inside_a_step_comes_first() -> None:
    environment = {**STEP, "WORLD_SIZE": "8", "RANK": "5", "LOCAL_RANK": "1"}
    assert read_ranks(environment) == Ranks(rank=5, local_rank=1, world_size=8)
    assert rendezvous(environment) == {}


def test_the_ranks_of_a_step_agree_where_they_meet_and_two_steps_differ() -> None:
    first, second = rendezvous({**STEP, "SLURM_PROCID": "0"}), rendezvous(STEP)
    assert first == second
    assert first["MASTER_ADDR"] == "n1"
    others = [{**STEP, "SLURM_STEP_ID": "2"}, {**STEP, "SLURM_JOB_ID": "42"}]
    assert len({first["MASTER_PORT"], *(rendezvous(other)["MASTER_PORT"] for other in others)}) == 3
    assert rendezvous({**STEP, "MASTER_PORT": "29500"})["MASTER_PORT"] == "29500"


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"),
        ("n[1-2]", "n1"),
        ("gpu[003-007,9],cpu1", "gpu003"),
        ("a,b[1-2]", "a"),
        ("rack[2,5]-node[10-11]", "rack2-node10"),
    ],
)
def test_the_first_node_of_a_list(nodes: str, first: str) -> None:
    assert first_node(nodes) == first


@pytest.mark.parametrize(("visible", "device"), [("3", 0), ("0,1,2,3", 3)])
def test_a_process_takes_its_only_gpu_or_that_of_its_local_rank_and_leaves_the_variable_alone(
    visible: str, device: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, {**STEP, "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "3"})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setenv("MASTER_ADDR", "n1")
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(visible.split(",")))
    place = find_context("auto")
    assert (place.rank, place.local_rank, place.device) == (3, 3, device)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


def test_more_ranks_than_gpus_on_a_node_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "3"})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="local rank 3 has no GPU: this process sees 2"):
        find_context("auto")
