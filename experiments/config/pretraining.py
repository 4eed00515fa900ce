"""The run that a fine-tuning starts from, as its config says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from data_prep.manifest import sha256_of
from experiments.errors import UserError

START_KEYS = ("start", "identity", "sha256")  # what a start is known by
SHARED = ("seed", "profile", "encoding", "attention", "protocol", "model", "engine", "tracker", "paths")


def pretraining_config(config: DictConfig) -> DictConfig:
    """The validated config of ``experiment=blm`` with everything that the fine-tuning shares with it: the same config,
    and so the same run, as that of a pretraining started by itself."""
    from experiments.config.compose import CONF, validate

    plain: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
    chosen = {key: plain[key] for key in SHARED}
    chosen["experiment"] = OmegaConf.load(CONF / "experiment" / "blm.yaml")
    chosen |= {key: plain["pretraining"][key] for key in ("data", "recipe")}
    return validate(OmegaConf.create(chosen))


def pretraining_identity(config: DictConfig) -> dict[str, str]:
    """What of the pretraining can change a fine-tuning's result.

    Raises:
        UserError: the checkpoint that was named is not there.
    """
    from experiments.config.identity import identity

    start, path = config.pretraining.start, pretrained_checkpoint(config)
    if path is None:
        return {"start": start}
    if start == "run":
        return {"start": start, "identity": identity(pretraining_config(config))}
    if not path.is_file():
        raise UserError(f"pretraining.checkpoint={path}: no such file")
    return {"start": start, "sha256": sha256_of(path)}


def pretrained_checkpoint(config: DictConfig) -> Path | None:
    """The file that a fine-tuning starts from, whether it exists yet or not; None for a start from scratch."""
    from experiments.config.identity import run_directory

    pretraining = config.pretraining
    if pretraining.start == "scratch":
        return None
    if pretraining.start == "checkpoint":
        return Path(pretraining.checkpoint).resolve()
    return (run_directory(pretraining_config(config)) / "checkpoints" / "checkpoint_best.pt").resolve()
