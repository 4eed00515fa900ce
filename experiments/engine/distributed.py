"""Which process of how many, and on what device."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from omegaconf import DictConfig

from experiments.config.schema import SCHEMAS
from experiments.engine.tf32 import matrix_products
from experiments.launch.ranks import read_ranks, rendezvous
from experiments.util.errors import UserError
from lrpe.ops.registry import Case, requested_backend, resolve


@dataclass(frozen=True)
class DistributedContext:
    """This process among its peers (torchrun's or SLURM's variables) and its device.

    Attributes:
        local_rank: the rank on this node, which is the index of its GPU where the process sees all of the node's.
    """

    rank: int
    local_rank: int
    world_size: int
    cuda: bool

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def device(self) -> int:
        """The index of the GPU among those that this process sees: its only one, or the one of its local rank."""
        return 0 if self.cuda and torch.cuda.device_count() == 1 else self.local_rank


def find_context(device: str) -> DistributedContext:
    """Read the place from the environment: torchrun's WORLD_SIZE, RANK and LOCAL_RANK, or the tasks of a SLURM step.

    The ranks of a SLURM step find each other by MASTER_ADDR and MASTER_PORT, which are set here as torchrun sets them.
    CUDA_VISIBLE_DEVICES stays as the scheduler has it.

    Raises:
        UserError: a GPU is asked for where there is none, more ranks than GPUs share a node, or LRPE_BACKEND is
            unknown or cannot be had here.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "engine.device=cuda, but torch sees no GPU here: use engine.device=cpu, or install a CUDA build"
        )
    try:
        encoding_backend(cuda=device != "cpu" and torch.cuda.is_available())
    except (RuntimeError, ValueError) as error:
        raise UserError(str(error)) from None
    ranks = read_ranks()
    os.environ.update(rendezvous())
    place = DistributedContext(
        rank=ranks.rank,
        local_rank=ranks.local_rank,
        world_size=ranks.world_size,
        cuda=device != "cpu" and torch.cuda.is_available(),
    )
    if place.cuda and place.device >= torch.cuda.device_count():
        raise UserError(
            f"local rank {place.local_rank} has no GPU: this process sees {torch.cuda.device_count()} "
            f"(CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')}); "
            "start one process a GPU, e.g. srun --ntasks-per-node=4 with --gpus-per-node=4"
        )
    return place


def encoding_backend(cuda: bool) -> str:
    """What encodes query and key here: each rounds in its own way.

    Raises:
        ValueError: LRPE_BACKEND is unknown.
        RuntimeError: the back end that it names cannot be had here.
    """
    chosen = resolve(Case("rotate", "cuda" if cuda else "cpu", torch.float32))
    return requested_backend() or chosen.name


def attention_backend(config: DictConfig, cuda: bool) -> str:
    """What computes linear attention in training here, for the record; ``none`` where attention is another.

    Raises:
        ValueError, RuntimeError: as :func:`encoding_backend`.
    """
    if config.attention.name != "linear":
        return "none"
    halves = {"fp16": torch.float16, "bf16": torch.bfloat16, "amp": torch.float16 if cuda else torch.bfloat16}
    head = config.model.embed_dim // config.model.num_heads
    case = Case(
        "attend",
        "cuda" if cuda else "cpu",
        halves.get(config.recipe.precision, torch.float32),
        key_dim=head,
        value_dim=head,
        causal=SCHEMAS[config.experiment.name].causal,
        compiling=config.engine.compile is True,
        in_memory=config.engine.compile is not True,
    )
    with matrix_products(config.recipe.precision) if cuda else nullcontext():
        return resolve(case).name


def arithmetic_of(precision: str, cuda: bool) -> str:
    """What ``recipe.precision`` means on this device, for a person and for the record.

    Raises:
        UserError: the device cannot train so.
    """
    if cuda:
        return {
            "amp": "float32 weights, forward passes under autocast to float16",
            "fp16": "float16 weights with float32 copies and a loss scale",
            "bf16": "bfloat16 weights with float32 copies",
        }.get(precision, "float32")
    if precision == "fp16":
        raise UserError(
            "recipe.precision=fp16 is of GPUs, and this run is on a CPU: "
            "give recipe.precision=bf16, amp or fp32, or engine.device=cuda where there is a GPU"
        )
    return {
        "amp": "float32 weights, forward passes under autocast to bfloat16, as CPUs have it",
        "bf16": "bfloat16 weights with float32 copies",
    }.get(precision, "float32")
