"""What a run is about to do, said before its first update."""

from __future__ import annotations

import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from experiments.config.effect import pass_matters
from experiments.engine.cost import Cost, cost
from experiments.engine.families import Counting, family_of
from experiments.engine.translate import accumulation
from experiments.runs.estimate import Estimates
from experiments.util.console import duration
from experiments.util.errors import UserError


@dataclass(frozen=True)
class Plan:
    """Sizes of a run.

    Attributes:
        parameters: trained and fixed parameters of the model.
        checkpoint_bytes: of the tensors in one checkpoint, in float32.
        encoding_parameters: those that the encoding brings (angles, Householder vectors, absolute positions).
        encoding_parameter_names: their names in the model.
        counting: what an update consists of, and how many of it: the effective batch.
        samples: sequences or images a forward pass and device; `passes` of them an update.
        fixed_pass: whether the recipe says so, because what shares a pass changes the result.
        updates: updates of the run.
        seconds: estimated duration, and `basis` says from what.
        cost: operations an update, and memory a device; None where they are not modeled.
        held: bytes that the process holds beside the model's, on a CPU.
    """

    parameters: int
    checkpoint_bytes: int
    encoding_parameters: int
    encoding_parameter_names: tuple[str, ...]
    counting: Counting
    samples: int
    passes: int
    updates: int
    learning_rate: float
    seconds: float
    basis: str
    fixed_pass: bool = False
    cost: Cost | None = None
    held: int = 0

    def text(self, name: str, world_size: int) -> str:
        new = f" ({self.encoding_parameters:,} of them new to the encoding)" if self.encoding_parameters else ""
        batch = f"{self.samples} samples x {self.passes} passes x {world_size} devices"
        batch += "; samples as recipe.samples_per_pass says" if self.fixed_pass else ""
        unit, size = self.counting.unit, self.counting.per_update
        costs = [] if self.cost is None else cost_lines(self.cost, self.held)
        return "\n".join(
            [
                f"{name}",
                f"  parameters     {self.parameters:,}{new}",
                f"  batch          {size:,} {unit} per update ({batch})",
                f"  updates        {self.updates:,}, {self.updates * size:,} {unit} in all",
                f"  learning rate  {self.learning_rate:g} at its peak",
                *costs,
                f"  time           about {duration(self.seconds)} ({self.basis})",
            ]
        )


def make_plan(config: DictConfig, world_size: int) -> Plan:
    """Build the model without memory (on torch's meta device) and count.

    Raises:
        UserError: a model that cannot be built, e.g. an odd head dimension under rotations.
    """
    family = family_of(config)
    samples, passes = accumulation(config, world_size)
    try:
        with torch.device("meta"):
            model = family.build(config)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise UserError(f"this model cannot be built: {error} ({_remedy(config, str(error))})") from error
    parameters = dict(model.named_parameters())
    brought = {name: p for name, p in parameters.items() if family.brought_by_encoding(name)}
    total = sum(parameter.numel() for parameter in parameters.values())
    counting, updates = family.counting(config), family.updates(config)
    seconds, basis = _seconds_per_update(config, total, counting, world_size)
    return Plan(
        parameters=total,
        checkpoint_bytes=4 * family.numbers_per_parameter(config) * total,
        encoding_parameters=sum(parameter.numel() for parameter in brought.values()),
        encoding_parameter_names=tuple(brought),
        counting=counting,
        samples=samples,
        passes=passes,
        updates=updates,
        learning_rate=config.recipe.learning_rate,
        seconds=updates * seconds,
        basis=basis,
        fixed_pass=pass_matters(config),
        cost=cost(config, samples),
        held=0 if torch.cuda.is_available() else resident_memory(),
    )


def _remedy(config: DictConfig, message: str) -> str:
    """Which keys to change: the first of the run's that the message names, or those of a head's size."""
    owners = (("model", config.model), ("attention", config.attention), ("encoding.options", config.encoding.options))
    owners += (("attention.feature_map_options", config.attention.feature_map_options), ("protocol", config.protocol))
    places: dict[str, int] = {}
    for group, fields in owners:
        for name in fields:
            found = re.search(rf"(?<![\w.]){re.escape(name).replace('_', '[_ ]')}(?!\w)", message)
            if found and name not in ("name", "dropout") and not OmegaConf.is_dict(fields[name]):
                places.setdefault(f"{group}.{name}", found.start())
    if not places:
        if "feature map" in message:
            return "give another attention.feature_map_options"
        return (
            f"give another of encoding={config.encoding.label}, model.embed_dim={config.model.embed_dim}, "
            f"model.num_heads={config.model.num_heads}"
        )
    key = min(places, key=lambda name: places[name])
    return f"give another {key}, which is {OmegaConf.select(config, key)}"


def cost_lines(found: Cost, held: int = 0) -> list[str]:
    """Memory and operations for a person; ``held`` bytes are the process's own."""
    memory, flops = found.memory, found.flops
    parts = f"state {_gib(memory.state)}, activations {_gib(memory.activations)}, output layer {_gib(memory.output)}"
    own = f", process {_gib(held)}" if held else ""
    shares = ", ".join(f"{name} {getattr(flops, name) / flops.total:.0%}" for name in ("layers", "attention", "output"))
    return [
        f"  memory         about {_gib(memory.total + held)} at its peak on each device ({parts}{own})",
        f"  operations     {flops.total / 1e12:,.3g} TFLOP an update ({shares})",
    ]


def resident_memory() -> int:
    """Bytes that this process holds; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def _seconds_per_update(config: DictConfig, parameters: int, counting: Counting, world_size: int) -> tuple[float, str]:
    plain: Any = OmegaConf.to_container(config)
    if (found := Estimates(Path(config.paths.results)).per_update(plain)) is not None:
        seconds, runs = found
        return seconds, f"as {runs} finished runs of the same data, model, attention and batch took"
    # 6 operations a parameter and token for forward and backward; no more than that is known of the model
    tokens = counting.tokens or counting.per_update
    seconds = 6 * parameters * tokens / (0.4 * _matmul_rate() * world_size)
    return seconds, "guessed from this machine's matmul rate"


def _matmul_rate() -> float:
    """Floating-point operations per second of a float32 matrix product on the device at hand."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(512, 512, device=device) for _ in range(2))
    fastest, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < 0.2:
        begun = time.perf_counter()
        torch.mm(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        fastest = min(fastest, time.perf_counter() - begun)
    return 2 * 512**3 / fastest
