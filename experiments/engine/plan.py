"""What a run is about to do, said before its first update."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig

from experiments.engine.language_model import decoder_config
from experiments.engine.translate import accumulation, model_section
from experiments.errors import UserError
from experiments.records import find_runs
from lrpe.models import DecoderLM


@dataclass(frozen=True)
class Plan:
    """Sizes of a run.

    Attributes:
        parameters: trained and fixed parameters of the model.
        encoding_parameters: those that the encoding brings (angles, Householder vectors, absolute positions).
        encoding_parameter_names: their names in the model.
        tokens_per_update: effective batch in tokens.
        updates: updates of the run.
        seconds: estimated duration, and `basis` says from what.
    """

    parameters: int
    encoding_parameters: int
    encoding_parameter_names: tuple[str, ...]
    tokens_per_update: int
    sequences: int
    passes: int
    updates: int
    learning_rate: float
    seconds: float
    basis: str

    def text(self, name: str, world_size: int) -> str:
        new = f" ({self.encoding_parameters:,} of them new to the encoding)" if self.encoding_parameters else ""
        batch = f"{self.sequences} sequences x {self.passes} passes x {world_size} devices"
        return "\n".join(
            [
                f"{name}",
                f"  parameters     {self.parameters:,}{new}",
                f"  batch          {self.tokens_per_update:,} tokens an update ({batch})",
                f"  updates        {self.updates:,}, {self.updates * self.tokens_per_update:,} tokens in all",
                f"  learning rate  {self.learning_rate:g} at its peak",
                f"  time           about {_duration(self.seconds)} ({self.basis})",
            ]
        )


def make_plan(config: DictConfig, world_size: int, vocab_size: int) -> Plan:
    """Build the model without memory (on torch's meta device) and count.

    Raises:
        UserError: a model that cannot be built, e.g. an odd head dimension under rotations.
    """
    sequences, passes = accumulation(config, world_size)
    section = DictConfig({"encoding": "none", **model_section(config)})
    try:
        with torch.device("meta"):
            model = DecoderLM(decoder_config(section, vocab_size, padding_index=1))
    except (ValueError, TypeError) as error:
        raise UserError(f"model and encoding do not fit together: {error}") from error
    parameters = dict(model.named_parameters())
    brought = {name: p for name, p in parameters.items() if ".encoding." in name or name.startswith("absolute")}
    total = sum(parameter.numel() for parameter in parameters.values())
    tokens = config.recipe.batch_sequences * config.recipe.tokens_per_sample
    remaining = tokens * config.recipe.max_update
    rate, basis = _tokens_per_second(config, total, vocab_size)
    return Plan(
        parameters=total,
        encoding_parameters=sum(parameter.numel() for parameter in brought.values()),
        encoding_parameter_names=tuple(brought),
        tokens_per_update=tokens,
        sequences=sequences,
        passes=passes,
        updates=config.recipe.max_update,
        learning_rate=config.recipe.learning_rate,
        seconds=remaining / (rate * world_size),
        basis=basis,
    )


def vocabulary_size(folder: Path) -> int:
    """Entries of ``dict.txt`` and fairseq's four special symbols."""
    path = folder / "dict.txt"
    with path.open("rb") as lines:
        return 4 + sum(1 for _ in lines)


def _tokens_per_second(config: DictConfig, parameters: int, vocab_size: int) -> tuple[float, str]:
    similar = [
        record["tokens_per_second"]
        for record in find_runs(Path(config.paths.results), config.experiment.name)
        if record["status"] == "finished"
        and record["run"]["profile"] == config.profile.name
        and record.get("tokens_per_second")
        and record["parameters"]["total"] < 1.5 * parameters < 2.25 * record["parameters"]["total"]
    ]
    if similar:
        return sorted(similar)[len(similar) // 2], f"from {len(similar)} finished runs of this profile"
    # 6 operations a parameter and token for forward and backward; a table that is only looked up costs none
    looked_up = 0 if config.model.share_input_output else vocab_size * config.model.embed_dim
    return 0.4 * _matmul_rate() / (6 * (parameters - looked_up)), "guessed from this machine's matmul rate"


def _matmul_rate() -> float:
    """Floating-point operations a second of a float32 matrix product on the device at hand."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(512, 512, device=device) for _ in range(2))
    fastest, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < 0.2:
        begun = time.perf_counter()
        left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        fastest = min(fastest, time.perf_counter() - begun)
    return 2 * 512**3 / fastest


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
